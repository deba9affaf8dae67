//! `cargo xtask package`: Debian packages of the programs as they are shipped.
//!
//! The same inputs give the same bytes. What is in the packages follows from the service table.

mod architecture;
mod archive;
mod contents;
mod deb;
mod image;
mod licences;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{
    build, model,
    package::{
        architecture::Architecture, archive::File, contents::Parts, deb::Tree, licences::Metadata,
    },
    packages,
    progress::Step,
    workspace,
};

/// The example of the crate `walkthrough` that writes the manual.
const MANUAL: &str = "manual";

/// Arguments of `cargo xtask package`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Architecture of the machines that install them
    #[arg(long, value_enum, default_value_t = Architecture::Amd64)]
    arch: Architecture,
    /// Folder for the packages [default: target/packages]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Pack the programs in this folder, and its examples/manual, instead of building them
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// Packs the programs in a folder for this machine's architecture, and returns the folder of the packages.
pub(crate) fn pack(programs: PathBuf) -> Result<PathBuf> {
    let out = workspace::target()?.join("packages");
    // Of an earlier version.
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let (out, programs) = (Some(out), Some(programs));
    let args = Args { arch: Architecture::Amd64, out, programs };
    run(&args)?;
    Ok(args.out.unwrap_or_default())
}

/// Builds the programs and packs them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let arch = args.arch;
    let metadata = Metadata::get(arch.triple())?;
    let programs = match &args.programs {
        Some(folder) => folder.clone(),
        None => {
            packages::for_compiling()?;
            if arch == Architecture::Arm64 {
                packages::for_arm64()?;
            }
            arch.get_library()?;
            build::for_packages(arch.triple(), MANUAL, &metadata.folders())?
        }
    };
    let out = match &args.out {
        Some(folder) => folder.clone(),
        None => workspace::target()?.join("packages"),
    };
    let parts = parts(arch, &programs, &metadata)?;
    let step = Step::new("packing");
    fs::create_dir_all(&out)?;
    for package in contents::packages(&parts)? {
        let bytes = package.bytes()?;
        let path = out.join(package.file_name());
        fs::write(&path, &bytes).with_context(|| path.display().to_string())?;
        println!(
            "{}  {:.1} MB, installed {:.1} MB, sha256 {}",
            path.display(),
            megabytes(bytes.len()),
            megabytes(package.installed_size()),
            hex::encode(Sha256::digest(&bytes)),
        );
    }
    step.done("the packages are written");
    println!("licences of the crates in them:");
    for (licence, count) in metadata.count(&contents::programs()) {
        println!("  {count:4}  {licence}");
    }
    Ok(())
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Reads what packages are made of.
fn parts(architecture: Architecture, folder: &Path, metadata: &Metadata) -> Result<Parts> {
    let scratch = tempfile::tempdir()?;
    let mut programs = BTreeMap::new();
    for name in contents::programs() {
        programs.insert(name, stripped(architecture, &folder.join(name), scratch.path())?);
    }
    let licences = [("maru-home", contents::programs()), ("maru", contents::device_programs())];
    let licences = licences.map(|(name, programs)| Ok((name, metadata.text(&programs)?)));
    let (name, path) = (model::FILE, model::get()?);
    Ok(Parts {
        architecture,
        programs,
        manual: manual(
            architecture.command(folder.join("examples").join(MANUAL)),
            &scratch.path().join(MANUAL),
        )?,
        licences: licences.into_iter().collect::<Result<_>>()?,
        model: (name, File { bytes: fs::read(path)?, runs: false }),
    })
}

/// A program without symbols, which was seen to run.
fn stripped(architecture: Architecture, program: &Path, scratch: &Path) -> Result<File> {
    let out = scratch.join("program");
    let mut strip = Command::new(architecture.strip());
    succeeds(strip.arg("-o").arg(&out).arg(program), program)?;
    succeeds(architecture.command(&out).arg("--version").stdin(Stdio::null()), program)?;
    Ok(File::program(fs::read(out)?))
}

/// Fails with what a command says about `program`.
fn succeeds(command: &mut Command, program: &Path) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{name}, {}: {}", program.display(), said.trim());
    Ok(())
}

/// The files that the example writes below `folder`.
fn manual(mut example: Command, folder: &Path) -> Result<Tree> {
    let done = example.arg(folder).output().with_context(|| format!("cannot run {example:?}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{example:?}: {}", said.trim());
    let mut tree = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder)?.display().to_string();
                tree.insert(name, File { bytes: fs::read(&path)?, runs: false });
            }
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests;
