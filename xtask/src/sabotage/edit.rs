//! One edit of a sabotage: found by item and snippet, wherever in its crate the item stands now.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::items::items;

/// What stands in one item, and what is put in its place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// Where the item was when this was written, below the workspace. When it moved to another file of the same crate,
    /// it is found there.
    file: PathBuf,
    /// The end of the path of a function, an implementation (named by its type), a type or a constant:
    /// `Registry::is_live`.
    item: String,
    /// Stands exactly once in the item. White space, and a comma before a closing bracket, do not matter.
    snippet: String,
    replacement: String,
}

/// Files by their path below the workspace, as edits leave them.
pub(super) type ChangedFiles = BTreeMap<PathBuf, String>;

impl Edit {
    /// Changes the tree in `root`, in memory: what earlier edits changed is taken from `changed`.
    pub(super) fn make(&self, root: &Path, changed: &mut ChangedFiles) -> Result<()> {
        let mut places = self.places(root, &self.file, changed)?;
        if places.found.is_empty() {
            places = self.elsewhere(root, changed)?;
        }
        let [(file, range)] = &places.found[..] else {
            bail!("{}", self.why(&places));
        };
        let mut text = content(root, file, changed)?.context("the file is gone")?;
        text.replace_range(range.clone(), self.replacement.trim());
        changed.insert(file.clone(), text);
        Ok(())
    }

    /// In every file of the crate.
    fn elsewhere(&self, root: &Path, changed: &ChangedFiles) -> Result<EditSites> {
        let folders = self.file.ancestors().skip(1);
        let mut crates = folders.filter(|folder| root.join(folder).join(MANIFEST).is_file());
        let folder = crates.next().with_context(|| {
            format!("no crate holds {}; write where it is now", self.file.display())
        })?;
        let mut places = EditSites::default();
        for file in sources(root, folder)? {
            let more = self.places(root, &file, changed)?;
            places.has_item |= more.has_item;
            places.found.extend(more.found);
        }
        Ok(places)
    }

    /// In one file, which may be gone.
    fn places(&self, root: &Path, file: &Path, changed: &ChangedFiles) -> Result<EditSites> {
        let Some(text) = content(root, file, changed)? else { return Ok(EditSites::default()) };
        let mut places = EditSites::default();
        // A quick look: reading every file of a crate takes long.
        if self.item.rsplit("::").next().is_some_and(|name| !text.contains(name)) {
            return Ok(places);
        }
        let items = items(&text);
        for item in items.iter().filter(|item| item.is(&self.item)) {
            places.has_item = true;
            for found in find(&text[item.range.clone()], &self.snippet) {
                let range = item.range.start + found.start..item.range.start + found.end;
                let place = (file.to_owned(), range);
                // A function within another of the same name is in both.
                if !places.found.contains(&place) {
                    places.found.push(place);
                }
            }
        }
        Ok(places)
    }

    /// Why there is no one place, and what to do.
    fn why(&self, places: &EditSites) -> String {
        let (item, file) = (&self.item, self.file.display());
        if !places.has_item {
            return format!(
                "neither {file} nor another file of its crate has an item `{item}`; write its new name or file"
            );
        }
        let count = match places.found.len() {
            0 => "the item does not contain the snippet; copy the current code".to_owned(),
            more => format!("the snippet is found {more} times; copy more of the code"),
        };
        format!("`{item}` ({file}): {count}:\n{}", self.snippet.trim())
    }
}

/// Where an edit may be made.
#[derive(Debug, Default)]
struct EditSites {
    has_item: bool,
    found: Vec<(PathBuf, std::ops::Range<usize>)>,
}

const MANIFEST: &str = "Cargo.toml";

/// A file as it is with the edits so far; `None` if there is none.
fn content(root: &Path, file: &Path, changed: &ChangedFiles) -> Result<Option<String>> {
    if let Some(text) = changed.get(file) {
        return Ok(Some(text.clone()));
    }
    match fs::read_to_string(root.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

/// The Rust files of the crate in `folder`, without those of crates below it.
fn sources(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            let is_other = path.ends_with("target") || root.join(&path).join(MANIFEST).exists();
            if !is_other {
                files.extend(sources(root, &path)?);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Where `snippet` stands in `text`, in bytes.
fn find(text: &str, snippet: &str) -> Vec<std::ops::Range<usize>> {
    let (text, snippet) = (signs(text), signs(snippet));
    let Some(first) = snippet.first() else { return Vec::new() };
    let begins = (0..text.len()).filter(|begin| text[*begin].sign == first.sign);
    begins
        .filter_map(|begin| {
            let last = text[begin + length(&text[begin..], &snippet)? - 1];
            Some(text[begin].at..last.at + last.sign.len_utf8())
        })
        .collect()
}

/// What formatting does not change.
#[derive(Clone, Copy, Debug)]
struct Character {
    sign: char,
    at: usize,
    /// A comma before a closing bracket.
    is_optional: bool,
}

/// Everything but white space.
fn signs(text: &str) -> Vec<Character> {
    let mut signs: Vec<Character> = Vec::new();
    for (at, sign) in text.char_indices().filter(|(_, sign)| !sign.is_whitespace()) {
        if let Some(before) = signs.last_mut() {
            before.is_optional = before.sign == ',' && matches!(sign, ')' | ']' | '}');
        }
        signs.push(Character { sign, at, is_optional: false });
    }
    signs
}

/// How much of `text` is `snippet`, if it begins with it.
fn length(text: &[Character], snippet: &[Character]) -> Option<usize> {
    let (mut here, mut there) = (0, 0);
    while let Some(wanted) = snippet.get(there) {
        let found = text.get(here)?;
        let is_same = found.sign == wanted.sign;
        if !is_same && !found.is_optional && !wanted.is_optional {
            return None;
        }
        here += usize::from(is_same || found.is_optional);
        there += usize::from(is_same || !found.is_optional);
    }
    Some(here)
}

impl Edit {
    /// Fails if it would change nothing.
    pub(super) fn check(&self) -> Result<()> {
        let (snippet, replacement) = (signs(&self.snippet), signs(&self.replacement));
        let is_same = length(&snippet, &replacement) == Some(snippet.len());
        ensure!(!is_same, "the replacement is the snippet; write what breaks the property");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
fn before() -> u8 { limit(1, 2) }

impl Door {
    fn is_open(&self) -> bool {
        let most = limit(1, 2);
        self.count < most && self.count < self.bound
    }
}
";

    /// A workspace of two crates, the second below the first.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let manifests = [("house/Cargo.toml", ""), ("house/other/Cargo.toml", "")];
        for (name, text) in files.iter().chain(&manifests) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn edit(item: &str, snippet: &str) -> Edit {
        Edit {
            file: "house/src/door.rs".into(),
            item: item.to_owned(),
            snippet: format!("{snippet}\n"),
            replacement: "\nchanged\n".to_owned(),
        }
    }

    fn made(tree: &tempfile::TempDir, edit: &Edit) -> Result<(PathBuf, String)> {
        let mut changed = ChangedFiles::new();
        edit.make(tree.path(), &mut changed)?;
        Ok(changed.pop_first().unwrap())
    }

    #[test]
    fn a_snippet_is_replaced_within_its_item_alone() {
        let tree = tree(&[("house/src/door.rs", SOURCE)]);
        let (file, text) = made(&tree, &edit("Door::is_open", "limit(1, 2)")).unwrap();
        assert_eq!(file, Path::new("house/src/door.rs"));
        assert_eq!(text, SOURCE.replace("most = limit(1, 2)", "most = changed"));
    }

    #[test]
    fn an_item_that_moved_is_found_in_its_crate() {
        let moved = ("house/src/door/lock.rs", SOURCE);
        let wanted = edit("is_open", "limit(1, 2)");
        // Its file is gone, or holds other things now.
        for files in [&[moved][..], &[moved, ("house/src/door.rs", "fn other() {}")]] {
            let (file, text) = made(&tree(files), &wanted).unwrap();
            assert_eq!(file, Path::new("house/src/door/lock.rs"));
            assert!(text.contains("most = changed"));
        }
        // Another crate is not looked at, and two files are one too many.
        let error = made(&tree(&[("house/other/src/door.rs", SOURCE)]), &wanted).unwrap_err();
        assert!(error.to_string().starts_with("neither"), "{error}");
        let two = tree(&[moved, ("house/src/lock.rs", SOURCE)]);
        assert!(made(&two, &wanted).unwrap_err().to_string().contains("found 2 times"));
    }

    #[test]
    fn formatting_does_not_matter() {
        let other = "impl Door {\n  fn is_open(&self) -> bool {\n    limit(\n      1,\n      2,\n    )\n  }\n}";
        let (_, text) =
            made(&tree(&[("house/src/door.rs", other)]), &edit("is_open", "limit(1, 2)")).unwrap();
        assert!(text.contains("    changed\n  }"), "{text}");
        // A comma before a closing bracket comes and goes; it is replaced if it is written.
        for (text, snippet, rest) in [
            ("f(a, b,\n)", "f(a, b)", ""),
            ("f(a, b)", "f(a,\n b,\n)", ""),
            ("f(a, b,\n)", "b", "f(a, ,\n)"),
            ("f(a, b,\n)", "b,", "f(a, \n)"),
        ] {
            let mut replaced = text.to_owned();
            replaced.replace_range(find(text, snippet).remove(0), "");
            assert_eq!(replaced, rest, "{snippet}");
        }
        assert!(find("f(a, b)", "f(a b)").is_empty());
    }

    #[test]
    fn what_is_not_there_once_is_an_error_that_says_what_to_do() {
        let tree = tree(&[("house/src/door.rs", SOURCE)]);
        for (item, snippet, says) in [
            ("is_open", "self.count <", "the snippet is found 2 times; copy more of the code"),
            ("is_open", "limit(3)", "does not contain the snippet; copy the current code"),
            ("is_open", "", "does not contain the snippet"),
            ("is_shut", "limit(1, 2)", "has an item `is_shut`; write its new name or file"),
            ("open", "limit(1, 2)", "has an item `open`"),
        ] {
            let error = made(&tree, &edit(item, snippet)).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("house/src/door.rs"), "{error}");
        }
    }

    #[test]
    fn a_later_edit_sees_what_an_earlier_one_left() {
        let tree = tree(&[("house/src/door.rs", SOURCE)]);
        let mut changed = ChangedFiles::new();
        edit("is_open", "limit(1, 2)").make(tree.path(), &mut changed).unwrap();
        edit("is_open", "most = changed").make(tree.path(), &mut changed).unwrap();
        assert!(changed.pop_first().unwrap().1.contains("let changed;"));
    }

    #[test]
    fn an_edit_that_changes_nothing_is_refused() {
        let same = |replacement: &str| Edit {
            replacement: replacement.to_owned(),
            ..edit("is_open", "limit(1, 2)")
        };
        assert!(same("limit( 1, 2, )").check().is_err());
        assert!(same("limit(1, 3)").check().is_ok());
    }
}
