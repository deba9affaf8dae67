//! Root's rights for a command that was typed without them.

use std::{io::IsTerminal as _, os::unix::process::CommandExt as _, process::Command};

use messages::{Message, message};

use crate::output::note;

/// Replaces this process by the same command under sudo, which asks at the terminal; returns only on failure, with what the
/// command `needs`.
pub(crate) fn again(needs: Message) -> anyhow::Error {
    if !std::io::stdin().is_terminal() {
        return anyhow::anyhow!(needs);
    }
    note(message!("sudo-asks"));
    let program = std::env::current_exe().unwrap_or_else(|_| "maru".into());
    let error =
        Command::new("sudo").arg("--").arg(program).args(std::env::args_os().skip(1)).exec();
    anyhow::anyhow!(message!("sudo-failed", needs, error))
}
