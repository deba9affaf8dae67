//! `cargo xtask sabotage`: checks that tests fail when a property is broken.
//!
//! The records in `xtask/sabotage` break one property each. They are applied one at a time to a copy of the workspace;
//! the tests that the record names must fail then, and pass again in the copy without it.

mod copy;
mod edit;
mod items;
mod record;
mod trial;

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, ensure};

use crate::{build, go, model, nextest, packages, progress::Step, stop, workspace};
use copy::Copy;
use record::Record;
use trial::Selection;

/// After this many sabotages their tests must pass again in the unbroken copy. Otherwise they may have failed for
/// another reason than the sabotage.
const CONTROL_EVERY: usize = 20;

/// Arguments of `cargo xtask sabotage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Apply only these [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Apply only N of them, chosen by the hour of the commit: the next hour has the next N
    #[arg(long, value_name = "N", conflicts_with_all = ["names", "check"])]
    next: Option<usize>,
    /// Print the name of each and the property that it breaks
    #[arg(long, conflicts_with = "check")]
    list: bool,
    /// Only check that each can be applied and names tests that exist
    #[arg(long)]
    check: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let mut records = record::read(&root, &args.names)?;
    if let Some(count) = args.next {
        records = record::next(records, count, workspace::turn(&root)?);
    }
    if args.list {
        for record in records {
            println!("{}: {}", record.name, record.property);
        }
        return Ok(());
    }
    all_apply(&records, &root)?;
    if args.check {
        println!("{} sabotages can be applied", records.len());
        let runner = nextest::Runner::new(root, workspace::target()?)?;
        all_name_tests(&records, &runner.programs()?)?;
        println!("{} sabotages name tests that exist", records.len());
        return Ok(());
    }
    packages::for_testing()?;
    let model = model::get()?;
    build::all()?;
    go::tailscale()?;
    let programs = nextest::workspace_runner(&model)?.programs()?;
    let missed = try_all(&programs, &root, &workspace::target()?, &records)?;
    ensure!(missed.is_empty(), "not noticed: {}", missed.join(", "));
    Ok(())
}

/// Checks that every sabotage can be applied and names tests that exist in `programs`; returns their number.
pub(crate) fn check(programs: &nextest::Programs) -> Result<usize> {
    let root = workspace::root();
    let records = record::read(&root, &[])?;
    all_apply(&records, &root)?;
    all_name_tests(&records, programs)?;
    Ok(records.len())
}

/// Applies all in memory; the error names each that cannot be applied.
fn all_apply(records: &[Record], root: &Path) -> Result<()> {
    let errors = records.iter().filter_map(|record| record.edited(root).err());
    let errors: Vec<_> = errors.map(|error| format!("{error:#}")).collect();
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(())
}

fn all_name_tests(records: &[Record], programs: &nextest::Programs) -> Result<()> {
    records.iter().try_for_each(|record| trial::select(programs, record).map(drop))
}

/// Tries the `count` sabotages that are next at this commit; returns how many were noticed, and the names of the
/// others.
pub(crate) fn try_next(programs: &nextest::Programs, count: usize) -> Result<(usize, Vec<String>)> {
    let root = workspace::root();
    let records = record::next(record::read(&root, &[])?, count, workspace::turn(&root)?);
    let missed = try_all(programs, &root, &workspace::target()?, &records)?;
    Ok((records.len() - missed.len(), missed))
}

/// Breaks a copy of the workspace in `root` in every way, one at a time; returns what its tests,
/// whose programs are built in `target`, do not notice.
fn try_all(
    programs: &nextest::Programs,
    root: &Path,
    target: &Path,
    records: &[Record],
) -> Result<Vec<String>> {
    let selections: Vec<Selection> =
        records.iter().map(|record| trial::select(programs, record)).collect::<Result<_>>()?;
    let step = Step::new("making the copy to break");
    let copy = Copy::make(root.to_owned(), target)?;
    step.done("the copy is made");
    let runner = programs.runner().of(copy.tree.clone(), copy.target.clone());
    control(&copy, &runner, &selections)?;

    let mut missed = Vec::new();
    for (records, selections) in records.chunks(CONTROL_EVERY).zip(selections.chunks(CONTROL_EVERY))
    {
        for (record, selection) in records.iter().zip(selections) {
            if !is_noticed(&copy, &runner, record, selection)? {
                missed.push(record.name.clone());
            }
        }
        control(&copy, &runner, selections).with_context(|| {
            let names: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
            format!("these results are invalid, run them again: {}", names.join(", "))
        })?;
    }
    println!("{} sabotages noticed, {} missed", records.len() - missed.len(), missed.len());
    Ok(missed)
}

/// Applies one sabotage to the copy and undoes it; prints whether the tests failed because of it.
fn is_noticed(
    copy: &Copy,
    runner: &nextest::Runner,
    record: &Record,
    selection: &Selection,
) -> Result<bool> {
    stop::check()?;
    let begun = Instant::now();
    let applied = record.apply(&copy.tree)?;
    let result = build(copy, std::slice::from_ref(selection), &record.name)
        .and_then(|()| trial::must_fail(runner, selection));
    // Not from the workspace, where somebody may work meanwhile: what passed the control stays.
    applied.take_back()?;
    stop::check()?;
    let seconds = begun.elapsed().as_secs();
    match &result {
        Ok(()) => println!("noticed  {}: {} ({seconds} s)", record.name, record.property),
        Err(why) => {
            println!("MISSED   {}: {}: {why:#} ({seconds} s)", record.name, record.property);
        }
    }
    Ok(result.is_ok())
}

/// Fails unless the tests pass in the unbroken copy.
fn control(copy: &Copy, runner: &nextest::Runner, selections: &[Selection]) -> Result<()> {
    build(copy, selections, "the copy, unbroken")?;
    let step = Step::new("control: the tests pass as long as nothing is broken");
    trial::control(runner, selections)?;
    step.done("control: the tests pass as long as nothing is broken");
    Ok(())
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
    use std::{collections::BTreeSet, fs, process::Command};

    use super::*;

    const SOURCE: &str = r#"
pub fn is_small(number: u32) -> bool {
    number < 10
}

#[test]
fn ten_is_not_small() {
    assert!(!std::fs::exists(concat!(env!("CARGO_MANIFEST_DIR"), "/in-the-way")).unwrap());
    assert!(!is_small(10));
}

#[test]
fn one_is_small() {
    assert!(is_small(1));
}
"#;

    /// Where the project has minutes, one second is enough.
    const CONFIG: &str = "
[profile.default]
slow-timeout = { period = \"1s\", terminate-after = 5 }
junit = { path = \"junit.xml\" }
[profile.ci]
";

    /// A record that changes the line that decides.
    fn record(name: &str, line: &str, tests: &str) -> String {
        format!(
            "[[sabotage]]\nname = \"{name}\"\nproperty = \"Only what is below ten is small.\"\n\
            tests = '{tests}'\nrows = []\n[[sabotage.edit]]\nfile = \"src/lib.rs\"\n\
            item = \"is_small\"\nsnippet = 'number < 10'\nreplacement = '{line}'\n"
        )
    }

    /// With the real runner, on a workspace of its own.
    #[test]
    #[ignore = "needs: tools"]
    fn what_a_test_notices_is_told_from_what_none_does_and_from_what_does_not_build() {
        let dir = tempfile::tempdir().unwrap();
        let (root, target) = (dir.path().join("root"), dir.path().join("target"));
        let manifest = "[package]\nname = \"fixture\"\nedition = \"2024\"\n[workspace]\n";
        let lock = "version = 4\n\n[[package]]\nname = \"fixture\"\nversion = \"0.0.0\"\n";
        let ten = "test(=ten_is_not_small)";
        let leaves = "{ std::fs::write(\"in-the-way\", \"\").unwrap(); number < 10 }";
        let list = [
            record("noticed", "number < 11", ten),
            record("passes", "number < 9", ten),
            record(
                "not-all-notice",
                "number < 11",
                "test(=ten_is_not_small) | test(=one_is_small)",
            ),
            record("does-not-build", "number", ten),
            record("never-ends", "loop {}", ten),
            record("zzz-leaves-something", leaves, "test(=one_is_small)"),
        ];
        for (name, text) in [
            ("Cargo.toml", manifest),
            ("Cargo.lock", lock),
            (".config/nextest.toml", CONFIG),
            ("src/lib.rs", SOURCE),
            ("xtask/sabotage/fixture.toml", &list.join("\n")),
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let git = Command::new("git").args(["init", "--quiet"]).current_dir(&root).status();
        assert!(git.unwrap().success());
        let records = record::read(&root, &[]).unwrap();
        let (leaving, records) = records.split_last().unwrap();
        let runner = nextest::Runner::new(root.clone(), target.clone()).unwrap();
        let programs = runner.programs().unwrap();

        let missed = try_all(&programs, &root, &target, records).unwrap();

        assert_eq!(missed, ["does-not-build", "never-ends", "not-all-notice", "passes"]);
        let tree = target.join("sabotage/tree/src/lib.rs");
        assert_eq!(fs::read_to_string(tree).unwrap(), SOURCE, "the copy is whole in the end");
        assert_eq!(fs::read_to_string(root.join("src/lib.rs")).unwrap(), SOURCE);
        // Where the tests fail for another reason, what seemed to be noticed is not known to be.
        let both = [leaving.clone(), records[3].clone()];
        let error = format!("{:#}", try_all(&programs, &root, &target, &both).unwrap_err());
        let void = "these results are invalid, run them again: zzz-leaves-something, noticed: unbroken, these";
        assert!(error.starts_with(void), "{error}");
        // Where the tests fail before anything is broken, there is nothing to be learnt.
        fs::write(root.join("src/lib.rs"), SOURCE.replace("< 10", "< 11")).unwrap();
        let error = try_all(&programs, &root, &target, records).unwrap_err().to_string();
        assert!(error.starts_with("unbroken, these do not pass"), "{error}");
    }

    /// The number of each row of the properties.
    fn rows(page: &str) -> BTreeSet<u32> {
        let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        cells.filter_map(|(number, _)| number.parse().ok()).collect()
    }

    /// The sabotages that a page names, in its rows and in the details below them.
    fn named(page: &str) -> Vec<&str> {
        let lists = page.split("sabotages `").skip(1).chain(page.split("sabotage `").skip(1));
        let ends = [" |", ".\n", ". ", "\n\n"];
        let lists = lists.map(|list| {
            let end = ends.iter().filter_map(|end| list.find(end)).min();
            &list[..end.unwrap_or(list.len())]
        });
        let words = lists.flat_map(|list| list.split(['`', ',', ' ', '\n']));
        words.filter(|word| word.contains('-')).collect()
    }

    #[test]
    fn every_sabotage_finds_what_it_changes() {
        let root = workspace::root();
        all_apply(&record::read(&root, &[]).unwrap(), &root).unwrap();
    }

    #[test]
    fn every_row_of_the_security_page_has_a_sabotage_and_names_those_that_exist() {
        let root = workspace::root();
        let records = record::read(&root, &[]).unwrap();
        let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
        let numbers = rows(&page);
        assert!(numbers.len() >= 57, "{} rows were read", numbers.len());

        let broken: BTreeSet<_> = records.iter().flat_map(|record| &record.rows).copied().collect();
        let without = Vec::from_iter(numbers.difference(&broken));
        assert!(without.is_empty(), "add a sabotage that breaks these rows: {without:?}");
        let unknown = Vec::from_iter(broken.difference(&numbers));
        assert!(unknown.is_empty(), "docs/security.md has no rows {unknown:?}");

        let named = named(&page);
        assert!(named.len() >= 50, "{} sabotages were read", named.len());
        for name in named {
            let is_meant = |record: &Record| match name.strip_suffix('*') {
                Some(begin) => record.name.starts_with(begin),
                None => record.name == name,
            };
            assert!(records.iter().any(is_meant), "docs/security.md: there is no sabotage {name}");
        }
    }
}
