//! Keeps this machine's programs led to the agent, and the agent to the resolvers of the networks, whichever these are now.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    sync::{Arc, Mutex, PoisonError},
};

use common::mesh::RESOLVER;
use node_agent_api::settings::Dns;
use node_agent_core::{domain::Domain, system_resolver::Method};

use crate::{
    agent::Agent,
    dns::{
        helper::{Helper, HelperError},
        openresolv,
        resolv_conf::RESOLV_CONF,
        resolved, system,
    },
};

/// Files that other programs write when the network changes, and folders in which they make files: systemd-resolved one for each
/// interface with settings, openresolv its lock.
const WATCHED: [&str; 4] = [RESOLV_CONF, resolved::UPLINKS, resolved::LINKS, openresolv::FOLDER];

/// What tells one state of a file from another: inode, size, and time of the last change.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Names of the network for this machine's programs; undone on drop.
pub(crate) struct Names {
    agent: Arc<Agent>,
    helper: Option<Arc<Helper>>,
    seen: Mutex<Snapshot>,
}

/// What the last check found.
#[derive(Default)]
struct Snapshot {
    files: [Stamp; WATCHED.len()],
    method: Option<Method>,
    /// Whether it was logged that a file is left alone.
    logged: bool,
}

impl Drop for Names {
    fn drop(&mut self) {
        let Some(helper) = &self.helper else { return };
        self.agent.dns.send_replace(None);
        if let Err(error) = helper.restore() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the system's resolver is not restored; the next start or `maru-agent restore` will do it"
            );
        }
    }
}

impl Names {
    /// Reads the networks' resolvers. Programs are led to the agent once there is a network.
    pub(crate) fn new(agent: &Arc<Agent>, helper: Option<Arc<Helper>>) -> Self {
        let names = Self { agent: Arc::clone(agent), helper, seen: Mutex::default() };
        names.read_uplinks(None);
        if agent.config.settings.dns == Dns::Off {
            agent.dns.send_replace(Some("off"));
        }
        names
    }

    /// Whether another program changed a file since the last check.
    pub(crate) fn is_changed(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).files != stamps()
    }

    /// Leads programs to the agent for names of `network`, or no longer if there is none; then reads the networks' resolvers, which
    /// may be others now.
    pub(crate) fn check(&self, network: Option<&Domain>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(helper) = &self.helper {
            let led = tokio::task::block_in_place(|| lead(helper, network));
            let method = led.as_ref().ok().copied().flatten();
            match led {
                Ok(Some((_, true)) | None) => seen.logged = false,
                Ok(Some((method, false))) if !std::mem::replace(&mut seen.logged, true) => {
                    tracing::warn!(
                        %method,
                        "{RESOLV_CONF} is another resolver's own and is not changed: point that resolver at {RESOLVER} for the network's names"
                    );
                }
                Ok(Some((_, false))) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the system's resolver is not changed");
                }
            }
            let in_force = method.filter(|(_, is_led)| *is_led).map(|(method, _)| method);
            if in_force != seen.method {
                seen.method = in_force;
                self.agent.dns.send_replace(in_force.map(Method::word));
            }
        }
        self.read_uplinks(seen.method);
        // What the helper wrote is no change.
        seen.files = stamps();
    }

    fn read_uplinks(&self, method: Option<Method>) {
        self.agent.forwarder.set_servers(&system::uplinks(&self.agent.paths, method));
    }
}

/// The method, and whether it reaches programs; `None` without a network.
fn lead(helper: &Helper, network: Option<&Domain>) -> Result<Option<(Method, bool)>, HelperError> {
    match network {
        Some(network) => helper.point(network.clone()).map(Some),
        None => helper.restore().map(|()| None),
    }
}

fn stamps() -> [Stamp; WATCHED.len()] {
    let stamp = |found: io::Result<fs::Metadata>| {
        found.ok().map(|it| (it.ino(), it.size(), it.ctime(), it.ctime_nsec()))
    };
    WATCHED.map(|path| stamp(fs::metadata(path)))
}
