//! The committed list of tests that were flaky before. If such a test is flaky again, it counts as failed.
//!
//! A line has a date and the name of a test function without its modules, so that it stays valid when the test moves.
//! The line stays after the test was fixed.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use crate::nextest::Test;

/// The list, below the workspace.
pub(super) const FILE: &str = ".config/flaky.txt";

/// The list of flaky tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FlakyList(Vec<(String, String)>);

impl FlakyList {
    /// Reads the list of the workspace in `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(&text).context(FILE)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim);
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        entries.map(entry).collect::<Result<_>>().map(Self)
    }

    /// The date on which a test was flaky first, if it was.
    pub(super) fn since(&self, test: &Test) -> Option<&str> {
        let function = test.name.rsplit("::").next()?;
        self.0.iter().find(|(_, name)| name == function).map(|(date, _)| date.as_str())
    }
}

fn entry(line: &str) -> Result<(String, String)> {
    let (date, name) = line.split_once(' ').unwrap_or_default();
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let is_name =
        !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    ensure!(is_date && is_name, "`{line}` is not valid: write `2026-11-25 a_test_functions_name`");
    Ok((date.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn a_test_is_known_by_its_functions_name_wherever_it_is() {
        let known = FlakyList::parse("# why\n\n2026-11-25 it_works\n").unwrap();
        let since = |name: &str| {
            let test = Test { binary: "a::all".to_owned(), name: name.to_owned() };
            known.since(&test).map(str::to_owned)
        };
        assert_eq!(since("it_works").as_deref(), Some("2026-11-25"));
        assert_eq!(since("faults::it_works").as_deref(), Some("2026-11-25"));
        assert_eq!((since("it_works_too"), since("it_works::not")), (None, None));
    }

    #[test]
    fn what_is_no_date_and_name_is_refused_with_what_to_write() {
        for line in ["it_works", "25.11.2026 it_works", "2026-11-25", "2026-11-25 a::b c"] {
            let error = FlakyList::parse(line).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains("write `"), "{error}");
        }
    }

    #[test]
    fn the_committed_list_can_be_read() {
        assert_ne!(FlakyList::read(&workspace::root()).unwrap(), FlakyList::default());
    }
}
