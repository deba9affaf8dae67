use proptest::prelude::*;

use super::*;

fn domain(text: &str) -> Result<String, DomainError> {
    text.parse().map(|domain: Domain| domain.to_string())
}

#[test]
fn a_domain_is_labels_in_lower_case() {
    for (text, written) in [
        ("maru.home.arpa", "maru.home.arpa"),
        ("Maru.Home.Arpa.", "maru.home.arpa"),
        ("a.b.xn--3e0b707e", "a.b.xn--3e0b707e"),
        ("9lives.example", "9lives.example"),
        ("home.arpa", "home.arpa"),
        ("kim.home.arpa", "kim.home.arpa"),
    ] {
        assert_eq!(domain(text).as_deref(), Ok(written), "{text}");
    }
}

#[test]
fn what_is_no_domain_is_refused() {
    use DomainError::{Elsewhere, Labels, Single};
    let long = format!("{}.internal", "a.".repeat(100));
    for (text, error) in [
        ("", Labels),
        (".", Labels),
        ("maru..internal", Labels),
        ("maru.home.arpa..", Labels),
        (".maru.home.arpa", Labels),
        ("-maru.home.arpa", Labels),
        ("maru-.internal", Labels),
        ("maru.home.arpa\nnameserver 192.0.2.1", Labels),
        ("maru internal.example", Labels),
        ("*.internal", Labels),
        ("ma_ru.internal", Labels),
        ("마루.internal", Labels),
        (&"a".repeat(64), Labels),
        (&long, Labels),
        ("com", Single),
        ("com.", Single),
        ("localhost", Single),
        ("192.0.2.1", Elsewhere),
        ("maru.0x1", Elsewhere),
        ("maru.local", Elsewhere),
        ("x.localhost", Elsewhere),
        ("64.100.in-addr.arpa", Elsewhere),
        ("xhome.arpa", Elsewhere),
    ] {
        assert_eq!(domain(text), Err(error), "{text}");
    }
}

#[test]
fn hosts_lie_below_their_domain() {
    let maru: Domain = "maru.home.arpa".parse().unwrap();
    let host = |name: &str| maru.host(name);
    assert_eq!(host("Laptop.maru.home.arpa.").as_deref(), Some("laptop.maru.home.arpa"));
    assert_eq!(host("a.b.maru.home.arpa").as_deref(), Some("a.b.maru.home.arpa"));
    for name in [
        "maru.home.arpa",
        ".maru.home.arpa",
        "laptop",
        "laptop.maru.example",
        "xmaru.home.arpa",
        "laptop..maru.home.arpa",
        "laptop.maru.home.arpa..",
        "la ptop.maru.home.arpa",
        "_dns.maru.home.arpa",
        "*.maru.home.arpa",
        "a\n.maru.home.arpa",
        "wpad.maru.home.arpa",
        "ISATAP.maru.home.arpa",
        "localhost.maru.home.arpa",
    ] {
        assert_eq!(host(name), None, "{name:?}");
    }
    let long = ["a"; 121].join(".") + ".maru.home.arpa";
    assert!(long.len() > NAME_MAX && host(&long).is_none());
}

#[test]
fn a_stored_domain_is_checked_when_it_is_read() {
    let read = |json: &str| serde_json::from_str::<Domain>(json).map_err(|error| error.to_string());
    assert_eq!(read("\"maru.home.arpa\"").unwrap().as_str(), "maru.home.arpa");
    assert!(read("\"com\"").unwrap_err().contains("two labels"));
    assert!(read("\"maru.home.arpa\\nnameserver 192.0.2.1\"").is_err());
}

/// Texts near to names, as well as any.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9.\\-_ \n\t\\\\#;*]{0,40}",
        "[a-z0-9-]{1,12}(\\.[a-z0-9-]{1,12}){1,3}\\.?",
        ("[ -~\n]{0,12}", Just(".maru.home.arpa")).prop_map(|(left, right)| left + right),
    ]
}

proptest! {
    /// Whatever came over the wire, what is taken has letters, digits, hyphens and dots only, is in the form in which it
    /// is read again, and a host is below the domain.
    #[test]
    fn nothing_else_is_ever_taken(text in texts(), name in texts()) {
        let is_plain = |text: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            text.chars().all(fits) && !text.starts_with('.') && !text.ends_with('.') && !text.contains("..")
        };
        let maru: Domain = "maru.home.arpa".parse().unwrap();
        for domain in [text.parse().unwrap_or(maru.clone()), maru] {
            prop_assert!(is_plain(domain.as_str()) && domain.as_str().contains('.'));
            prop_assert_eq!(domain.as_str().parse(), Ok(domain.clone()));
            if let Some(host) = domain.host(&name) {
                prop_assert!(is_plain(&host) && host.len() <= NAME_MAX);
                let suffix = format!(".{domain}");
                prop_assert!(host.ends_with(&suffix));
                prop_assert_eq!(domain.host(&host), Some(host));
            }
        }
    }
}
