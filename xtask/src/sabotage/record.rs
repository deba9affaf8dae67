//! A sabotage: what breaks one named property, and the tests that must notice.
//!
//! ```toml
//! [[sabotage]]
//! name = "door-bound"
//! property = "One sentence: what holds."
//! tests = 'a filter expression of the test runner, which selects what must fail'
//! rows = [13] # of docs/security.md; [] for a decision that has none
//!
//! [[sabotage.edit]]
//! file = "house/src/door.rs"
//! item = "Door::is_open"
//! snippet = 'self.count < self.bound'
//! replacement = 'true'
//! ```

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::edit::{ChangedFiles, Edit};

/// Where they lie, below the workspace: a file for each component.
const FOLDER: &str = "xtask/sabotage";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) name: String,
    /// What it breaks.
    pub(super) property: String,
    /// Selects the tests that must fail.
    pub(super) tests: String,
    /// The rows of `docs/security.md` whose promise it breaks.
    pub(super) rows: BTreeSet<u32>,
    #[serde(rename = "edit")]
    edits: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    sabotage: Vec<Record>,
}

/// All of a workspace, or those of these names.
pub(super) fn read(workspace: &Path, only: &[String]) -> Result<Vec<Record>> {
    let folder = workspace.join(FOLDER);
    let mut records = Vec::new();
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        ensure!(is_toml, "{}: a list of sabotages is named COMPONENT.toml", path.display());
        let text = fs::read_to_string(&path)?;
        records.extend(parse(&text).with_context(|| path.display().to_string())?);
    }
    records.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(two) = records.windows(2).find(|two| two[0].name == two[1].name) {
        anyhow::bail!("there are two sabotages {}; rename one", two[0].name);
    }
    choose(records, only)
}

fn parse(text: &str) -> Result<Vec<Record>> {
    let component: Component = toml::from_str(text)?;
    for record in &component.sabotage {
        record.check().with_context(|| record.name.clone())?;
    }
    Ok(component.sabotage)
}

fn choose(mut records: Vec<Record>, only: &[String]) -> Result<Vec<Record>> {
    for name in only {
        ensure!(
            records.iter().any(|record| record.name == *name),
            "there is no sabotage {name}; `cargo xtask sabotage --list` names those that there are"
        );
    }
    records.retain(|record| only.is_empty() || only.contains(&record.name));
    Ok(records)
}

/// The `count` of this turn: each turn has the next ones.
pub(super) fn next(records: Vec<Record>, count: usize, turn: usize) -> Vec<Record> {
    let all = records.len().max(1);
    let begin = turn.wrapping_mul(count) % all;
    records.into_iter().cycle().skip(begin).take(count.min(all)).collect()
}

impl Record {
    /// Fails if a field says nothing.
    fn check(&self) -> Result<()> {
        let fields = [("name", &self.name), ("property", &self.property), ("tests", &self.tests)];
        for (field, value) in fields {
            ensure!(!value.trim().is_empty(), "`{field}` is empty");
        }
        ensure!(!self.edits.is_empty(), "there is no `[[sabotage.edit]]`");
        self.edits.iter().try_for_each(Edit::check)
    }

    /// What the tree in `root` becomes: the files that change, with their new text.
    pub(super) fn edited(&self, root: &Path) -> Result<ChangedFiles> {
        let mut changed = ChangedFiles::new();
        for edit in &self.edits {
            edit.make(root, &mut changed).with_context(|| format!("sabotage {}", self.name))?;
        }
        Ok(changed)
    }

    /// Changes the tree in `root`; returns what undoes that.
    pub(super) fn apply(&self, root: &Path) -> Result<Applied> {
        let changed = self.edited(root)?;
        let mut before = Vec::new();
        for file in changed.keys().map(|file| root.join(file)) {
            before.push((file.clone(), fs::read_to_string(file)?));
        }
        let applied = Applied(before);
        for (file, text) in changed {
            fs::write(root.join(file), text)?;
        }
        Ok(applied)
    }
}

/// Files that were changed, as they were before.
#[derive(Debug)]
#[must_use = "the tree stays broken"]
pub(super) struct Applied(Vec<(PathBuf, String)>);

impl Applied {
    /// Undoes [`Record::apply`].
    pub(super) fn take_back(self) -> Result<()> {
        for (file, text) in self.0 {
            fs::write(&file, text).with_context(|| file.display().to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
[[sabotage]]
name = "a"
property = "It holds."
tests = 'test(=x)'
rows = [1, 2]

[[sabotage.edit]]
file = "house/src/lib.rs"
item = "f"
snippet = '''
old
'''
replacement = 'new'

[[sabotage.edit]]
file = "house/src/lib.rs"
item = "g"
snippet = 'old'
replacement = ''
"#;

    fn named(name: &str) -> Record {
        Record { name: name.to_owned(), ..parse(WHOLE).unwrap().remove(0) }
    }

    fn names(records: Vec<Record>) -> String {
        records.into_iter().map(|record| record.name).collect()
    }

    #[test]
    fn a_record_that_is_not_whole_is_refused() {
        assert_eq!(parse(WHOLE).unwrap()[0].edits.len(), 2);
        for (from, to) in [
            ("property = \"It holds.\"\n", ""),
            ("\"It holds.\"", "\" \""),
            ("tests =", "test ="),
            ("rows = [1, 2]\n", ""),
            ("item = \"g\"\n", ""),
            ("'new'", "'old'"),
        ] {
            assert!(parse(&WHOLE.replace(from, to)).is_err(), "{from:?} as {to:?}");
        }
        let (without, _) = WHOLE.split_once("[[sabotage.edit]]").unwrap();
        assert!(parse(without).is_err());
    }

    #[test]
    fn one_is_chosen_by_its_name() {
        let chosen = |only: &[&str]| {
            let only: Vec<_> = only.iter().copied().map(str::to_owned).collect();
            choose(vec![named("a"), named("b")], &only)
        };
        assert_eq!(names(chosen(&["b"]).unwrap()), "b");
        assert_eq!(names(chosen(&["b", "a"]).unwrap()), "ab");
        assert_eq!(names(chosen(&[]).unwrap()), "ab");
        assert!(chosen(&["b", "c"]).is_err());
    }

    #[test]
    fn each_commit_has_the_next_ones_and_all_come_round() {
        let all = || ["a", "b", "c", "d", "e"].map(named).to_vec();
        let turns = (0..4).map(|turn| names(next(all(), 2, turn)));
        assert_eq!(Vec::from_iter(turns), ["ab", "cd", "ea", "bc"]);
        assert_eq!(names(next(all(), 9, 0)), "abcde");
        assert_eq!(names(next(Vec::new(), 2, 7)), "");
    }

    #[test]
    fn what_is_applied_is_taken_back_and_what_does_not_apply_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (lib, manifest) = (dir.path().join("house/src/lib.rs"), "house/Cargo.toml");
        fs::create_dir_all(lib.parent().unwrap()).unwrap();
        fs::write(dir.path().join(manifest), "").unwrap();
        let source = "fn f() { old }\nfn g() { old }\n";
        fs::write(&lib, source).unwrap();
        let text = || fs::read_to_string(&lib).unwrap();

        let applied = named("a").apply(dir.path()).unwrap();
        assert_eq!(text(), "fn f() { new }\nfn g() {  }\n");
        applied.take_back().unwrap();
        assert_eq!(text(), source);

        fs::write(&lib, "fn f() { old }\n").unwrap();
        let error = format!("{:#}", named("a").apply(dir.path()).unwrap_err());
        assert!(error.starts_with("sabotage a: neither"), "{error}");
        assert_eq!(text(), "fn f() { old }\n");
    }
}
