//! Who speaks WireGuard with the devices: the kernel, or our own device.

use std::{collections::HashMap, io, os::fd::OwnedFd, sync::Arc};

use messages::Message;
use node_agent_api::wireguard::WireguardKind;
use rtnetlink::Handle;
use wireguard_device::Config;

use super::{
    kernel,
    peer::{Peer, PeerState},
    userspace::Userspace,
};

/// How it stands, for the status.
#[derive(Debug, Default)]
pub(crate) struct ServiceState {
    /// Who speaks; `None` while nobody does.
    pub(crate) speaker: Option<Arc<Speaker>>,
    /// What does not work.
    pub(crate) problem: Option<Message>,
}

/// WireGuard does not run, or does not take its settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpeakerError {
    #[error(transparent)]
    Device(#[from] wireguard_device::Error),
    #[error("cannot use the TUN device once more")]
    Tun(#[source] io::Error),
    #[error("the kernel's WireGuard does not take its settings")]
    Kernel(#[source] io::Error),
}

/// Who speaks WireGuard.
#[derive(Debug)]
pub(crate) enum Speaker {
    /// The kernel, on the interface with this name.
    Kernel(String),
    /// The agent.
    Userspace(Userspace),
}

impl Speaker {
    /// Makes the interface, which is down: the kernel's if it knows WireGuard, else our own on `tun`.
    pub(super) async fn start(
        handle: &Handle,
        config: Config,
        tun: Option<&OwnedFd>,
    ) -> Result<Self, SpeakerError> {
        match kernel::create(handle, &config.interface).await {
            Ok(()) => {
                let (name, port) = (config.interface, config.listen_port);
                kernel::configure(&name, &config.private_key, port)
                    .map_err(SpeakerError::Kernel)?;
                Ok(Self::Kernel(name))
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::info!(error, "the kernel has no WireGuard: the agent speaks it itself");
                let tun = tun.map(OwnedFd::try_clone).transpose().map_err(SpeakerError::Tun)?;
                Ok(Self::Userspace(Userspace::start(tun, config)?))
            }
        }
    }

    pub(crate) fn kind(&self) -> WireguardKind {
        match self {
            Self::Kernel(_) => WireguardKind::Kernel,
            Self::Userspace(_) => WireguardKind::Userspace,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        match self {
            Self::Kernel(_) => true,
            Self::Userspace(userspace) => userspace.is_running(),
        }
    }

    /// Replaces the devices `before`: those that are gone first, with their sessions.
    pub(super) fn set_peers(&self, before: &[Peer], now: &[Peer]) -> Result<(), SpeakerError> {
        match self {
            Self::Kernel(name) => {
                kernel::set_peers(name, before, now).map_err(SpeakerError::Kernel)
            }
            Self::Userspace(userspace) => {
                userspace.set_peers(now);
                Ok(())
            }
        }
    }

    /// What is known of each device, by its key.
    pub(crate) fn states(&self) -> HashMap<[u8; 32], PeerState> {
        match self {
            Self::Kernel(name) => kernel::states(name).unwrap_or_else(|error| {
                tracing::debug!(%error, "the kernel does not say how WireGuard devices are");
                HashMap::new()
            }),
            Self::Userspace(userspace) => userspace.states(),
        }
    }
}
