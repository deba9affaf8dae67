//! Bounds of a policy, and how long large ones take.

use acl::Policy;

use crate::support::network;

/// Policies of about `bytes` on one line, of shapes that took time with the square of their length.
fn shapes(bytes: usize) -> Vec<(&'static str, String)> {
    let many = |item: &str| vec![item; bytes / (item.len() + 1)].join(",");
    let half = |item: &str| vec![item; bytes / 2 / (item.len() + 1)].join(",");
    let odd: Vec<String> = (0..bytes / 6).map(|n| (n % 32_000 * 2 + 1).to_string()).collect();
    let chain: Vec<String> =
        (0..bytes / 24).map(|n| format!(r#""tag:a{n}":["tag:a{}"]"#, n + 1)).collect();
    let name = "a".repeat(bytes / 2);
    vec![
        ("words", format!(r#"{{"acls":[{{"action":"accept","src":[{}]}}]}}"#, many(r#""*""#))),
        ("rules", format!(r#"{{"acls":[{}]}}"#, many("{}"))),
        ("notes", format!(r#"{{{}}}"#, many(r#""a":1"#))),
        ("members", format!(r#"{{"groups":{{"group:{name}":[{}]}}}}"#, half(r#""*""#))),
        ("grants", {
            let (src, ip) = (half(r#""*""#), half(r#""1""#));
            format!(r#"{{"grants":[{{"src":[{src}],"dst":["*"],"ip":[{ip}]}}]}}"#)
        }),
        ("own", {
            let (src, dst) = (half(r#""a""#), half(r#""autogroup:self:1""#));
            format!(r#"{{"acls":[{{"action":"accept","src":[{src}],"dst":[{dst}]}}]}}"#)
        }),
        ("ports", {
            let dst = format!("*:{}", odd.join(","));
            format!(r#"{{"acls":[{{"action":"accept","src":["*"],"dst":["{dst}"]}}]}}"#)
        }),
        ("values", {
            let values: Vec<String> = (0..bytes / 7).map(|n| n.to_string()).collect();
            let app = values.join(",");
            format!(r#"{{"nodeAttrs":[{{"target":["*"],"app":{{"a.b/c":[{app}]}}}}]}}"#)
        }),
        ("tests", format!(r#"{{"tests":[{{"src":"*","deny":[{}]}}]}}"#, many(r#""*:1""#))),
        ("owners", format!(r#"{{"tagOwners":{{{},"tag:a{}":[]}}}}"#, chain.join(","), chain.len())),
        ("ssh", {
            let same = half(r#""a""#);
            let (action, users) = (r#""action":"accept""#, r#""users":["root"]"#);
            format!(r#"{{"ssh":[{{{action},{users},"src":[{same}],"dst":[{same}]}}]}}"#)
        }),
    ]
}

/// All that is done with a policy, parsed as one that is in force; how long it took.
fn work(text: &str) -> std::time::Duration {
    #[expect(clippy::disallowed_methods, reason = "two times are compared")]
    let begun = std::time::Instant::now();
    let (policy, _) = Policy::parse_stored(text).unwrap();
    let network = network();
    let rules = policy.compile(&network, 0);
    drop((acl::CanonicalFilter::of(&rules), policy.attributes(&network, 0), policy.test(&network)));
    drop(policy.check(&network));
    assert!(!policy.may_tag("nobody", "tag:a0"));
    begun.elapsed()
}

#[test]
fn a_policy_on_one_line_takes_no_time_with_the_square_of_its_length() {
    for ((shape, small), (_, large)) in shapes(1 << 13).into_iter().zip(shapes(1 << 18)) {
        // 32 times as long: with the square of the length it would take 1024 times as long.
        let small = (0..3).map(|_| work(&small)).min().unwrap_or_default();
        let least = small.max(std::time::Duration::from_millis(4));
        // A machine that stands still for a moment does not do so three times.
        let mut tries = (0..3).map(|_| work(&large));
        assert!(tries.any(|took| took < least * 250), "{shape}: {small:?}, then 250 times that");
    }
}

#[test]
fn a_policy_has_bounds_and_says_them() {
    let said = |text: String| Policy::parse(&text).unwrap_err().to_string();
    let shape = |wanted: &str| {
        shapes(1 << 20).into_iter().find(|(shape, _)| *shape == wanted).map(|(_, text)| text)
    };
    for (wanted, reason) in [
        ("words", "line 1, column 10: acls[0]: with this rule the policy has more than 50000"),
        ("grants", "grants[0]: with this rule the policy has more than 50000"),
        ("ports", "a list of ports has at most 256 of them"),
        ("tests", "with this test there are more than 2000 destinations"),
        ("ssh", "more than a million pairs"),
    ] {
        let said = said(shape(wanted).unwrap());
        assert!(said.contains(reason), "{wanted}: {}", &said[said.len().saturating_sub(300)..]);
    }
    // Far to the right, and behind letters of several bytes.
    let word = r#""마루","#.repeat(3000);
    let said = said(format!(r#"{{"acls":[{{"action":"accept","src":[{word}"tag:a"]}}]}}"#));
    assert!(said.starts_with("line 1, column 15036: acls[0].src[3000]: "), "{said}");
}
