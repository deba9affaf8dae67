//! How this machine's programs are led to the agent, whichever resolver they ask, and what has to be undone.
//!
//! Before anything is changed, the method and the interface are recorded in the helper's folder, so that [`Undo`] needs no
//! settings: it works after a crash, and when the settings have changed since.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use chassis::durable::{self, Access};
use node_agent_api::settings::Dns;
use node_agent_core::{
    domain::Domain,
    resolv_conf::nameservers,
    system_resolver::{Facts, Method, is_stub, routing_domains},
};

use crate::{
    config::Paths,
    dns::{
        helper::scope::Scope,
        openresolv,
        resolv_conf::{self, RESOLV_CONF, ResolvConf},
        resolved,
    },
};

/// The system's resolver, within what the settings allow.
#[derive(Debug)]
pub(crate) struct SystemResolver {
    scope: Scope,
    undo: Undo,
    /// The network whose names were last led to the agent by this process.
    led: Mutex<Option<Domain>>,
}

/// What to undo.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    file: ResolvConf,
    record: PathBuf,
    /// The resolvers of openresolv's other entries.
    others: PathBuf,
}

impl Undo {
    /// What agents of the instance with these paths may have left.
    pub(crate) fn of(paths: &Paths) -> Self {
        Self {
            file: ResolvConf::new(RESOLV_CONF.as_ref(), &paths.resolv_conf_backup()),
            record: paths.resolver_record(),
            others: paths.other_resolvers(),
        }
    }

    /// Undoes everything; what cannot be undone stays recorded. Repeating it is safe.
    pub(crate) fn all(&self) -> io::Result<()> {
        let undone = match self.recorded() {
            Some((Method::SystemdResolved, interface)) => {
                // It may be disabled or removed since.
                if let Err(error) = resolved::unset(&interface) {
                    tracing::warn!(
                        %error,
                        interface,
                        "systemd-resolved is not asked to forget the agent: its settings end with the interface"
                    );
                }
                Ok(())
            }
            Some((Method::Resolvconf, interface)) => openresolv::unset(&interface),
            Some((Method::ResolvConf, _)) | None => Ok(()),
        };
        self.file.restore().and(undone)?;
        for path in [&self.others, &self.record] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The method and the interface of the last agent.
    fn recorded(&self) -> Option<(Method, String)> {
        let text = fs::read_to_string(&self.record).ok()?;
        let (method, interface) = text.trim_end().split_once(' ')?;
        Some((Method::of(method)?, interface.to_owned()))
    }

    fn record(&self, method: Method, interface: &str) -> io::Result<()> {
        if self.recorded().as_ref() == Some(&(method, interface.to_owned())) {
            return Ok(());
        }
        let text = format!("{method} {interface}\n");
        durable::replace(&self.record, Access::READABLE, text.as_bytes())
    }
}

impl SystemResolver {
    pub(crate) fn new(paths: &Paths, scope: Scope) -> Self {
        Self { scope, undo: Undo::of(paths), led: Mutex::default() }
    }

    /// With another file than the system's.
    #[cfg(test)]
    pub(crate) fn with_file(self, file: ResolvConf) -> Self {
        Self { undo: Undo { file, ..self.undo }, ..self }
    }

    /// Undoes what an earlier agent left, and makes a file if there is none and it will be written.
    pub(crate) fn open(&self) -> io::Result<()> {
        self.undo.all()?;
        if self.method() == Method::ResolvConf { self.undo.file.open() } else { Ok(()) }
    }

    /// What leads programs to the agent: what the settings say, or else what they ask now.
    pub(crate) fn method(&self) -> Method {
        match self.scope.dns {
            Dns::SystemdResolved => Method::SystemdResolved,
            Dns::Resolvconf => Method::Resolvconf,
            Dns::ResolvConf => Method::ResolvConf,
            Dns::Auto | Dns::Off => facts().method(),
        }
    }

    /// Leads programs to the agent for names of `network`. A repeated call does again what other programs undid. Returns `false`,
    /// and changes nothing, where that would not reach them: the file is a link to another resolver's own.
    pub(crate) fn take(&self, method: Method, network: &Domain) -> io::Result<bool> {
        let interface = self.scope.interface.as_str();
        self.undo.record(method, interface)?;
        match method {
            Method::SystemdResolved => {
                let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
                if led.as_ref() != Some(network) || !resolved::is_set(interface)? {
                    let (domains, takes_all) = (&self.scope.domains, self.scope.takes_all);
                    resolved::set(interface, &routing_domains(network, domains), takes_all)?;
                    *led = Some(network.clone());
                }
                Ok(true)
            }
            Method::Resolvconf => openresolv::set(interface, network, &self.undo.others),
            Method::ResolvConf => self.undo.file.take(network),
        }
    }

    /// Undoes what [`Self::take`] did.
    pub(crate) fn restore(&self) -> io::Result<()> {
        *self.led.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.undo.all()
    }
}

/// What the choice of the method depends on.
fn facts() -> Facts {
    Facts {
        resolv_conf: resolv_conf::read(RESOLV_CONF.as_ref()).unwrap_or_default(),
        nsswitch: fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default(),
        has_resolved: resolved::is_there(),
        has_openresolv: openresolv::is_there(),
    }
}

/// The resolvers of the networks, to which the agent forwards what it is asked beside the network's names.
pub(crate) fn uplinks(paths: &Paths, method: Option<Method>) -> Vec<std::net::IpAddr> {
    let of = |path: &std::path::Path| nameservers(&resolv_conf::read(path).unwrap_or_default());
    match method {
        // Not its own address: it would ask the agent again for names below `dns_domains`.
        Some(Method::SystemdResolved) => of(resolved::UPLINKS.as_ref()),
        Some(Method::Resolvconf) => of(&paths.other_resolvers()),
        Some(Method::ResolvConf) | None => {
            let servers = resolv_conf::previous(RESOLV_CONF.as_ref(), &paths.resolv_conf_backup());
            // systemd-resolved, where the settings lead nobody to the agent, or not yet.
            if is_stub(&servers) { of(resolved::UPLINKS.as_ref()) } else { servers }
        }
    }
}
