//! `cargo xtask sabotage`: do the tests notice when a property is broken?
//!
//! Small patches in `xtask/sabotage` break one property each. They are applied one at a time to a
//! copy of the workspace; the tests that the patch names must fail then.

mod copy;
#[allow(dead_code, reason = "the patches are still there")]
mod edit;
mod items;
mod patch;
#[allow(dead_code, reason = "the patches are still there")]
mod record;
mod trial;

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};

use crate::{build, go, model, nextest, packages, progress::Step, stop, workspace};
use copy::Copy;
use patch::Patch;
use trial::Selection;

/// Of `cargo xtask sabotage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print each one's name and what it breaks
    #[arg(long, conflicts_with = "check")]
    list: bool,
    /// See only whether each still applies and names tests that exist
    #[arg(long)]
    check: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let patches = patch::read(&root, &args.names)?;
    if args.list {
        for patch in patches {
            println!("{}: {}", patch.name, patch.property);
        }
        return Ok(());
    }
    if args.check {
        let runner = nextest::Runner::new(root, workspace::target()?)?;
        let count = check(&runner.programs()?)?;
        println!("{count} sabotages apply and name tests that exist");
        return Ok(());
    }
    packages::for_testing()?;
    let model = model::get()?;
    build::all()?;
    go::tailscale()?;
    let programs = nextest::workspace_runner(&model)?.programs()?;
    let missed = try_all(&programs, &root, &workspace::target()?, &patches)?;
    ensure!(missed.is_empty(), "not noticed: {}", missed.join(", "));
    Ok(())
}

/// Whether every patch is whole, applies, and names tests that exist in `programs`; returns how many there are.
pub(crate) fn check(programs: &nextest::Programs) -> Result<usize> {
    let root = workspace::root();
    let patches = patch::read(&root, &[])?;
    for patch in &patches {
        patch.check(&root)?;
    }
    for patch in &patches {
        let _ = trial::select(programs, patch)?;
    }
    Ok(patches.len())
}

/// Breaks a copy of the workspace in `root` in every way, one at a time; returns what its tests,
/// whose programs are built in `target`, do not notice.
fn try_all(
    programs: &nextest::Programs,
    root: &Path,
    target: &Path,
    patches: &[Patch],
) -> Result<Vec<String>> {
    let selections: Vec<Selection> =
        patches.iter().map(|patch| trial::select(programs, patch)).collect::<Result<_>>()?;
    let step = Step::new("making the copy that is broken");
    let copy = Copy::make(root.to_owned(), target)?;
    step.done("the copy is made");
    let runner = programs.runner().of(copy.tree.clone(), copy.target.clone());
    build(&copy, &selections, "the copy, unbroken")?;
    let step = Step::new("control: the tests pass as long as nothing is broken");
    trial::control(&runner, &selections)?;
    step.done("control: the tests pass as long as nothing is broken");

    let mut missed = Vec::new();
    for (patch, selection) in patches.iter().zip(&selections) {
        stop::check()?;
        let begun = Instant::now();
        patch.apply(&copy.tree)?;
        let result = build(&copy, std::slice::from_ref(selection), &patch.name)
            .and_then(|()| trial::must_fail(&runner, selection));
        // Not from the workspace, where somebody may work meanwhile: what passed the control stays.
        patch.take_back(&copy.tree)?;
        stop::check()?;
        let seconds = begun.elapsed().as_secs();
        match result {
            Ok(()) => println!("noticed  {}: {} ({seconds} s)", patch.name, patch.property),
            Err(why) => {
                println!("MISSED   {}: {}: {why:#} ({seconds} s)", patch.name, patch.property);
                missed.push(patch.name.clone());
            }
        }
    }
    println!("{} sabotages noticed, {} missed", patches.len() - missed.len(), missed.len());
    Ok(missed)
}

/// Builds the programs that tests run, if there are such tests; the tests the runner builds.
fn build(copy: &Copy, selections: &[Selection], name: &str) -> Result<()> {
    let mut targets = selections.iter().flat_map(|selection| &selection.targets);
    if !targets.any(|target| target.starts_with("--test=")) {
        return Ok(());
    }
    let step = Step::new(&format!("building {name}"));
    build::cargo(&copy.tree, &["--workspace", "--bins", "--examples"], &copy.target, &step)?;
    step.done(&format!("built {name}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    const SOURCE: &str = "
pub fn is_small(number: u32) -> bool {
    number < 10
}

#[test]
fn ten_is_not_small() {
    assert!(!is_small(10));
}

#[test]
fn one_is_small() {
    assert!(is_small(1));
}
";

    /// Where the project has minutes, one second is enough.
    const CONFIG: &str = "
[profile.default]
slow-timeout = { period = \"1s\", terminate-after = 5 }
junit = { path = \"junit.xml\" }
[profile.ci]
";

    /// A patch of the line that decides.
    fn patch(name: &str, line: &str, tests: &str) -> (String, String) {
        let diff = "diff --git a/src/lib.rs b/src/lib.rs\n--- a/src/lib.rs\n+++ b/src/lib.rs\n\
            @@ -1,5 +1,5 @@\n \n pub fn is_small(number: u32) -> bool {\n-    number < 10\n";
        let text = format!(
            "Property: only what is below ten is small.\nTest: {tests}\n\n{diff}+    {line}\n }}\n \n"
        );
        (format!("xtask/sabotage/{name}.patch"), text)
    }

    /// With the real runner, on a workspace of its own.
    #[test]
    #[ignore = "needs: tools"]
    fn what_a_test_notices_is_told_from_what_none_does_and_from_what_does_not_build() {
        let dir = tempfile::tempdir().unwrap();
        let (root, target) = (dir.path().join("root"), dir.path().join("target"));
        let manifest = "[package]\nname = \"fixture\"\nedition = \"2024\"\n[workspace]\n";
        let ten = "test(=ten_is_not_small)";
        let mut files = vec![
            ("Cargo.toml".to_owned(), manifest.to_owned()),
            (
                "Cargo.lock".to_owned(),
                "version = 4\n\n[[package]]\nname = \"fixture\"\nversion = \"0.0.0\"\n".to_owned(),
            ),
            (".config/nextest.toml".to_owned(), CONFIG.to_owned()),
            ("src/lib.rs".to_owned(), SOURCE.to_owned()),
        ];
        files.extend([
            patch("noticed", "number < 11", ten),
            patch("passes", "number < 9", ten),
            patch("not-all-notice", "number < 11", "test(=ten_is_not_small) | test(=one_is_small)"),
            patch("does-not-build", "number", ten),
            patch("never-ends", "loop {}", ten),
        ]);
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let git = Command::new("git").args(["init", "--quiet"]).current_dir(&root).status();
        assert!(git.unwrap().success());
        let patches = patch::read(&root, &[]).unwrap();
        let runner = nextest::Runner::new(root.clone(), target.clone()).unwrap();
        let programs = runner.programs().unwrap();

        let missed = try_all(&programs, &root, &target, &patches).unwrap();

        assert_eq!(missed, ["does-not-build", "never-ends", "not-all-notice", "passes"]);
        let tree = target.join("sabotage/tree/src/lib.rs");
        assert_eq!(fs::read_to_string(tree).unwrap(), SOURCE, "the copy is whole in the end");
        assert_eq!(fs::read_to_string(root.join("src/lib.rs")).unwrap(), SOURCE);
        // Where the tests fail before anything is broken, there is nothing to be learnt.
        fs::write(root.join("src/lib.rs"), SOURCE.replace("< 10", "< 11")).unwrap();
        let error = try_all(&programs, &root, &target, &patches).unwrap_err().to_string();
        assert!(error.starts_with("unbroken, these do not pass"), "{error}");
    }
}
