//! A sabotage: a small patch that breaks one named property, and the tests that must notice.
//!
//! ```text
//! Property: one sentence, what holds.
//! Test: a filter expression of the test runner, which selects what must fail
//!
//! diff --git a/… b/…
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

/// Where they lie, below the workspace.
const FOLDER: &str = "xtask/sabotage";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// Its file's name without the ending.
    pub(super) name: String,
    /// What it breaks.
    pub(super) property: String,
    /// Selects the tests that must fail.
    pub(super) tests: String,
    path: PathBuf,
}

/// All of a workspace, or those of these names.
pub(super) fn read(workspace: &Path, only: &[String]) -> Result<Vec<Patch>> {
    let folder = workspace.join(FOLDER);
    let mut patches = Vec::new();
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_suffix(".patch").map(str::to_owned) else {
            bail!("{} is no patch: its name must end in .patch", path.display());
        };
        let text = fs::read_to_string(&path)?;
        let (property, tests) = header(&text).with_context(|| path.display().to_string())?;
        patches.push(Patch { name, property, tests, path });
    }
    patches.sort_by(|a, b| a.name.cmp(&b.name));
    choose(patches, only)
}

fn choose(mut patches: Vec<Patch>, only: &[String]) -> Result<Vec<Patch>> {
    for name in only {
        ensure!(
            patches.iter().any(|patch| patch.name == *name),
            "there is no sabotage {name}; `cargo xtask sabotage --list` names those that there are"
        );
    }
    patches.retain(|patch| only.is_empty() || only.contains(&patch.name));
    Ok(patches)
}

/// What the header says: property and tests.
fn header(text: &str) -> Result<(String, String)> {
    let (head, diff) = text.split_once("\n\n").context("no empty line after the header")?;
    ensure!(diff.starts_with("diff --git "), "no `diff --git` after the header's empty line");
    let [mut property, mut tests] = [None, None];
    for line in head.lines() {
        let (field, value) = match line.split_once(": ").map(|(key, value)| (key, value.trim())) {
            Some(("Property", value)) => (&mut property, value),
            Some(("Test", value)) => (&mut tests, value),
            _ => bail!("the header has `Property: …` and `Test: …`, each on a line; not `{line}`"),
        };
        ensure!(!value.is_empty(), "a field of the header is empty");
        ensure!(field.replace(value.to_owned()).is_none(), "a field of the header is there twice");
    }
    let property = property.context("the header has no `Property: …`")?;
    Ok((property, tests.context("the header has no `Test: …`")?))
}

impl Patch {
    /// Changes the tree in `dir`.
    pub(super) fn apply(&self, dir: &Path) -> Result<()> {
        self.git_apply(dir, &[])
    }

    /// Undoes [`Self::apply`].
    pub(super) fn take_back(&self, dir: &Path) -> Result<()> {
        self.git_apply(dir, &["--reverse"])
    }

    /// Fails if the tree in `dir` has changed so that this no longer applies.
    pub(super) fn check(&self, dir: &Path) -> Result<()> {
        self.git_apply(dir, &["--check"])
    }

    fn git_apply(&self, dir: &Path, args: &[&str]) -> Result<()> {
        let out = Command::new("git")
            .args(["apply", "--whitespace=nowarn"])
            .args(args)
            .arg(&self.path)
            .current_dir(dir)
            // Below a repository git would take the patch's paths to begin at that repository's
            // root, and silently leave out what lies outside of `dir`.
            .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir))
            .env_remove("GIT_DIR")
            .stdin(Stdio::null())
            .output()
            .context("cannot run git")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(
            out.status.success(),
            "{} does not apply: make it anew with `git diff`\n{}",
            self.name,
            said.trim()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "Property: it holds.\nTest: test(=x)\n\ndiff --git a/f b/f\n";

    #[test]
    fn the_header_says_what_breaks_and_who_must_notice() {
        let expected = ("it holds.".to_owned(), "test(=x)".to_owned());
        assert_eq!(header(WHOLE).unwrap(), expected);
    }

    #[test]
    fn a_header_that_is_not_whole_is_refused() {
        for (from, to) in [
            ("Property: it holds.\n", ""),
            ("Test: test(=x)\n", ""),
            ("test(=x)", " "),
            ("Test: ", "Tests: "),
            ("Test: test(=x)\n", "Test: test(=x)\nTest: test(=y)\n"),
            ("\n\n", "\n"),
            ("diff --git", "Diff"),
        ] {
            assert!(header(&WHOLE.replace(from, to)).is_err(), "{from:?} as {to:?}");
        }
    }

    #[test]
    fn one_is_chosen_by_its_name() {
        let patch = |name: &str| Patch {
            name: name.to_owned(),
            property: String::new(),
            tests: String::new(),
            path: PathBuf::new(),
        };
        let all = vec![patch("a"), patch("b")];
        let named = |names: &[&str]| {
            let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
            choose(all.clone(), &names)
        };
        assert_eq!(named(&["b"]).unwrap(), [patch("b")]);
        assert_eq!(named(&["b", "a"]).unwrap(), all);
        assert_eq!(named(&[]).unwrap(), all);
        assert!(named(&["b", "c"]).is_err());
    }

    #[test]
    fn a_patch_applies_below_another_repository() {
        let dir = tempfile::tempdir().unwrap();
        let git = Command::new("git").args(["init", "--quiet"]).current_dir(&dir).status().unwrap();
        assert!(git.success());
        let tree = dir.path().join("below");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("f"), "old\n").unwrap();
        let path = dir.path().join("p.patch");
        let diff = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old\n+new\n";
        fs::write(&path, format!("Property: p\nTest: t\n\n{diff}")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (property, tests) = header(&text).unwrap();
        let patch = Patch { name: "p".to_owned(), property, tests, path };

        patch.check(&tree).unwrap();
        patch.apply(&tree).unwrap();

        assert_eq!(fs::read_to_string(tree.join("f")).unwrap(), "new\n");
        assert!(patch.check(&tree).is_err());
        patch.take_back(&tree).unwrap();
        assert_eq!(fs::read_to_string(tree.join("f")).unwrap(), "old\n");
    }
}
