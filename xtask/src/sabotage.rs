//! `cargo xtask sabotage`: do the tests notice when a property is broken?
//!
//! Small patches in `xtask/sabotage` break one property each. They are applied one at a time to a
//! copy of the workspace; the tests that the patch names must fail then.

mod copy;
mod patch;
mod trial;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Result, ensure};

use crate::{build, model, nextest, packages, progress::Step, stop, workspace};
use copy::Copy;
use patch::Patch;
use trial::Selection;

/// Of `cargo xtask sabotage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this one [default: all]
    name: Option<String>,
    /// Print each one's name and what it breaks
    #[arg(long, conflicts_with = "check")]
    list: bool,
    /// See only whether each still applies and names tests that exist
    #[arg(long)]
    check: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let patches = patch::read(args.name.as_deref())?;
    if args.list {
        for patch in patches {
            println!("{}: {}", patch.name, patch.property);
        }
        return Ok(());
    }
    if args.check {
        let runner = nextest::Runner::new(workspace::root(), workspace::target()?)?;
        let count = check(&runner)?;
        println!("{count} sabotages apply and name tests that exist");
        return Ok(());
    }
    packages::for_testing()?;
    let model = model::get()?;
    try_all(&patches, &model, &build::stock_client_path()?)
}

/// Whether every patch is whole and applies; returns how many there are.
pub(crate) fn apply() -> Result<usize> {
    let patches = patch::read(None)?;
    for patch in &patches {
        patch.check(&workspace::root())?;
    }
    Ok(patches.len())
}

/// Whether every patch is whole, applies, and names tests that exist; returns how many there are.
pub(crate) fn check(runner: &nextest::Runner) -> Result<usize> {
    let count = apply()?;
    let programs = runner.programs()?;
    for patch in patch::read(None)? {
        let _ = trial::select(&programs, &patch)?;
    }
    Ok(count)
}

/// Breaks a copy in every way, one at a time; fails if one is not noticed.
fn try_all(patches: &[Patch], model: &Path, stock_client: &Path) -> Result<()> {
    build::all()?;
    let programs = nextest::Runner::new(workspace::root(), workspace::target()?)?.programs()?;
    let selections: Vec<Selection> =
        patches.iter().map(|patch| trial::select(&programs, patch)).collect::<Result<_>>()?;
    let step = Step::new("making the copy that is broken");
    let copy = Copy::make()?;
    step.done("the copy is made");
    let runner = nextest::Runner::new(copy.tree.clone(), copy.target.clone())?
        .environment("MARU_TEST_MODEL", model.to_owned())
        .environment("MARU_STOCK_CLIENT", PathBuf::from(stock_client));
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
                missed.push(patch.name.as_str());
            }
        }
    }
    println!("{} sabotages noticed, {} missed", patches.len() - missed.len(), missed.len());
    ensure!(missed.is_empty(), "not noticed: {}", missed.join(", "));
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
