//! JSON schemas that become grammars of the embedded engine.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;

use maru_llm::schema;

fuzz_target!(|text: &str| match schema::grammar(text) {
    Ok(grammar) => {
        // As long as the schema allows: a name or a value stands in it once, each part makes a few short rules, and each
        // of the 20,000 that are counted makes at most a short piece.
        assert!(grammar.len() < 8 * text.len() + (2 << 20), "{}", grammar.len());
        let mut names = BTreeSet::new();
        for line in grammar.lines() {
            let (name, _) = line.split_once(" ::= ").expect("a rule on each line");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
            assert!(names.insert(name), "{name} is there twice");
        }
        assert!(names.contains("root"));
        assert_eq!(schema::grammar(text), Ok(grammar));
    }
    Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
});
