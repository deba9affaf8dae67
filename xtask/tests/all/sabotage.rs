//! What people get wrong with `cargo xtask sabotage`.

use std::process::{Command, Output};

fn sabotage(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let Output { status, stdout, stderr } = command.arg("sabotage").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Before anything is built, copied or run.
#[test]
fn an_unknown_sabotage_is_refused_in_one_sentence() {
    let (status, out, said) = sabotage(&["nonsense"]);

    assert_eq!((status, out.as_str(), said.lines().count()), (Some(1), "", 1), "{said}");
    assert!(said.contains("no sabotage nonsense") && said.contains("--list"), "{said}");
    // One that is there is listed alone.
    let (status, out, said) = sabotage(&["--list", "table-put-back"]);
    assert_eq!((status, out.lines().count(), said.as_str()), (Some(0), 1, ""));
    assert!(out.starts_with("table-put-back: "), "{out}");
}
