//! A copy of the workspace that may be broken: its own folder, its own target folder.
//!
//! Both stay, so that the next run builds little. Nothing built from the copy is in the workspace's
//! own target folder, so that a broken program is never used elsewhere.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// What is copied from the workspace's own target folder: the crates of others, compiled.
const COMPILED: [&str; 4] = ["rlib", "rmeta", "so", "d"];

/// Cargo's settings, in a workspace.
const SETTINGS: &str = ".cargo/config.toml";

/// The copy.
#[derive(Debug)]
pub(super) struct Copy {
    from: PathBuf,
    /// The tree that may be broken.
    pub(super) tree: PathBuf,
    /// What is built from it.
    pub(super) target: PathBuf,
}

impl Copy {
    /// Makes one of the workspace in `from`, which is built in `built`, or brings the one of an
    /// earlier run up to date.
    pub(super) fn make(from: PathBuf, built: &Path) -> Result<Self> {
        let place = built.join("sabotage");
        let copy = Self { tree: place.join("tree"), target: place.join("target"), from };
        fs::create_dir_all(&copy.tree)?;
        copy.mend()?;
        copy.build_quickly(&place)?;
        lend(&copy.from.join("../shared"), &place.join("shared"))?;
        if !copy.target.exists() {
            let partial = place.join("target.partial");
            let _ = fs::remove_dir_all(&partial);
            compiled(built, &partial, &place)?;
            fs::rename(&partial, &copy.target)?;
        }
        Ok(copy)
    }

    /// Makes the tree what the workspace is. A file that is so already keeps its time, so that
    /// cargo compiles what differed and nothing else.
    pub(super) fn mend(&self) -> Result<()> {
        let mut files = listed(&self.from)?;
        if self.tree.starts_with(&self.from) {
            // Cargo reads the workspace's settings from above the tree as well, and would take each compiler flag
            // twice: to it, everything compiled so far would be something else.
            files.remove(Path::new(SETTINGS));
        }
        for file in &files {
            let (from, to) = (self.from.join(file), self.tree.join(file));
            let bytes = fs::read(&from).with_context(|| from.display().to_string())?;
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&to, bytes)?;
            fs::set_permissions(&to, fs::metadata(&from)?.permissions())?;
        }
        remove_others(&self.tree, &self.tree, &files)
    }

    /// Settings for cargo beside the tree: our own crates are compiled often here, and run shortly. In CI, where few
    /// sabotages are tried, what incremental compiling keeps is not used again, and takes 4 GB.
    fn build_quickly(&self, place: &Path) -> Result<()> {
        let out = workspace::with_cargo(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(&self.tree)
            .stdin(Stdio::null())
            .output()?;
        let metadata: serde_json::Value = serde_json::from_slice(&out.stdout)?;
        let packages =
            metadata["packages"].as_array().context("the output of cargo has no packages")?;
        let incremental = std::env::var_os("CI").is_none();
        let mut text = format!("[build]\nincremental = {incremental}\n");
        for name in packages.iter().filter_map(|package| package["name"].as_str()) {
            text.push_str(&format!("[profile.release.package.{name}]\nopt-level = 0\n"));
        }
        let folder = place.join(".cargo");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("config.toml"), text)?)
    }
}

/// The files that belong to the project, those included that were not committed yet.
fn listed(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let out = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .context("cannot run git")?;
    ensure!(out.status.success(), "git lists no files: {}", String::from_utf8_lossy(&out.stderr));
    let names = String::from_utf8(out.stdout)?;
    let files = names.split_terminator('\0').map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

/// Removes every file below `dir` that is not among `files`.
fn remove_others(root: &Path, dir: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, files)?;
        } else if path.strip_prefix(root).is_ok_and(|path| !files.contains(path)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Puts a link to a folder, if there is such a folder, where tests look for it.
fn lend(folder: &Path, link: &Path) -> Result<()> {
    if folder.is_dir() && !link.exists() {
        std::os::unix::fs::symlink(fs::canonicalize(folder)?, link)?;
    }
    Ok(())
}

/// Copies what was compiled, with its times, for cargo compares them; leaves out `not`.
///
/// Our own crates are copied too, and not used: cargo distinguishes a crate's copies by their paths.
fn compiled(from: &Path, to: &Path, not: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        let has_ending = path.extension().is_some_and(|e| COMPILED.iter().any(|known| e == *known));
        let is_program = from.file_name().is_some_and(|name| name == "deps") && !has_ending;
        if kind.is_dir() && path != not && !is_left_out(&path) {
            compiled(&path, &to, not)?;
        } else if kind.is_file() && !is_program {
            fs::copy(&path, &to)?;
            let modified = fs::metadata(&path)?.modified()?;
            File::options().write(true).open(&to)?.set_modified(modified)?;
        }
    }
    Ok(())
}

/// What others keep in a target folder, or is of no use to another tree.
fn is_left_out(dir: &Path) -> bool {
    let others =
        ["incremental", "examples", "interop", "fuzz", "models", "tools", "up", "doc", "debug"];
    dir.file_name().is_some_and(|name| others.iter().any(|other| name == *other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(dir: &Path, args: &[&str]) {
        assert!(Command::new("git").args(args).current_dir(dir).status().unwrap().success());
    }

    #[test]
    fn a_broken_copy_is_mended_and_what_did_not_differ_keeps_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("src")).unwrap();
        fs::write(from.join("src/a.rs"), "good").unwrap();
        fs::write(from.join("b.rs"), "same").unwrap();
        fs::write(from.join("ignored"), "").unwrap();
        fs::write(from.join(".gitignore"), "ignored\n").unwrap();
        git(&from, &["init", "--quiet"]);
        let [tree, target] = ["tree", "target"].map(|name| dir.path().join(name));
        let copy = Copy { from, tree: tree.clone(), target };
        fs::create_dir(&tree).unwrap();
        copy.mend().unwrap();
        let before = fs::metadata(tree.join("b.rs")).unwrap().modified().unwrap();
        fs::write(tree.join("src/a.rs"), "broken").unwrap();
        fs::write(tree.join("src/new.rs"), "").unwrap();

        copy.mend().unwrap();

        assert_eq!(fs::read_to_string(tree.join("src/a.rs")).unwrap(), "good");
        assert!(!tree.join("src/new.rs").exists() && !tree.join("ignored").exists());
        assert_eq!(fs::metadata(tree.join("b.rs")).unwrap().modified().unwrap(), before);
    }

    /// Cargo looks for settings in every folder above.
    #[test]
    fn a_copy_inside_the_workspace_has_its_settings_from_there() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join(".cargo")).unwrap();
        fs::write(from.join(SETTINGS), "[build]").unwrap();
        fs::write(from.join(".gitignore"), "target\n").unwrap();
        git(&from, &["init", "--quiet"]);
        for (tree, is_inside) in
            [(from.join("target/tree"), true), (dir.path().join("tree"), false)]
        {
            fs::create_dir_all(&tree).unwrap();
            let copy = Copy { from: from.clone(), tree: tree.clone(), target: PathBuf::new() };
            copy.mend().unwrap();
            assert!(tree.join(".gitignore").exists());
            assert_eq!(tree.join(SETTINGS).exists(), !is_inside);
        }
    }

    #[test]
    fn no_program_is_taken_along_and_crates_keep_their_times() {
        let dir = tempfile::tempdir().unwrap();
        let deps = dir.path().join("from/release/deps");
        fs::create_dir_all(&deps).unwrap();
        for name in ["liba.rlib", "a.d", "test-program"] {
            fs::write(deps.join(name), name).unwrap();
        }
        let to = dir.path().join("to");
        compiled(&dir.path().join("from"), &to, Path::new("/nowhere")).unwrap();
        let copied = to.join("release/deps");
        assert!(copied.join("a.d").exists() && !copied.join("test-program").exists());
        let time = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(time(copied.join("liba.rlib")), time(deps.join("liba.rlib")));
    }
}
