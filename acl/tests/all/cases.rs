//! Cases of `../shared/cases/cases.json` that are about policies.

use std::path::Path;

use acl::Policy;
use serde_json::Value;

/// The case of this name.
fn case(id: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases/cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    cases.into_iter().find(|case| case["id"] == id).unwrap()
}

#[test]
#[ignore = "needs: shared"]
fn an_ipv6_destination_without_ports_is_named_as_it_was_written() {
    let policy = case("ipv6-destination-without-ports")["request"]["policy"].clone();

    let said = Policy::parse(policy.as_str().unwrap()).unwrap_err().to_string();

    for part in ["dst=\"fd7a:115c:a1e0::1\"", "[fd7a:115c:a1e0::1]:443"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_destination_without_ports_is_told_how_to_add_them() {
    let said = |dst: &str| {
        let policy = format!(r#"{{"acls":[{{"action":"accept","src":["*"],"dst":["{dst}"]}}]}}"#);
        Policy::parse(&policy).map(drop).map_err(|error| error.to_string())
    };
    for (written, example) in [
        ("fd7a:115c:a1e0::", "[fd7a:115c:a1e0::]:443"),
        ("fd7a:115c:a1e0::ab", "[fd7a:115c:a1e0::ab]:443"),
        ("[fd7a:115c:a1e0::1]", "[fd7a:115c:a1e0::1]:443"),
        ("fd7a:115c:a1e0::/48", "[fd7a:115c:a1e0::]/48:443"),
        ("[fd7a:115c:a1e0::]/48", "[fd7a:115c:a1e0::]/48:443"),
    ] {
        let said = said(written).unwrap_err();
        assert!(said.contains(&format!("dst=\"{written}\"")) && said.contains(example), "{said}");
    }
    for written in ["fd7a:115c:a1e0::1:443", "[fd7a:115c:a1e0::1]:443", "fd7a:115c:a1e0::/48:*"] {
        assert_eq!(said(written), Ok(()));
    }
}
