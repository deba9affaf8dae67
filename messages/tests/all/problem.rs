//! A daemon's problem in the language of the person who reads it.

use std::{collections::BTreeMap, fs, path::Path};

use common::problem::Problem;
use messages::Language;

fn problem(kind: &str) -> Problem {
    Problem::new(kind, 422, "the title").with_detail("the detail")
}

/// One test, since the language is the whole process's.
#[test]
fn a_problem_is_said_by_its_message_else_by_its_kind_else_as_it_came() {
    let named = |id: &str, arguments: &[(&str, &str)]| Problem {
        message: Some(id.to_owned()),
        arguments: arguments
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..problem("name")
    };
    let english = [problem("name"), problem("unknown"), named("problem-plain-http", &[])];
    for problem in english {
        assert_eq!(messages::problem(&problem), "the title: the detail");
    }

    Language::Korean.make_current();

    let said = messages::problem(&named("problem-plain-http", &[]));
    assert!(said.contains("--force가 필요합니다: 중간에서"), "{said}");
    let said = messages::problem(&named("problem-name-letters", &[("suggestion", "noteubuk")]));
    assert!(said.contains("\"noteubuk\"처럼") && said.ends_with(": the detail"), "{said}");
    // Without its argument, of another file, or unknown: the kind's title.
    for id in ["problem-name-letters", "device-approved", "problem-of-tomorrow"] {
        let said = messages::problem(&named(id, &[]));
        assert_eq!(said, "쓸 수 없는 이름입니다 (the title: the detail)");
    }
    assert_eq!(messages::problem(&problem("of-tomorrow")), "the title: the detail");
}

/// The kinds of every daemon have a title in the catalogue.
#[test]
fn every_kind_has_a_title() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| fs::read_to_string(workspace.join(path)).unwrap();
    let catalogue = read("messages/ko/problems.ftl");
    let mut kinds = BTreeMap::new();
    for path in [
        "ai-gateway/api/src/kind.rs",
        "ai-gateway/server/src/error.rs",
        "cli/src/up/control.rs",
        "confidential/server/src/http.rs",
        "coordinator/server/src/admin/error.rs",
        "node-agent/daemon/src/api.rs",
        "node-agent/listener/src/guard.rs",
        "node-agent/listener/src/serve.rs",
    ] {
        let source = read(path);
        let is_kind = |text: &&str| {
            !text.starts_with("problem-")
                && !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        for line in source.lines().filter(|line| {
            line.contains("StatusCode::") || line.contains(": &str =") || line.contains("Self::")
        }) {
            kinds.extend(
                line.split('"')
                    .skip(1)
                    .step_by(2)
                    .filter(is_kind)
                    .map(|kind| (kind.to_owned(), path)),
            );
        }
    }
    assert!(kinds.len() > 40, "{kinds:?}");
    for (kind, path) in kinds {
        assert!(catalogue.contains(&format!("\nproblem-{kind} = ")), "{kind} of {path}");
    }
}
