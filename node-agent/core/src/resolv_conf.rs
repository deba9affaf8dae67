//! The text of `resolv.conf` (resolv.conf(5)): reads a system's own, and writes one that points at the agent.

use std::net::IpAddr;

use common::mesh::RESOLVER;

use crate::domain::Domain;

mod request;

pub use request::{REQUEST_MAX, Request};

/// First line of a file that points at the agent.
pub const MARK: &str = "# Written by maru-agent; restored when it stops.";

/// The resolvers that a file names, without the agent's own. One with a zone (`fe80::1%eth0`) is left out.
#[must_use]
pub fn nameservers(text: &str) -> Vec<IpAddr> {
    let servers = values(text, "nameserver")
        .filter_map(|value| value.split_whitespace().next()?.parse().ok());
    servers.filter(|address| *address != IpAddr::V4(RESOLVER)).collect()
}

/// A file that points at the agent: the agent is the only resolver, `network` is the first search domain, and search domains
/// and options of `original` stay, without control characters.
#[must_use]
pub fn render(original: &str, network: &Domain) -> String {
    let search = values(original, "search").chain(values(original, "domain")).last();
    let domains = [network.as_str()]
        .into_iter()
        .chain(words(search.unwrap_or_default()).filter(|domain| *domain != network.as_str()));
    let domains: Vec<&str> = domains.collect();
    let options: Vec<&str> =
        words(values(original, "options").last().unwrap_or_default()).collect();

    let mut text = format!("{MARK}\nnameserver {RESOLVER}\nsearch {}\n", domains.join(" "));
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

/// The values of a keyword, one for each line.
fn values<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let rest = line.trim_start().strip_prefix(keyword)?;
        rest.starts_with([' ', '\t']).then(|| rest.trim())
    })
}

/// The words of a value, without those with control characters.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split_whitespace().filter(|word| !word.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network() -> Domain {
        "maru.home.arpa".parse().unwrap()
    }

    #[test]
    fn search_and_options_stay_and_the_last_of_each_counts() {
        let original =
            "nameserver 192.0.2.53\nsearch a.example\ndomain lan\noptions edns0 trust-ad\n";
        let expected = format!(
            "{MARK}\nnameserver 100.100.100.100\nsearch maru.home.arpa lan\noptions edns0 trust-ad\n"
        );
        assert_eq!(render(original, &network()), expected);
        assert_eq!(nameservers(original), ["192.0.2.53".parse::<IpAddr>().unwrap()]);
    }

    proptest! {
        /// Whatever the original says: the agent alone is asked, and what it rendered renders to itself.
        #[test]
        fn only_the_agent_is_asked(
            lines in prop::collection::vec(("(nameserver|search|domain|options|#)?[ \t]", any::<String>()), 0..8),
        ) {
            let original: Vec<String> =
                lines.into_iter().map(|(keyword, value)| keyword + &value).collect();
            let text = render(&original.join("\n"), &network());
            prop_assert_eq!(nameservers(&text), Vec::<IpAddr>::new());
            let servers = text.lines().filter(|line| line.trim_start().starts_with("nameserver"));
            prop_assert_eq!(servers.count(), 1);
            prop_assert_eq!(render(&text, &network()), text);
        }
    }
}
