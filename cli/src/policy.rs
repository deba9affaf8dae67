//! `maru policy …`.

mod show;

use std::{
    io::{IsTerminal as _, Read as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use coordinator_api::{ExplainPolicy, Policy, PolicyProtocol, TestPolicy, endpoints};
use messages::{Message, message};

use crate::{
    client::{Client, Refused},
    output::{self, Format, OutputArgs},
};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print the policy in force
    Get(OutputArgs),
    /// Set the policy, if its own tests pass; shows first what it opens and closes
    Set(SetArgs),
    /// Check whether a policy would be accepted
    Check(PolicyFile),
    /// Show what a policy would open and close: packets, capabilities and attributes
    Diff(PolicyFile),
    /// Run a policy's own tests and show the result of each
    Test(TestArgs),
    /// Show which rule lets a device reach another
    Explain(ExplainArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PolicyFile {
    /// File with the policy (HuJSON), or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) file: PolicyFile,
    /// Do not ask for confirmation on a terminal
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TestArgs {
    /// File with the policy (HuJSON), or - for standard input; without it the policy in force
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Source: a device, an address, a person, a tag or a group
    #[arg(value_name = "SRC")]
    pub(crate) src: String,
    /// Whom, and which port.
    #[arg(
        value_name = "DST:PORT",
        help = "Destination and port, such as server:22 or [fd7a:115c:a1e0::1]:22; without a port for icmp"
    )]
    pub(crate) dst: String,
    /// Protocol
    #[arg(long, value_enum, value_name = "PROTOCOL", default_value_t = Protocol::Tcp)]
    pub(crate) proto: Protocol,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, which has no ports.
    Icmp,
}

/// Runs one of the commands.
pub(crate) async fn run(command: PolicyCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Get(args) => {
            let policy = client.call(&endpoints::SHOW_POLICY, &[], &()).await?;
            match args.output {
                // As it was written: it goes into a file, and back.
                Format::Table => output::line(policy.policy.trim_end())?,
                Format::Json | Format::Yaml => output::structured(args.output, &policy)?,
            }
        }
        PolicyCommand::Set(args) => set(client, args).await?,
        PolicyCommand::Check(args) => {
            let body = text(&args.file)?;
            let checked = client.call(&endpoints::CHECK_POLICY, &[], &body).await?;
            show::warnings(args.output.output, &checked.warnings);
            output::done(args.output.output, &checked, &message!("policy-acceptable"))?;
        }
        PolicyCommand::Diff(args) => {
            let body = text(&args.file)?;
            let diff = client.call(&endpoints::DIFF_POLICY, &[], &body).await?;
            show::changes(args.output.output, &diff)?;
        }
        PolicyCommand::Test(args) => {
            let policy = args.file.as_ref().map(read).transpose()?;
            let body = TestPolicy { policy };
            let tested = client.call(&endpoints::TEST_POLICY, &[], &body).await?;
            show::tests(args.output.output, &tested)?;
            return Ok(ExitCode::from(u8::from(!tested.passed)));
        }
        PolicyCommand::Explain(args) => explain(client, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what opens and closes, and acts, if no other policy was put in force meanwhile. On a terminal it asks between the two.
async fn set(client: &Client, SetArgs { file, yes }: SetArgs) -> anyhow::Result<()> {
    let format = file.output.output;
    let from_input = file.file.as_os_str() == "-";
    let body = text(&file.file)?;
    let correct = unchanged(message!("correct-policy"));
    let diff = client.call(&endpoints::DIFF_POLICY, &[], &body).await.map_err(correct)?;
    show::notes(&diff.changes);
    let asks = !yes && !from_input && std::io::stdin().is_terminal();
    if asks && !output::is_confirmed(&message!("put-in-force"))? {
        return Err(anyhow!(message!("policy-not-confirmed")));
    }
    let body = Policy { revision: Some(diff.revision), ..body };
    let set = client.call(&endpoints::SET_POLICY, &[], &body).await;
    let set = set.map_err(unchanged(message!("nothing-changed")))?;
    show::warnings(format, &set.warnings);
    output::done(format, &set, &message!("policy-in-force"))
}

fn unchanged(advice: Message) -> impl Fn(anyhow::Error) -> anyhow::Error {
    move |error| match error.downcast::<Refused>() {
        Ok(Refused { why, .. }) => anyhow!(message!("refused-advice", why, advice)),
        Err(error) => error,
    }
}

async fn explain(client: &Client, args: &ExplainArgs) -> anyhow::Result<()> {
    let protocol = match args.proto {
        Protocol::Tcp => PolicyProtocol::Tcp,
        Protocol::Udp => PolicyProtocol::Udp,
        Protocol::Icmp => PolicyProtocol::Icmp,
    };
    let (dst, port) = destination(&args.dst, protocol)?;
    let question = ExplainPolicy { src: args.src.clone(), dst, port, protocol };
    let decisions = client.call(&endpoints::EXPLAIN_POLICY, &[], &question).await?;
    show::decisions(args.output.output, &decisions)
}

/// Divides `DST:PORT`; for ICMP a destination alone is enough.
fn destination(text: &str, protocol: PolicyProtocol) -> anyhow::Result<(String, u16)> {
    let bare = |who: &str| who.trim_start_matches('[').trim_end_matches(']').to_owned();
    if let Some((who, port)) = text.rsplit_once(':')
        && let Ok(port @ 1..) = port.parse::<u16>()
        && !who.is_empty()
        && (who.ends_with(']') || text.parse::<std::net::IpAddr>().is_err())
    {
        return Ok((bare(who), port));
    }
    if protocol == PolicyProtocol::Icmp && !text.is_empty() {
        return Ok((bare(text), 0));
    }
    Err(anyhow!(message!("no-port", text)))
}

fn text(file: &PathBuf) -> anyhow::Result<Policy> {
    Ok(Policy { policy: read(file)?, revision: None })
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context(message!("no-standard-input"))?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| message!("file-not-read", path = file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_a_port_unless_the_protocol_has_none() {
        let tcp = |text| destination(text, PolicyProtocol::Tcp).ok();
        assert_eq!(tcp("server:22"), Some(("server".to_owned(), 22)));
        assert_eq!(tcp("tag:server:22"), Some(("tag:server".to_owned(), 22)));
        assert_eq!(tcp("[fd7a::1]:22"), Some(("fd7a::1".to_owned(), 22)));
        for text in
            ["", ":22", "server", "server:0", "server:x", "server:*", "fd7a::1", "100.64.0.1"]
        {
            assert_eq!(tcp(text), None, "{text}");
        }
        let icmp = |text| destination(text, PolicyProtocol::Icmp).ok();
        assert_eq!(icmp("server"), Some(("server".to_owned(), 0)));
        assert_eq!(icmp("fd7a::1"), Some(("fd7a::1".to_owned(), 0)));
    }
}
