//! The access-policy cases, replayed by the example that people run.
//!
//! Fails if a case comes out otherwise than the reference has it and is not named here, or is named and does not.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// How many cases there were at the last count.
const CASES: usize = 326;

/// The cases that come out otherwise, by what we decide otherwise.
const OTHERWISE: [(&str, &[&str]); 5] = [
    (
        "a capability in the domain of the reference's maker is refused in every grant",
        &[
            "grant-a6",
            "grant-b2",
            "grant-b5",
            "grant-f3",
            "grant-f4",
            "grant-k11",
            "grant-k28",
            "grant-v19",
            "grant-v20",
        ],
    ),
    ("`user:*@domain` is not read", &["grant-k20", "grant-k21"]),
    (
        "accepted though the reference refuses it",
        &["grant-h9", "grant-p09-13b", "grant-p09-13c", "grant-p09-13d"],
    ),
    ("the same rules, those of `acls` before those of `grants`", &["grant-k3"]),
    (
        "the same rules; the reference names a destination twice that two entries mean",
        &["grant-p09-7b-naive", "via-grant-v44", "via-grant-v46"],
    ),
];

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
    let came: BTreeSet<_> =
        said.lines().filter_map(|line| Some(line.split_once('\t')?.0)).collect();
    let named: BTreeSet<_> = OTHERWISE.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let [new, gone] = [&came - &named, &named - &came];
    assert!(new.is_empty(), "otherwise than the reference, and not named here: {new:?}\n{said}");
    assert!(gone.is_empty(), "as the reference has them now; take their names out here: {gone:?}");
    // Each failure is named by a line of its own, and the exit status tells of it.
    assert_eq!((came.len(), out.status.success()), (failed, failed == 0), "{said}");
}
