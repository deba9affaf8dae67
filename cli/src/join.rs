//! `maru join URL` and `maru leave`.

use std::{
    io::{BufRead, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use coordinator_api::invitation::{Destination, MAX_LEN};
use coordinator_core::code;
use messages::message;
use node_agent_api::{
    Join, State, Status,
    endpoints::{JOIN, LEAVE, STATUS},
};

use crate::{client::Client, error::Usage, output, problem, secret_file};

/// How long the command waits for the coordinator's answer.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);
/// Stands for standard input.
const STDIN: &str = "-";

#[derive(Clone, Args)]
pub(crate) struct JoinArgs {
    /// The invitation, or the coordinator's address; - reads it from standard input, so that it is
    /// not in the shell's history
    #[arg(value_name = "INVITATION")]
    pub(crate) url: String,
    /// Pre-auth key, for an address that is no invitation; - reads it from standard input, since every user of this machine
    /// can read what stands in a command
    #[arg(long, value_name = "K")]
    pub(crate) key: Option<String>,
    /// File with that key, which its owner alone may read
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) key_file: Option<PathBuf>,
    /// Certificate of the authority behind an https:// coordinator [default: this machine's]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Name to request [default: this machine's]
    #[arg(long, value_name = "H")]
    pub(crate) hostname: Option<String>,
    /// Wait until the admin has approved this device
    #[arg(long)]
    pub(crate) wait: bool,
}

/// Shows neither the invitation nor the key.
impl std::fmt::Debug for JoinArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinArgs")
            .field("hostname", &self.hostname)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// Asks the agent to join, and reports its progress.
pub(crate) async fn join(args: JoinArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let has_key = args.key.is_some() || args.key_file.is_some();
    if args.url == STDIN && args.key.as_deref() == Some(STDIN) {
        let text = message!("one-standard-input");
        return Err(Usage(text).into());
    }
    let url = invitation(args.url)?;
    check(&url, has_key)?;
    let key = key(args.key, args.key_file.as_deref())?;
    let client = Client::agent(root);
    let ca = args.ca.as_deref().map(certificates).transpose()?;
    let body = Join { url, key, hostname: args.hostname, ca };
    client.call(&JOIN, &[], &body).await?;
    let mut said_waiting = false;
    let started = Instant::now();
    loop {
        let status = client.call(&STATUS, &[], &()).await?;
        match status.state {
            State::Running => {
                joined(&status)?;
                return Ok(ExitCode::SUCCESS);
            }
            State::WaitingForApproval => {
                // It waits for an approval that it was waiting for before.
                if let Some(problem) = problem::of(&status) {
                    bail!(problem);
                }
                if !said_waiting {
                    waiting(&status)?;
                    said_waiting = true;
                }
                if !args.wait {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            State::NeedsJoin | State::Expired => {
                if let Some(problem) = problem::of(&status) {
                    bail!(problem);
                }
            }
            State::Joining | State::Paused => {}
        }
        if !said_waiting && started.elapsed() > PATIENCE {
            let problem =
                problem::of(&status).unwrap_or_else(|| message!("coordinator-silent").to_string());
            bail!(message!("agent-tries-on", problem));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Reads the file of `--ca`, which the agent itself, under a user of its own, perhaps could not.
fn certificates(path: &Path) -> anyhow::Result<String> {
    let bytes = chassis::pem::contents(path)?;
    chassis::pem::certificates(path)?;
    String::from_utf8(bytes.to_vec()).with_context(|| message!("not-pem", path = path.display()))
}

/// Asks the agent to leave.
pub(crate) async fn leave(root: &Path) -> anyhow::Result<ExitCode> {
    Client::agent(root).call(&LEAVE, &[], &()).await?;
    output::line(message!("left"))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints this device's name, and the domain below which its coordinator may set names.
fn joined(status: &Status) -> anyhow::Result<()> {
    let name = status.node.as_ref().map_or("", |node| node.name.as_str());
    if let Some(network) = &status.network {
        return output::line(message!("joined", name, network));
    }
    problem::of(status).iter().for_each(output::note);
    output::line(message!("joined-without-names", name))
}

fn waiting(status: &Status) -> anyhow::Result<()> {
    let page = status.auth_url.as_deref().unwrap_or_default();
    output::line(message!("waiting-for-approval", device = own_code(status), page))
}

/// The code under which this device waits, which is made from the last part of its page's address.
fn own_code(status: &Status) -> String {
    let ticket = status.auth_url.as_deref().and_then(|url| url.rsplit('/').next());
    let ticket = ticket.filter(|ticket| ticket.len() == 32);
    ticket.map_or_else(|| "CODE".to_owned(), code::of)
}

/// The text that was given; `-` stands for standard input, so that it is in no history and no process list.
fn invitation(text: String) -> anyhow::Result<String> {
    if text != STDIN {
        return Ok(text);
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return read(input.lock(), |_| false);
    }
    output::note(message!("paste-invitation"));
    read(input.lock(), |line| line.trim().is_empty())
}

/// The pre-auth key, if one was given: itself, as a line of standard input, or in a file.
fn key(given: Option<String>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    if let Some(file) = file {
        return secret_file::read(file, &message!("pre-auth-key")).map(|key| Some(key.to_string()));
    }
    if given.as_deref() != Some(STDIN) {
        return Ok(given);
    }
    let input = std::io::stdin();
    if input.is_terminal() {
        output::note(message!("paste-key"));
    }
    line(input.lock()).map(Some)
}

/// A key on the first line of what is read.
fn line(input: impl BufRead) -> anyhow::Result<String> {
    let key = secret_file::word(&read(input, |_| true)?, &message!("pre-auth-key"));
    key.map(|key| key.to_string()).context(message!("standard-input-unusable"))
}

/// Reads lines up to the one that ends the input, or to its end; a messenger may have broken the invitation.
fn read(input: impl BufRead, is_last: impl Fn(&str) -> bool) -> anyhow::Result<String> {
    let mut text = String::new();
    // One byte more than is ever looked at tells what is too long.
    let mut input = input.take(MAX_LEN as u64 + 1);
    loop {
        let start = text.len();
        if input.read_line(&mut text).context(message!("standard-input-no-text"))? == 0
            || is_last(&text[start..])
        {
            return Ok(text);
        }
    }
}

/// Refuses a text that cannot be an invitation or an address, before a key is read.
fn check(text: &str, has_key: bool) -> Result<(), Usage> {
    match Destination::read(text) {
        Ok(Destination::Invitation(_)) if has_key => Err(Usage(message!("invitation-has-key"))),
        Ok(Destination::Invitation(_) | Destination::Address(_)) => Ok(()),
        Err(error) => Err(Usage(error.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_and_an_address_are_taken() {
        let end = format!("#1.{}.marukey-{}", "ab".repeat(32), "5e".repeat(24));

        assert!(check(&format!("maru://203.0.113.7:8443/join{end}"), false).is_ok());
        assert!(check(&format!("https://maru.example.org/join{end}"), false).is_ok());
        assert!(check("http://203.0.113.7:8443", false).is_ok());
        assert!(check("https://maru.example.org/", true).is_ok());
        let twice = check(&format!("maru://h/join{end}"), true).unwrap_err();
        assert!(twice.to_string().contains("--key"), "{twice}");
        let cut = check(&format!("maru://h/join{}", &end[..end.len() - 1]), false).unwrap_err();
        assert!(cut.to_string().contains("cut short"), "{cut}");
    }

    #[test]
    fn a_key_is_read_from_a_line_or_from_a_file_of_ones_own() {
        use std::os::unix::fs::PermissionsExt as _;

        assert_eq!(line(&b"  marukey-5e \nrm -r /\n"[..]).unwrap(), "marukey-5e");
        for text in [&b""[..], b"\nmarukey-5e", b"two words\n", b"\xff\n"] {
            assert!(line(text).is_err(), "{text:?}");
        }

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "marukey-5e\n").unwrap();
        let from = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), mode).unwrap();
            key(None, Some(file.path()))
        };
        assert_eq!(from(0o600).unwrap().as_deref(), Some("marukey-5e"));
        let error = from(0o644).unwrap_err().to_string();
        assert!(error.contains("others may read the pre-auth key in "), "{error}");
        assert!(!error.contains("marukey-5e"), "the key is not shown");
        assert_eq!(
            key(Some("marukey-5e".to_owned()), None).unwrap().as_deref(),
            Some("marukey-5e")
        );
    }

    #[test]
    fn what_is_pasted_ends_with_an_empty_line_or_with_the_input() {
        let blank = |line: &str| line.trim().is_empty();

        assert_eq!(read(&b"maru://a\nb\n\nrm -r /\n"[..], blank).unwrap(), "maru://a\nb\n\n");
        assert_eq!(read(&b"maru://a\n\nb"[..], |_| false).unwrap(), "maru://a\n\nb");
        let long = vec![b'a'; 3 * MAX_LEN];
        let read = read(&long[..], blank).unwrap();
        assert_eq!(Destination::read(&read), Err(coordinator_api::invitation::Error::TooLong));
        assert!(super::read(&b"\xff"[..], blank).is_err());
    }
}
