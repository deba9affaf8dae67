//! Fuzz targets, on the stable toolchain.
//!
//! Each target first runs every file of its corpus in git and every seed once; then it is fuzzed. New inputs are stored
//! in the target folder, not in git.

use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};

use crate::{background::Background, tools, workspace};

mod seeds;

/// Longest generated input, in bytes.
const LONGEST: usize = 8192;

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these targets, in this order
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds per target; with 0 only the corpus and the seeds run
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u32,
    /// Build with AddressSanitizer, in another folder: several times slower, but it also finds memory errors
    #[arg(long)]
    address: bool,
    /// Targets at a time [default: the number of processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let sanitizer = if args.address { Sanitizer::Address } else { Sanitizer::None };
    let mut build = workspace::with_cargo(tools::get("cargo-fuzz")?);
    let status = sanitizer.build(&mut build)?.status();
    ensure!(status.context("cargo-fuzz does not run")?.success(), NOT_BUILT);
    let count = some(args.seconds, &args.targets, sanitizer, args.jobs)?;
    println!("{count} targets, no failure found");
    Ok(())
}

/// What the targets are built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sanitizer {
    /// They find panics.
    None,
    /// AddressSanitizer: they also find wrong uses of memory, and leaks.
    Address,
}

impl Sanitizer {
    /// Tells cargo-fuzz to build all targets.
    fn build(self, command: &mut Command) -> Result<&mut Command> {
        let name = match self {
            Self::None => "none",
            Self::Address => "address",
        };
        let command = with_arguments(command, "build")?.args(["--sanitizer", name]);
        Ok(command.env("CARGO_TARGET_DIR", self.folder()?))
    }

    /// Where they are built; other flags would build everything anew in one folder.
    fn folder(self) -> Result<PathBuf> {
        Ok(match self {
            Self::None => folder()?,
            Self::Address => folder()?.join("address"),
        })
    }

    /// Most memory of a target, in MiB. AddressSanitizer keeps what was freed, and notes on each byte.
    fn memory_mib(self) -> u32 {
        match self {
            Self::None => 1024,
            Self::Address => 3072,
        }
    }
}

/// What is said when they do not build.
const NOT_BUILT: &str = "the fuzz targets do not build";

/// The targets being built beside the tests.
pub(crate) struct Build(Background);

impl Build {
    /// Starts building.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Background::command(tools::get("cargo-fuzz")?);
        Sanitizer::None.build(&mut command)?;
        Background::start(&mut command, folder()?.join("build.log")).map(Self)
    }

    /// Waits for it, then runs every target for so many seconds; returns how many there are.
    pub(crate) fn run(self, seconds: u32) -> Result<usize> {
        self.0.wait(NOT_BUILT)?;
        some(seconds, &[], Sanitizer::None, None)
    }
}

/// Runs these of those that are built, or all.
fn some(
    seconds: u32,
    only: &[String],
    sanitizer: Sanitizer,
    jobs: Option<NonZero<usize>>,
) -> Result<usize> {
    let mut list = workspace::with_cargo(tools::get("cargo-fuzz")?);
    let list = String::from_utf8(with_arguments(&mut list, "list")?.output()?.stdout)?;
    let mut targets: Vec<String> = list.lines().map(str::to_owned).collect();
    for name in only {
        let is_there = targets.contains(name);
        ensure!(is_there, "there is no fuzz target {name}; xtask/fuzz/README.md lists them");
    }
    if !only.is_empty() {
        targets = only.to_vec();
    }
    let seeds = folder()?.join("seeds");
    seeds::write(&workspace::root(), &seeds)?;
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Relaxed)) {
            match one(target, seconds, &seeds, sanitizer) {
                Ok(line) => println!("{line}"),
                Err(error) => found.lock().unwrap_or_else(|e| e.into_inner()).push(error),
            }
        }
    };
    let jobs = jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    match found.into_inner().unwrap_or_else(|e| e.into_inner()).pop() {
        Some(error) => Err(error),
        None => Ok(targets.len()),
    }
}

/// Tells cargo-fuzz what to do, and where.
fn with_arguments<'a>(command: &'a mut Command, what: &str) -> Result<&'a mut Command> {
    Ok(command
        .args([what, "--fuzz-dir", "xtask/fuzz"])
        .current_dir(workspace::root())
        // The sanitizer coverage flags are unstable; this lets a stable compiler take them.
        .env("RUSTC_BOOTSTRAP", "1")
        .stdin(Stdio::null()))
}

fn folder() -> Result<PathBuf> {
    Ok(workspace::target()?.join("fuzz"))
}

/// Replays a target's files, then fuzzes it; says what was done in one line.
fn one(target: &str, seconds: u32, seeds: &Path, sanitizer: Sanitizer) -> Result<String> {
    let corpus = workspace::root().join("xtask/fuzz/corpus").join(target);
    let seeds = seeds.join(target);
    let files: Vec<PathBuf> = [files(&corpus)?, files(&seeds)?].concat();
    ensure!(
        !files.is_empty(),
        "the fuzz target {target} has no corpus: it would begin with nothing"
    );
    // Named one by one, files run whole and once.
    said(target, program(target, sanitizer)?.args(&files))?;
    let replayed = format!("{target}: {} files replayed", files.len());
    if seconds == 0 {
        return Ok(replayed);
    }
    let kept = folder()?.join("corpus").join(target);
    fs::create_dir_all(&kept)?;
    let mut command = program(target, sanitizer)?;
    command.arg(kept).args([corpus, seeds].iter().filter(|folder| folder.is_dir()));
    command.args([
        &format!("-max_total_time={seconds}"),
        &format!("-max_len={LONGEST}"),
        "-print_final_stats=1",
    ]);
    let said = said(target, &mut command)?;
    Ok(format!("{replayed}, {} runs in {seconds} s, {}", runs(&said), coverage(&said)))
}

fn program(target: &str, sanitizer: Sanitizer) -> Result<Command> {
    // This program was built for the same: `target/<triple>/release`.
    let binaries = lab::binaries()?;
    let triple = binaries.parent().and_then(Path::file_name).unwrap_or_default();
    let artifacts = folder()?.join("artifacts").join(target);
    fs::create_dir_all(&artifacts)?;
    let built = sanitizer.folder()?.join(triple).join("release");
    let mut command = Command::new(built.join(target));
    command
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-rss_limit_mb={}", sanitizer.memory_mib()))
        .arg("-timeout=20")
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs it; what it said, if it found nothing.
fn said(target: &str, command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| format!("the fuzz target {target} does not run"))?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(
        out.status.success(),
        "the fuzz target {target} found something; mend it and keep the input that is named below \
         (`PROGRAM -minimize_crash=1 FILE` makes it smaller) in xtask/fuzz/corpus/{target}:\n{said}"
    );
    Ok(said)
}

/// The files of a folder, by name; none if it is not there.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// How often the target ran, by its own count.
fn runs(said: &str) -> &str {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.map_or("?", str::trim)
}

/// How much code was reached at first and at last, by the lines `#N EVENT cov: N …`.
fn coverage(said: &str) -> String {
    let cov = |line: &str| Some(line.split_once(" cov: ")?.1.split(' ').next()?.to_owned());
    let mut found = said.lines().filter(|line| line.starts_with('#')).filter_map(cov);
    let first = found.next().unwrap_or_default();
    let last = found.next_back().unwrap_or_else(|| first.clone());
    format!("coverage {first} to {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_begins_with_a_corpus_or_seeds() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let (root, seeds) = (workspace::root(), folder.path().join("seeds"));
        seeds::write(&root, &seeds).expect("seeds are written");
        for program in files(&root.join("xtask/fuzz/fuzz_targets")).expect("the folder is read") {
            let target = program.file_stem().expect("it has a name");
            let corpus = files(&root.join("xtask/fuzz/corpus").join(target));
            let seeds = files(&seeds.join(target));
            let begins = [corpus, seeds].map(|files| files.expect("it is read").is_empty());
            assert!(begins.contains(&false), "the fuzz target {target:?} begins with nothing");
        }
    }

    #[test]
    fn reads_what_a_target_says() {
        let said = "INFO: seed corpus: files: 2\n#3\tINITED cov: 120 ft: 130 corp: 2/9b\n\
            #90\tNEW    cov: 125 ft: 140 corp: 3/9b\n#100\tDONE   cov: 126 ft: 141 corp: 4/10b\n\
            Done 100 runs\nstat::number_of_executed_units: 100\n";
        assert_eq!(runs(said), "100");
        assert_eq!(coverage(said), "coverage 120 to 126");
        assert_eq!((runs(""), &*coverage("")), ("?", "coverage  to "));
    }
}
