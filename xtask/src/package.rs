//! `cargo xtask package`: Debian packages of the programs as they are shipped.
//!
//! The same inputs give the same bytes. What is in the packages follows from the service table.

mod archive;
mod contents;
mod deb;
mod image;
mod licences;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{
    build, model,
    package::{archive::File, contents::Parts, deb::Tree, licences::Metadata},
    packages,
    progress::Step,
    workspace,
};

/// The example of the crate `walkthrough` that writes the manual.
const MANUAL: &str = "manual";

/// Arguments of `cargo xtask package`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the packages [default: target/packages]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Pack the programs in this folder, and its examples/manual, instead of building them
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// Builds the programs and packs them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = match &args.programs {
        Some(folder) => folder.clone(),
        None => {
            packages::for_compiling()?;
            build::programs()?;
            build::example(MANUAL)?;
            lab::binaries()?
        }
    };
    let out = match &args.out {
        Some(folder) => folder.clone(),
        None => workspace::target()?.join("packages"),
    };
    let metadata = Metadata::get()?;
    let parts = parts(&programs, &metadata)?;
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
fn parts(folder: &Path, metadata: &Metadata) -> Result<Parts> {
    let scratch = tempfile::tempdir()?;
    let mut programs = BTreeMap::new();
    for name in contents::programs() {
        programs.insert(name, stripped(&folder.join(name), scratch.path())?);
    }
    let licences = [("maru-home", contents::programs()), ("maru", contents::device_programs())];
    let licences = licences.map(|(name, programs)| Ok((name, metadata.text(&programs)?)));
    let (name, path) = (model::FILE, model::get()?);
    Ok(Parts {
        programs,
        manual: manual(&folder.join("examples").join(MANUAL), &scratch.path().join(MANUAL))?,
        licences: licences.into_iter().collect::<Result<_>>()?,
        model: (name, File { bytes: fs::read(path)?, runs: false }),
    })
}

/// A program without symbols.
fn stripped(program: &Path, scratch: &Path) -> Result<File> {
    let out = scratch.join("program");
    let done = Command::new("strip").arg("-o").arg(&out).arg(program).output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "strip {}: {}", program.display(), said.trim());
    Ok(File::program(fs::read(out)?))
}

/// The files that the example writes below `folder`.
fn manual(example: &Path, folder: &Path) -> Result<Tree> {
    let done = Command::new(example)
        .arg(folder)
        .output()
        .with_context(|| format!("cannot run {}", example.display()))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{}: {}", example.display(), said.trim());
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
