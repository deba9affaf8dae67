use proptest::prelude::*;

use super::*;

fn asked(peer: &str, trusted: &[&str], headers: &[&str]) -> ClientAddress {
    let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
    client_address(peer.parse().unwrap(), &trusted, headers.iter().map(|header| header.as_bytes()))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn only_who_is_trusted_speaks_for_others() {
    let proxy = ["10.0.0.1", "fd00::/64"];
    let behind = |text| ClientAddress::Forwarded(ip(text));

    assert_eq!(asked("10.0.0.1", &proxy, &["192.0.2.7"]), behind("192.0.2.7"));
    assert_eq!(asked("::ffff:10.0.0.1", &proxy, &["192.0.2.7"]), behind("192.0.2.7"));
    assert_eq!(asked("fd00::2", &proxy, &["2001:db8::1"]), behind("2001:db8::1"));
    assert_eq!(asked("10.0.0.2", &proxy, &["192.0.2.7"]), ClientAddress::Untrusted(ip("10.0.0.2")));
    assert_eq!(asked("10.0.0.2", &proxy, &[]), ClientAddress::Direct(ip("10.0.0.2")));
    assert_eq!(asked("10.0.0.2", &[], &["192.0.2.7"]), ClientAddress::Direct(ip("10.0.0.2")));
    assert_eq!(asked("10.0.0.1", &proxy, &[]), ClientAddress::Missing);
    assert_eq!(asked("10.0.0.1", &proxy, &["", "unknown"]), ClientAddress::Missing);
}

#[test]
fn the_last_that_is_no_proxy_counts() {
    let proxies = ["10.0.0.0/8"];
    let behind = |text| ClientAddress::Forwarded(ip(text));

    assert_eq!(asked("10.0.0.1", &proxies, &["6.6.6.6, 192.0.2.7, 10.0.0.2"]), behind("192.0.2.7"));
    assert_eq!(asked("10.0.0.1", &proxies, &["6.6.6.6", "192.0.2.7"]), behind("192.0.2.7"));
    assert_eq!(asked("10.0.0.1", &proxies, &["10.0.0.3, 10.0.0.2"]), behind("10.0.0.3"));
    assert_eq!(asked("10.0.0.1", &proxies, &["6.6.6.6, what, 10.0.0.2"]), behind("10.0.0.2"));
    for text in ["192.0.2.7:4711", " 192.0.2.7 ", "::ffff:192.0.2.7", "[::ffff:192.0.2.7]:1"] {
        assert_eq!(asked("10.0.0.1", &proxies, &[text]), behind("192.0.2.7"), "{text}");
    }
    assert_eq!(asked("10.0.0.1", &proxies, &["[2001:db8::1]"]), behind("2001:db8::1"));
}

#[test]
fn a_proxy_speaks_https_unless_it_or_one_before_it_says_otherwise() {
    let https = |headers: &[&str]| is_https(headers.iter().map(|header| header.as_bytes()));

    for headers in [&[][..], &["https"], &["HTTPS"], &["https, https"], &["https", " https "]] {
        assert!(https(headers), "{headers:?}");
    }
    for headers in [&["http"][..], &["https,http"], &["http", "https"], &[""], &["wss"]] {
        assert!(!https(headers), "{headers:?}");
    }
}

proptest! {
    /// Whatever somebody sends, what the trusted proxy adds at the end is what counts.
    #[test]
    fn nothing_before_the_proxys_word_changes_it(
        lies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..4),
        before in prop::collection::vec(any::<u8>(), 0..64),
        address in any::<[u8; 4]>().prop_filter("no proxy", |address| address[0] != 10),
    ) {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let address = IpAddr::from(address);
        let last = [&before[..], b",", address.to_string().as_bytes()].concat();
        let headers = lies.iter().map(Vec::as_slice).chain([&last[..]]).collect::<Vec<_>>();

        let told = client_address([10, 0, 0, 1].into(), &trusted, headers.iter().copied());

        prop_assert_eq!(told, ClientAddress::Forwarded(address));
        let direct = client_address(address, &trusted, headers.iter().copied());
        prop_assert_eq!(direct, ClientAddress::Untrusted(address));
    }
}
