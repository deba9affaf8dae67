//! The arguments of `maru setup`.

use std::path::PathBuf;

use clap::Args;
use coordinator_core::name;
use messages::message;

use crate::{
    backup::kept,
    error::Usage,
    passphrase::PassphraseSource,
    up::{
        args::EngineArgs,
        checks,
        config::{self, Reach},
    },
};

#[derive(Clone, Debug, Args)]
pub(crate) struct SetupArgs {
    /// Domain of the network, such as maru.home.arpa; it never changes
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// First person; an invitation for a device is made
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Name or address by which devices reach this machine, without a certificate
    #[arg(long, value_name = "HOST", conflicts_with_all = ["domain", "lan"])]
    pub(crate) address: Option<String>,
    /// Name in public DNS by which devices reach this machine, with a certificate from Let's Encrypt: the name's port 443 leads
    /// to port 8443 here
    #[arg(long, value_name = "NAME", conflicts_with = "lan")]
    pub(crate) domain: Option<String>,
    /// Only devices in the local network reach this machine, by its address there
    #[arg(long)]
    pub(crate) lan: bool,
    /// Model that answers: its name in the folder of models, or a GGUF file, which is copied there
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Folder of the daily backups, below /var/backups, /mnt, /media or /srv [default: /var/backups/maru]
    #[arg(long, value_name = "DIR")]
    pub(crate) backups: Option<PathBuf>,
    /// How many daily backups stay; older ones are deleted [default: 7]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) keep_backups: Option<u16>,
    /// Check everything and show what would be written; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

impl SetupArgs {
    /// Checks what will be written into the configuration.
    pub(super) fn check(&self) -> Result<(), Usage> {
        let (address, network, user) = (&self.address, &self.network, &self.user);
        checks::options(address.as_deref(), network.as_deref(), user.as_deref())?;
        if let Some(folder) = &self.backups {
            kept::check_place(folder).map_err(Usage)?;
        }
        self.domain.as_deref().map_or(Ok(()), check_domain)
    }

    /// How devices reach this machine, if that was named.
    pub(super) fn reach(&self) -> anyhow::Result<Option<Reach>> {
        Ok(match (&self.address, &self.domain) {
            (Some(address), _) => Some(Reach::Plain(address.clone())),
            (None, Some(domain)) => Some(Reach::Certified(domain.clone())),
            (None, None) if self.lan => Some(Reach::Plain(config::own_address()?)),
            (None, None) => None,
        })
    }
}

/// Fails if no public authority would issue a certificate for this name.
pub(super) fn check_domain(text: &str) -> Result<(), Usage> {
    let last = text.rsplit('.').next().unwrap_or_default();
    if name::is_domain(text) && !last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(Usage(message!("not-a-public-name", name = format!("{text:?}"))))
}
