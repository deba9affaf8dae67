//! Where a passphrase comes from: a file, standard input, or somebody at the terminal.

use std::{
    io::{BufRead as _, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use console::Term;
use messages::{Message, message};
use zeroize::Zeroizing;

use crate::secret_file;

/// Fewest characters of a new passphrase.
const MIN: usize = 12;
/// Most bytes of a line on standard input.
const MAX: u64 = 4096;

/// Where the present passphrase comes from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PassphraseSource {
    /// File with the passphrase; - reads it from standard input [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseSource {
    /// Reads the passphrase.
    pub(crate) fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        read(self.passphrase_file.as_deref(), &message!("passphrase-ask"))
    }
}

/// Reads a new passphrase, at the terminal twice.
pub(super) fn read_new(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    let new = read(file, &message!("passphrase-ask-new"))?;
    ensure!(new.chars().count() >= MIN, message!("passphrase-short", min = MIN));
    if file.is_none() {
        ensure!(new == ask(&message!("passphrase-ask-again"))?, message!("passphrases-differ"));
    }
    Ok(new)
}

fn read(file: Option<&Path>, prompt: &Message) -> anyhow::Result<Zeroizing<String>> {
    let line = match file {
        None => return ask(prompt),
        Some(path) if path == Path::new("-") => {
            let mut line = Zeroizing::new(String::new());
            std::io::stdin()
                .lock()
                .take(MAX)
                .read_line(&mut line)
                .context(message!("stdin-unreadable"))?;
            line
        }
        Some(path) => secret_file::text(path, &message!("passphrase"))?,
    };
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Reads a secret that is no passphrase: at the terminal, or the first line of standard input.
pub(crate) fn read_secret(prompt: &Message) -> anyhow::Result<Zeroizing<String>> {
    let at_terminal = std::io::stdin().is_terminal();
    read((!at_terminal).then_some(Path::new("-")), prompt)
}

/// Asks at the terminal, without showing what is typed.
fn ask(prompt: &Message) -> anyhow::Result<Zeroizing<String>> {
    let terminal = Term::stderr();
    if !terminal.is_term() || !std::io::stdin().is_terminal() {
        bail!(message!("passphrase-needed"));
    }
    terminal.write_str(&format!("{prompt}: "))?;
    Ok(Zeroizing::new(terminal.read_secure_line()?))
}
