//! maru-llm.

use std::{
    env,
    error::Error,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use chassis::{failure, log::LevelFilter};
use clap::Parser as _;
use maru_llm::{Ended, Options, STACK, run};

/// Where llama.cpp's lines come from.
const LLAMA: &str = "llama-cpp-2";

fn main() -> ExitCode {
    let options = Options::parse();
    // What it says before this program's own sentence explains that one, for those who ask for details. Below level warn it may
    // log tokens, so that cannot be switched on.
    let is_detailed = options.log.is_detailed(LLAMA);
    let most = if is_detailed { LevelFilter::WARN } else { LevelFilter::OFF };
    options.log.clone().start(&[(LLAMA, most)]);
    let runtime =
        tokio::runtime::Builder::new_current_thread().thread_stack_size(STACK).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(options)).map_err(Box::<dyn Error>::from),
        Err(error) => Err(error.into()),
    };
    failure::exit("maru-llm", ended.and_then(go_on))
}

/// Begins anew if nobody needs the model any more: nothing of it, nor of any conversation, is left in memory.
fn go_on(ended: Ended) -> Result<(), Box<dyn Error>> {
    match ended {
        Ended::Asked => Ok(()),
        Ended::Idle => {
            Err(Command::new("/proc/self/exe").args(env::args_os().skip(1)).exec().into())
        }
    }
}
