//! What the helper may do.

use std::{fmt, str::FromStr};

use node_agent_api::settings::Dns;
use node_agent_core::{domain::Domain, system_resolver::Method};

/// What the helper may do, from root's settings: written on its command line as `DNS INTERFACE [.] DOMAIN…`, where `.` stands for all names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What to change.
    pub(crate) dns: Dns,
    /// The interface of the tunnel, to which systemd-resolved and openresolv attach their settings.
    pub(crate) interface: String,
    /// Whether all names are looked up at the agent: with an exit node, which they must not be asked beside.
    pub(crate) takes_all: bool,
    /// Domains in addition to the network's own whose names are looked up at the agent.
    pub(crate) domains: Vec<Domain>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dns = match self.dns {
            Dns::SystemdResolved => Method::SystemdResolved.word(),
            Dns::Resolvconf => Method::Resolvconf.word(),
            Dns::ResolvConf => Method::ResolvConf.word(),
            Dns::Auto => "auto",
            Dns::Off => "off",
        };
        write!(f, "{dns} {}", self.interface)?;
        if self.takes_all {
            f.write_str(" .")?;
        }
        self.domains.iter().try_for_each(|domain| write!(f, " {}", domain.as_str()))
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(' ');
        let dns = match words.next() {
            Some("auto") => Dns::Auto,
            Some("off") => Dns::Off,
            word => match word.and_then(Method::of) {
                Some(Method::SystemdResolved) => Dns::SystemdResolved,
                Some(Method::Resolvconf) => Dns::Resolvconf,
                Some(Method::ResolvConf) => Dns::ResolvConf,
                None => return Err("no such way to change the resolver".to_owned()),
            },
        };
        let interface = words.next().filter(|name| !name.is_empty()).ok_or("no interface")?;
        let mut words = words.peekable();
        let takes_all = words.next_if_eq(&".").is_some();
        let domains = words.map(|word| word.parse::<Domain>().map_err(|error| error.to_string()));
        Ok(Self {
            dns,
            interface: interface.to_owned(),
            takes_all,
            domains: domains.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_arrives_as_it_was() {
        for text in ["auto maru0", "resolv-conf maru0 corp.example", "off m . a.example b.example"]
        {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for wrong in ["", "auto", "auto ", "maybe maru0", "auto maru0 com", "auto maru0 a.b/c"] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong:?}");
        }
    }
}
