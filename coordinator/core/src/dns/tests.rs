use std::collections::BTreeMap;

use control_protocol::map::DnsConfig;
use coordinator_api::settings::{Dns, DnsRecord};
use proptest::prelude::*;

use super::ExtraDns;

const NETWORK: &str = "maru.home.arpa";

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn record(name: &str, address: &str) -> DnsRecord {
    DnsRecord { name: name.to_owned(), address: address.parse().unwrap() }
}

fn told(dns: &Dns, taken: &str) -> DnsConfig {
    let mut config = DnsConfig {
        routes: BTreeMap::from([(NETWORK.to_owned(), Vec::new())]),
        domains: vec![NETWORK.to_owned()],
        ..DnsConfig::default()
    };
    ExtraDns::parse(dns, NETWORK).unwrap().add_to(&mut config, |name| name == taken);
    config
}

#[test]
fn nodes_are_told_of_resolvers_domains_and_records() {
    let dns = Dns {
        resolvers: texts(&["192.168.1.1", "[fd00::1]:5353", "https://dns.example/query"]),
        split_domains: BTreeMap::from([("Corp.Example.".to_owned(), texts(&["10.0.0.53"]))]),
        search_domains: texts(&["corp.example", NETWORK]),
        extra_records: vec![
            record("nas.home.arpa", "192.168.1.9"),
            record("nas.home.arpa", "fd00::9"),
            record("wiki.corp.example", "10.0.0.8"),
            record("files.maru.home.arpa", "192.168.1.9"),
            record("laptop.maru.home.arpa", "192.168.1.66"),
        ],
    };

    let told = told(&dns, "laptop.maru.home.arpa");

    assert_eq!(told.resolvers.len(), 3);
    assert_eq!(told.routes["corp.example"][0].addr, "10.0.0.53");
    assert_eq!(told.domains, [NETWORK, "corp.example"], "the network's own first, once");
    let records: Vec<_> =
        told.extra_records.iter().map(|record| (record.name.as_str(), &*record.r#type)).collect();
    let expected = [
        ("files.maru.home.arpa", "A"),
        ("nas.home.arpa", "A"),
        ("nas.home.arpa", "AAAA"),
        ("wiki.corp.example", "A"),
    ];
    assert_eq!(records, expected, "a device keeps its name");
    let routes: Vec<_> = told.routes.keys().map(String::as_str).collect();
    assert_eq!(routes, ["corp.example", NETWORK, "nas.home.arpa"], "asked of the client itself");
    assert!(told.routes["nas.home.arpa"].is_empty());
}

#[test]
fn what_cannot_be_meant_is_refused_by_setting() {
    let refused = |dns: Dns| ExtraDns::parse(&dns, NETWORK).unwrap_err();
    for text in ["", "dns.example", "10.0.0.1:0", "0.0.0.0", "https://", "https://a b/", "tls://a"]
    {
        let error = refused(Dns { resolvers: texts(&[text]), ..Dns::default() });
        assert!(error.starts_with("resolvers in [dns] has "), "{error}");
    }
    for (domain, servers) in [
        ("a..b", &["10.0.0.1"][..]),
        (NETWORK, &["10.0.0.1"]),
        ("a.maru.home.arpa", &[]),
        ("a", &[]),
    ] {
        let split_domains = BTreeMap::from([(domain.to_owned(), texts(servers))]);
        let error = refused(Dns { split_domains, ..Dns::default() });
        assert!(error.contains("split_domains"), "{error}");
    }
    let error = refused(Dns { search_domains: texts(&["-"]), ..Dns::default() });
    assert!(error.contains("search_domains"), "{error}");
    for name in ["nas", "chat.maru.home.arpa", "home.maru.home.arpa", NETWORK, "a b.example"] {
        let extra_records = vec![record(name, "10.0.0.1")];
        let error = refused(Dns { extra_records, ..Dns::default() });
        assert!(error.contains("extra_records"), "{error}");
    }
}

#[test]
fn a_domain_that_only_ends_like_the_networks_is_foreign() {
    for name in ["homemaru.home.arpa", "chatmaru.home.arpa", "nas.homemaru.home.arpa"] {
        let extra_records = vec![record(name, "10.0.0.1")];
        assert!(
            ExtraDns::parse(&Dns { extra_records, ..Dns::default() }, NETWORK).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn each_list_has_an_end() {
    let many = |count: usize| (0..count).map(|n| format!("10.0.{}.{}", n / 250, n % 250 + 1));
    let names = |count: usize| (0..count).map(|n| format!("d{n}.example"));
    let resolvers = |count| Dns { resolvers: many(count).collect(), ..Dns::default() };
    let split = |count| Dns {
        split_domains: names(count).map(|name| (name, texts(&["10.0.0.1"]))).collect(),
        ..Dns::default()
    };
    let search = |count| Dns { search_domains: names(count).collect(), ..Dns::default() };
    let records = |count| Dns {
        extra_records: names(count).map(|name| record(&name, "10.0.0.1")).collect(),
        ..Dns::default()
    };
    for (of, most) in
        [(&resolvers as &dyn Fn(usize) -> Dns, 8), (&split, 64), (&search, 16), (&records, 256)]
    {
        assert!(ExtraDns::parse(&of(most), NETWORK).is_ok());
        assert!(ExtraDns::parse(&of(most + 1), NETWORK).unwrap_err().contains("the limit is"));
    }
}

proptest! {
    /// Whatever is written, names that pass can stand in a map: no client has to unescape them.
    #[test]
    fn what_passes_is_plain(text in ".{0,40}", address in any::<[u8; 4]>()) {
        let dns = Dns {
            resolvers: vec![text.clone()],
            search_domains: vec![text.clone()],
            extra_records: vec![DnsRecord { name: text.clone(), address: address.into() }],
            ..Dns::default()
        };
        for dns in [
            Dns { resolvers: vec![text.clone()], ..Dns::default() },
            Dns { search_domains: vec![text.clone()], ..Dns::default() },
            dns,
        ] {
            if ExtraDns::parse(&dns, NETWORK).is_ok() {
                let json = serde_json::to_string(&told(&dns, "")).unwrap();
                prop_assert!(!json.contains('\\'), "{json}");
            }
        }
    }
}
