//! The access-policy cases, replayed by the example that people run.
//!
//! Fails if a case comes out otherwise than the reference has it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// How many cases there were at the last count.
const CASES: usize = 326;

/// The example, built beside this test.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().with_file_name("examples").join("replay")
}

#[test]
#[ignore = "needs: shared"]
fn the_cases_come_out_as_the_reference_has_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/acl-cases");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    assert!(!files.is_empty());

    let out = Command::new(example()).args(files).output().unwrap();

    let said = String::from_utf8(out.stdout).unwrap();
    let last = said.lines().last().unwrap();
    let counts = last.strip_suffix(" failed").and_then(|line| line.split_once(" passed, "));
    let (passed, failed) = counts.unwrap_or_else(|| panic!("not `N passed, M failed`: {last}"));
    let [passed, failed] = [passed, failed].map(|count| count.parse::<usize>().unwrap());
    assert!(passed + failed >= CASES, "{said}");
    assert_eq!((failed, out.status.success()), (0, true), "{said}");
}
