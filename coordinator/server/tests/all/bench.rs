//! `cargo xtask bench coordinator` with few agents.

use std::{env, process::Command};

use serde_json::Value;

#[test]
fn the_bench_measures_a_small_star() {
    // Beside this test's folder; `cargo test` and `cargo nextest` build examples unless they are told which targets to build.
    let test = env::current_exe().unwrap();
    let load = test.ancestors().nth(2).unwrap().join("examples/control_load");
    let mut command = Command::new(&load);
    command.args(["--program", env!("CARGO_BIN_EXE_maru-coordinator"), "--shape", "star"]);
    command.args(["--agents", "8", "--rest-seconds", "1"]);

    let out = command.output().unwrap_or_else(|error| panic!("{}: {error}", load.display()));

    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    let figures: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(figures["agents"], 9, "eight and the home");
    assert_eq!(figures["update"]["count"], 9, "each has moved, and all who see it were told");
    assert_eq!(figures["policy"]["count"], 5, "each policy has reached all");
    for figure in ["/reconnected_s", "/private_kib_per_agent", "/update/processor_ms"] {
        assert!(figures.pointer(figure).is_some_and(Value::is_number), "{figure}: {figures}");
    }
}
