//! Resolvers and names beside those of the nodes: `[dns]` of the settings, checked.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use control_protocol::map::{DnsConfig, DnsRecord, Resolver};
use coordinator_api::settings::Dns;

use crate::name;

/// Resolvers in one list.
const RESOLVERS_MAX: usize = 8;
/// Domains with resolvers of their own.
const SPLIT_MAX: usize = 64;
/// Search domains; the network's own comes before them.
const SEARCH_MAX: usize = 16;
/// Extra records: every node is told all of them.
const RECORDS_MAX: usize = 256;
/// Longest URL of a resolver.
const URL_MAX: usize = 255;

/// What nodes are told of names beside the nodes' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraDns {
    resolvers: Vec<Resolver>,
    split: BTreeMap<String, Vec<Resolver>>,
    search: Vec<String>,
    records: BTreeMap<String, Vec<IpAddr>>,
}

impl ExtraDns {
    /// Checks the settings for the network `domain`.
    ///
    /// # Errors
    ///
    /// One sentence that names the setting, what is wrong with it and what to write.
    pub fn parse(dns: &Dns, domain: &str) -> Result<Self, String> {
        let resolvers = resolvers("resolvers", &dns.resolvers)?;
        at_most("split_domains", dns.split_domains.len(), SPLIT_MAX)?;
        let mut split = BTreeMap::new();
        for (text, servers) in &dns.split_domains {
            let setting = format!("split_domains.{text:?}");
            let suffix = full_name(&setting, text)?;
            if suffix == domain || suffix.ends_with(&format!(".{domain}")) {
                return Err(format!(
                    "{setting} is the network's own domain, whose names the nodes know: remove it"
                ));
            }
            if servers.is_empty() {
                return Err(format!("{setting} has no resolver: name one, such as \"10.0.0.53\""));
            }
            split.insert(suffix, self::resolvers(&setting, servers)?);
        }
        at_most("search_domains", dns.search_domains.len(), SEARCH_MAX)?;
        let search = dns.search_domains.iter().map(|text| full_name("search_domains", text));
        let mut search: Vec<String> = search.collect::<Result<_, _>>()?;
        search.retain(|suffix| suffix != domain);
        at_most("extra_records", dns.extra_records.len(), RECORDS_MAX)?;
        let mut records = BTreeMap::<String, Vec<IpAddr>>::new();
        for record in &dns.extra_records {
            let name = record_name(&record.name, domain)?;
            records.entry(name).or_default().push(record.address);
        }
        Ok(Self { resolvers, split, search, records })
    }

    /// Adds them to what a node is told. A name that `is_taken`, by a node or a record of the network's own, stays that
    /// one's.
    pub fn add_to(&self, dns: &mut DnsConfig, is_taken: impl Fn(&str) -> bool) {
        dns.resolvers.clone_from(&self.resolvers);
        dns.routes.extend(self.split.clone());
        dns.domains.extend(self.search.iter().cloned());
        for (name, addresses) in self.records.iter().filter(|(name, _)| !is_taken(name)) {
            let is_covered = dns.routes.keys().any(|suffix| is_below(name, suffix));
            if !is_covered {
                // A client asks its own resolver for what lies below a route alone.
                dns.routes.insert(name.clone(), Vec::new());
            }
            dns.extra_records.extend(addresses.iter().map(|address| DnsRecord {
                name: name.clone(),
                r#type: if address.is_ipv4() { "A" } else { "AAAA" }.to_owned(),
                value: address.to_string(),
            }));
        }
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|left| left.is_empty() || left.ends_with('.'))
}

fn at_most(setting: &str, count: usize, max: usize) -> Result<(), String> {
    if count <= max {
        return Ok(());
    }
    Err(format!("{setting} in [dns] has {count} entries: {max} is the most"))
}

fn resolvers(setting: &str, texts: &[String]) -> Result<Vec<Resolver>, String> {
    at_most(setting, texts.len(), RESOLVERS_MAX)?;
    let resolver = |text: &String| {
        if !is_resolver(text) {
            return Err(format!(
                "{setting} in [dns] has {text:?}: a resolver is an address, such as \"192.168.1.1\", an address with a \
                 port, or the https:// URL of one that speaks DNS over HTTPS"
            ));
        }
        Ok(Resolver { addr: text.clone(), ..Resolver::default() })
    };
    texts.iter().map(resolver).collect()
}

fn is_resolver(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("https://") {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\#@".contains(&byte);
        return !host.is_empty() && text.len() <= URL_MAX && text.bytes().all(plain);
    }
    let address = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().filter(|at| at.port() > 0).map(|at| at.ip());
    address.or_else(with_port).is_some_and(|ip| !ip.is_unspecified() && !ip.is_multicast())
}

/// A domain of one label or more, lower case, without its final dot.
fn full_name(setting: &str, text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(name);
    }
    Err(format!(
        "{setting} in [dns] has {text:?}: a domain is labels of a-z, 0-9 and - with dots between"
    ))
}

/// A label of a foreign name, which may have `_` too.
fn is_label(label: &str) -> bool {
    name::is_label(&label.replace('_', "x"))
}

fn record_name(text: &str, domain: &str) -> Result<String, String> {
    let name = full_name("extra_records", text)?;
    if !name.contains('.') {
        return Err(format!(
            "extra_records in [dns] has {text:?}: a record's name is a full one, such as \"nas.home.arpa\""
        ));
    }
    let host = || name.strip_suffix(domain)?.strip_suffix('.');
    let own = if name == domain { Some("") } else { host() };
    if own.is_some_and(|host| ["", "home"].contains(&host) || name::is_reserved(host)) {
        return Err(format!(
            "extra_records in [dns] has {text:?}, which is reserved for the home node or a service of the network: \
             choose another name"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
