//! How devices reach this machine: a name or an address, with a certificate or without.

use std::{net::Ipv6Addr, ops::Range, path::Path};

use chassis::settings;
use coordinator_api::settings::{Acme, FILE, Settings, Tls};
use serde::Deserialize;
use toml::Spanned;

/// Gets a certificate from Let's Encrypt.
const ACME: &str = "[tls.acme]";

/// How devices reach this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By a name or address, over plain HTTP with Noise inside.
    Plain(String),
    /// By a name for which Let's Encrypt issues a certificate: port 443 of the name leads to the coordinator.
    Certified(String),
}

impl Reach {
    /// The coordinator's URL.
    pub(crate) fn server_url(&self) -> String {
        let port = Settings::default().listen.reachable().port();
        match self {
            Self::Certified(name) => format!("https://{name}"),
            Self::Plain(host) => match host.parse::<Ipv6Addr>() {
                Ok(address) => format!("http://[{address}]:{port}"),
                Err(_) => format!("http://{host}:{port}"),
            },
        }
    }

    /// The host, an address without brackets.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Certified(name) => name,
            Self::Plain(host) => host.trim_start_matches('[').trim_end_matches(']'),
        }
    }

    /// Lines at the end of the coordinator's first configuration.
    pub(super) fn tls_toml(&self) -> String {
        match self {
            Self::Plain(_) => String::new(),
            Self::Certified(_) => format!(
                "\n# A certificate from Let's Encrypt, whose terms are thereby accepted. Port 443 of the name leads to port {}.\n{ACME}\n",
                Settings::default().listen.reachable().port()
            ),
        }
    }
}

/// The text of `coordinator.toml` with another address; `None` if it cannot be changed without a doubt. A certificate that is
/// configured stays.
pub(super) fn edit(text: &str, reach: &Reach) -> Option<String> {
    #[derive(Deserialize)]
    struct Spans {
        server_url: Spanned<String>,
        relay: Option<RelaySpans>,
    }
    #[derive(Deserialize)]
    struct RelaySpans {
        host: Option<Spanned<String>>,
    }
    let read = |text: &str| settings::parse::<Settings>(Path::new(FILE), text).ok();
    let mut expected = read(text)?;
    let places: Spans = toml::from_str(text).ok()?;
    let host = places.relay.and_then(|relay| relay.host);
    let mut edits: Vec<(Range<usize>, String)> =
        vec![(places.server_url.span(), reach.server_url())];
    expected.server_url = Some(reach.server_url());
    if let Some(place) = host {
        edits.push((place.span(), reach.host().to_owned()));
        expected.relay.host = Some(reach.host().to_owned());
    }
    edits.sort_by_key(|(place, _)| place.start);
    let mut edited = text.to_owned();
    for (place, value) in edits.into_iter().rev() {
        edited.replace_range(place, &format!("{value:?}"));
    }
    if matches!(reach, Reach::Certified(_)) && expected.tls.is_none() {
        edited.push_str(&reach.tls_toml());
        expected.tls = Some(Tls { acme: Some(Acme::default()), ..Tls::default() });
    }
    // The edit is used only if the file now means the old value with this change.
    (read(&edited)? == expected).then_some(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\nserver_url = \"http://192.0.2.7:8443\" # the first\nnetwork = \"maru.home.arpa\"\n\n[relay]\nhost = '192.0.2.7'\n";

    #[test]
    fn another_address_changes_two_values_and_leaves_the_comments() {
        let edited = edit(TEXT, &Reach::Plain("2001:db8::7".to_owned())).unwrap();
        let expected = TEXT
            .replace("http://192.0.2.7:8443", "http://[2001:db8::7]:8443")
            .replace("'192.0.2.7'", "\"2001:db8::7\"");
        assert_eq!(edited, expected);

        let edited = edit(TEXT, &Reach::Certified("home.example.org".to_owned())).unwrap();
        assert!(edited.contains("\"https://home.example.org\" # the first"), "{edited}");
        assert!(edited.ends_with("\n[tls.acme]\n"), "{edited}");
        let again = edit(&edited, &Reach::Certified("home.example.org".to_owned())).unwrap();
        assert_eq!(again, edited);
    }

    #[test]
    fn a_file_without_the_key_or_with_an_error_is_left_alone() {
        let reach = Reach::Plain("192.0.2.8".to_owned());
        assert_eq!(edit("network = \"maru.home.arpa\"\n", &reach), None);
        assert_eq!(edit("server_url = \"http://192.0.2.7:8443\"\nlisen = 1\n", &reach), None);
    }
}
