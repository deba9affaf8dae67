//! The `tests` section of a policy.

use acl::{Error, Policy};

use crate::support::network;

#[test]
fn a_failing_test_of_its_own_refuses_a_policy() {
    let policy = Policy::parse(
        r#"{ "tagOwners": { "tag:home": [] },
             "acls": [{ "action": "accept", "src": ["user1"], "dst": ["tag:home:80"] }],
             "tests": [{ "src": "user1", "accept": ["tag:home:80"], "deny": ["tag:home:22"] },
                       { "src": "stranger", "accept": ["tag:home:80"] }] }"#,
    )
    .unwrap();
    let failed = |error: Result<_, Error>| match error {
        Err(error @ Error::Test(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = failed(policy.check(&network()));
    assert!(text.starts_with("test(s) failed: line 4, column 56: tests[1].accept[0]: "), "{text}");
    assert!(!text.contains("tests[0]"), "{text}");
    let open = r#"{ "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
                    "tests": [{ "src": "stranger", "deny": ["user1:22"] }] }"#;
    let text = failed(Policy::parse(open).unwrap().check(&network()));
    assert!(text.contains("tests[0]") && text.contains("reaches"), "{text}");
}

/// The outcomes of tests over rules, and the warnings.
fn tested(rules: &str, tests: &str) -> (Vec<bool>, Vec<String>) {
    let text = format!(
        r#"{{ "tagOwners": {{ "tag:home": [], "tag:way": [] }}, "groups": {{ "group:a": ["user1"] }}, {rules}, "tests": [{tests}] }}"#
    );
    let policy = Policy::parse(&text).unwrap();
    let passed = policy.test(&network()).iter().map(|test| test.passed).collect();
    let warnings = policy.check(&network()).unwrap_or_default();
    (passed, warnings.iter().map(|warning| warning.reason.clone()).collect())
}

#[test]
fn a_source_that_gets_in_in_part_is_told() {
    let group = r#""acls": [{ "action": "accept", "src": ["group:a"], "dst": ["tag:home:5432"] }]"#;
    let (passed, warnings) = tested(group, r#"{ "src": "*", "deny": ["tag:home:5432"] }"#);
    assert_eq!(passed, [true]);
    let said = "not all of \"*\" reach \"tag:home:5432\", so the test holds; but 100.64.0.7 does";
    assert_eq!(warnings, [said]);
    assert_eq!(tested(group, r#"{ "src": "*", "accept": ["tag:home:5432"] }"#).0, [false]);

    let halves = r#""acls": [{ "action": "accept", "src": ["10.0.0.0/9"], "dst": ["tag:home:22"] },
                             { "action": "accept", "src": ["10.128.0.0/9"], "dst": ["*:22"] }]"#;
    let whole = r#"{ "src": "10.0.0.0/8", "accept": ["tag:home:22"], "deny": ["tag:home:22"] }"#;
    assert_eq!(tested(halves, whole).0, [true, false], "two rules let all of it in");
    let wider = r#"{ "src": "10.0.0.0/7", "accept": ["tag:home:22"], "deny": ["tag:home:22"] }"#;
    assert_eq!(tested(halves, wider).0, [false, false], "a part of one prefix gets in");
}

#[test]
fn tests_see_via_as_it_is_enforced() {
    let grants = r#""grants": [{ "src": ["user1"], "dst": ["tag:home", "100.64.0.8", "10.1.0.0/16"], "ip": ["*"], "via": ["tag:way"] }]"#;
    let test = r#"{ "src": "user1", "accept": ["tag:home:22", "100.64.0.8:22", "10.1.0.7:22"] }"#;
    assert_eq!(tested(grants, test).0, [false, false, true], "via leads to subnets alone");
}
