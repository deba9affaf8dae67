//! The state that the relay's connections share.

use std::{sync::Arc, time::Duration};

use chassis::{quota::Quota, state::StateError};
use control_protocol::key::NodePrivate;

use super::{clients::Clients, rates::Rates};
use crate::{
    admission::Admission,
    clock,
    config::Config,
    files::Paths,
    limits::{self, Origin},
};

/// Interval of checking clients against the list of nodes.
const LOOK: Duration = Duration::from_millis(500);
/// Interval of removing full token buckets.
const FORGET: Duration = Duration::from_secs(60);

/// The state that the relay's connections share.
pub(super) struct RelayState {
    pub(super) key: NodePrivate,
    pub(super) admission: Admission,
    pub(super) clients: Clients,
    pub(super) connections: Quota<Origin>,
    pub(super) rates: Rates,
    /// Longest interval of keep-alives.
    pub(super) keep_alive: Duration,
}

impl RelayState {
    pub(super) fn new(
        key: NodePrivate,
        config: &Config,
        paths: &Paths,
    ) -> Result<Arc<Self>, StateError> {
        Ok(Arc::new(Self {
            key,
            admission: Admission::follow(paths)?,
            clients: Clients::default(),
            connections: limits::connections(),
            rates: Rates::new(&config.settings.relay),
            keep_alive: config.relay_keep_alive,
        }))
    }

    /// Disconnects clients that are no longer nodes.
    pub(super) async fn keep_to_nodes(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let (keys, now) = (self.admission.keys(), clock::now());
            self.clients.retain(|key| keys.admit(key, now));
        }
    }

    /// Removes full token buckets.
    pub(super) async fn forget(&self) {
        loop {
            tokio::time::sleep(FORGET).await;
            self.rates.forget();
        }
    }
}
