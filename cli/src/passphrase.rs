//! `maru passphrase …`: the passphrase of this machine's key.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use messages::message;
use zeroize::Zeroizing;

use crate::{
    backup::as_root,
    machine_key::{self, Protection},
    output,
};

mod source;

use source::read_new;
pub(crate) use source::{PassphraseSource, read_secret};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PassphraseCommand {
    /// Protect the machine's key by a passphrase, or by another one; each start of `maru up` needs it from then on
    Set(SetArgs),
    /// Store the machine's key without a passphrase, readable by root
    Remove(PassphraseSource),
    /// Have this machine open its key by itself, by its TPM if it has one; the passphrase still opens it, on every machine
    Seal(PassphraseSource),
    /// Hand the machine's key to the gateway, until this machine stops; for a gateway that systemd starts
    Unlock(PassphraseSource),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    present: PassphraseSource,
    /// File with the new passphrase; - reads it from standard input [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    new_file: Option<PathBuf>,
}

/// Runs one of the commands.
pub(crate) fn run(command: PassphraseCommand, root: &Path) -> anyhow::Result<ExitCode> {
    as_root("passphrase")?;
    match command {
        PassphraseCommand::Set(SetArgs { present, new_file }) => {
            let key = machine_key::open(root, || present.read())?;
            let new = read_new(new_file.as_deref())?;
            let key = key.map_or_else(|| machine_key::begin(root), Ok)?;
            machine_key::store(root, &key, Some(&new))?;
            output::line(message!("passphrase-set"))?;
            output::note(message!("passphrase-lost"));
        }
        PassphraseCommand::Remove(present) => {
            let Some(key) = machine_key::open(root, || present.read())? else {
                return output::line(message!("passphrase-none")).map(|()| ExitCode::SUCCESS);
            };
            machine_key::store(root, &key, None)?;
            output::line(message!("passphrase-removed", path = machine_key::path(root).display()))?;
        }
        PassphraseCommand::Seal(present) => {
            let made = machine_key::seal(root, || present.read())?;
            say_sealed(root, made.as_ref())?;
        }
        PassphraseCommand::Unlock(present) => {
            if !machine_key::is_handed_over(root) {
                let key = machine_key::open(root, || present.read())?;
                let key = key.map_or_else(|| machine_key::begin(root), Ok)?;
                machine_key::hand_over(root, &key)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what seals the key, and shows a passphrase that was made, this once.
pub(crate) fn say_sealed(root: &Path, made: Option<&Zeroizing<String>>) -> anyhow::Result<()> {
    output::line(match machine_key::protection(root)? {
        Some(Protection::Tpm) => message!("passphrase-sealed-tpm"),
        Some(Protection::Host) => message!("passphrase-sealed-host"),
        Some(Protection::File | Protection::Passphrase) | None => return Ok(()),
    })?;
    if let Some(passphrase) = made {
        output::line(message!("passphrase-made"))?;
        output::line(&**passphrase)?;
    }
    Ok(())
}
