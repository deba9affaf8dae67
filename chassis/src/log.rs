//! What a daemon logs: the argument `--log`, and lines on standard error.
//!
//! Lines have no colours, on a terminal neither: who reads them is systemd, or `maru up`, which passes them on.

use clap::Args;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

pub use tracing_subscriber::filter::LevelFilter;

/// The argument `--log`; to be flattened into a daemon's own.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// What is logged: a level (error, warn, info, debug, trace), or `target=level,…`, such as `info,node_agent=debug`
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    log: Targets,
}

impl LogArgs {
    /// Logs to standard error from now on. To be called once, before anything else.
    ///
    /// Of each target in `at_most`, no more than that level is logged, whatever was asked for: what a library says
    /// below it is wrong, or may hold what people wrote.
    pub fn start(self, at_most: &[(&'static str, LevelFilter)]) {
        let limit =
            Targets::new().with_default(LevelFilter::TRACE).with_targets(at_most.iter().copied());
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        tracing_subscriber::registry().with(self.log).with(limit).with(lines).init();
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        log: LogArgs,
    }

    fn filter(args: &[&str]) -> Result<Targets, clap::Error> {
        let program = Program::try_parse_from([&["program"], args].concat())?;
        Ok(program.log.log)
    }

    #[test]
    fn levels_and_targets_are_taken_and_anything_else_is_refused_in_a_sentence() {
        let (info, debug) = (tracing::Level::INFO, tracing::Level::DEBUG);
        let usual = filter(&[]).unwrap();
        assert!(usual.would_enable("any", &info) && !usual.would_enable("any", &debug));
        let one = filter(&["--log", "info,node_agent=debug"]).unwrap();
        assert!(one.would_enable("node_agent::control", &debug));
        assert!(!one.would_enable("any", &debug));

        let refused = filter(&["--log", "node_agent=loud"]).unwrap_err().to_string();
        assert!(refused.contains("--log") && refused.contains("node_agent=loud"), "{refused}");
    }
}
