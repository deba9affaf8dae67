//! Resolvers and extra records: `[dns]` of the settings, validated; and the names with public certificates.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use control_protocol::map::{DnsConfig, DnsRecord, Resolver};
use coordinator_api::settings::Dns;

use crate::name;

/// Limit of resolvers in one list.
const RESOLVERS_MAX: usize = 8;
/// Limit of split domains.
const SPLIT_MAX: usize = 64;
/// Limit of search domains, without the network's own.
const SEARCH_MAX: usize = 16;
/// Limit of extra records, all of which are sent to every node.
const RECORDS_MAX: usize = 256;
/// Longest URL of a resolver.
const URL_MAX: usize = 255;

/// Resolvers and extra records for all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraDns {
    resolvers: Vec<Resolver>,
    split: BTreeMap<String, Vec<Resolver>>,
    search: Vec<String>,
    records: BTreeMap<String, Vec<IpAddr>>,
    certified: BTreeSet<String>,
}

impl ExtraDns {
    /// Validates the settings for the network `domain`.
    ///
    /// # Errors
    ///
    /// A sentence with the setting, what is wrong and what to write.
    pub fn parse(dns: &Dns, domain: &str) -> Result<Self, String> {
        let resolvers = resolvers("resolvers", &dns.resolvers)?;
        at_most("split_domains", dns.split_domains.len(), SPLIT_MAX)?;
        let mut split = BTreeMap::new();
        for (text, servers) in &dns.split_domains {
            let setting = format!("split_domains.{text:?}");
            let suffix = full_name(&setting, text)?;
            if suffix == domain || suffix.ends_with(&format!(".{domain}")) {
                return Err(format!(
                    "{setting} is the network's own domain, which the nodes resolve: remove it"
                ));
            }
            if servers.is_empty() {
                return Err(format!("{setting} has no resolver: add one, such as \"10.0.0.53\""));
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
        Ok(Self { resolvers, split, search, records, certified: BTreeSet::new() })
    }

    /// Lets the nodes with these names have public certificates for them.
    #[must_use]
    pub fn certifying(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { certified: names.into_iter().collect(), ..self }
    }

    /// Whether the node with this name may have a public certificate for it.
    #[must_use]
    pub fn certifies(&self, name: &str) -> bool {
        self.certified.contains(name)
    }

    /// Adds them to a node's DNS configuration, except names that `is_taken` by a node or another record.
    pub fn add_to(&self, dns: &mut DnsConfig, is_taken: impl Fn(&str) -> bool) {
        dns.resolvers.clone_from(&self.resolvers);
        dns.routes.extend(self.split.clone());
        dns.domains.extend(self.search.iter().cloned());
        for (name, addresses) in self.records.iter().filter(|(name, _)| !is_taken(name)) {
            let is_covered = dns.routes.keys().any(|suffix| is_below(name, suffix));
            if !is_covered {
                // Clients answer a record only if a route covers its name.
                dns.routes.insert(name.clone(), Vec::new());
            }
            dns.extra_records.extend(addresses.iter().map(|ip| DnsRecord::new(name, *ip)));
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
    Err(format!("{setting} in [dns] has {count} entries: the limit is {max}"))
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
        Ok(Resolver { addr: text.clone() })
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

/// Parses a domain; returns it in lower case and without a final dot.
fn full_name(setting: &str, text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(name);
    }
    Err(format!(
        "{setting} in [dns] has {text:?}: a domain is labels of a-z, 0-9 and - with dots between"
    ))
}

/// A label, which may also contain `_`.
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
