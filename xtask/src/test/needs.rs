//! Which ignored tests this machine can run, by what each says that it needs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use landlock::{ABI, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};

/// A test with its requirements.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TestNeeds {
    name: String,
    file: PathBuf,
    needs: Vec<String>,
}

/// A test whose requirements this machine does not meet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SkippedTest {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) lacks: Vec<String>,
}

/// Every test below `root` that says what it needs.
pub(super) fn declared_below(root: &Path) -> Result<Vec<TestNeeds>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "interop" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let file = path.strip_prefix(root).unwrap_or(&path);
                let tests = declared(&fs::read_to_string(&path)?).into_iter();
                let tests =
                    tests.map(|(name, needs)| TestNeeds { name, file: file.to_owned(), needs });
                found.extend(tests);
            }
        }
    }
    Ok(found)
}

/// Those whose needs this machine does not meet.
pub(super) fn lacking(declared: &[TestNeeds], root: &Path) -> Vec<SkippedTest> {
    let lacking = declared.iter().map(|test| SkippedTest {
        name: test.name.clone(),
        file: test.file.clone(),
        lacks: test.needs.iter().filter(|need| !met(need, root)).cloned().collect(),
    });
    lacking.filter(|test| !test.lacks.is_empty()).collect()
}

/// The names of those that need one of these.
pub(super) fn with<'a>(
    declared: &'a [TestNeeds],
    needs: [&'a str; 4],
) -> impl Iterator<Item = &'a str> {
    let has = move |test: &&TestNeeds| test.needs.iter().any(|need| needs.contains(&need.as_str()));
    declared.iter().filter(has).map(|test| test.name.as_str())
}

/// A filterset that selects the tests of these names.
pub(super) fn any_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("test(/(^|::){name}$/)")).collect();
    if names.is_empty() { "none()".to_owned() } else { names.join(" | ") }
}

/// One that selects all others.
pub(super) fn without<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("(all() - ({}))", any_of(names))
}

/// Tests that state needs in a source file: name and needs.
fn declared(source: &str) -> Vec<(String, Vec<String>)> {
    let mut tests = Vec::new();
    let mut needs: Option<Vec<String>> = None;
    for line in source.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[ignore = \"needs:") {
            let list = rest.split('"').next().unwrap_or_default();
            needs = Some(
                list.split([',', ' ', '|'])
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect(),
            );
        } else if let Some((before, after)) = line.split_once("fn ")
            && (before.is_empty() || before.ends_with("async ") || before.ends_with("pub "))
            && let Some(needs) = needs.take()
        {
            let name = after.split(['(', '<']).next().unwrap_or_default();
            tests.push((name.to_owned(), needs));
        }
    }
    tests
}

/// Whether this machine has what tests call by this name.
pub(super) fn met(need: &str, root: &Path) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    match need {
        "shared" => root.join("../shared/vectors").is_dir(),
        "root" => is_root && Path::new("/dev/net/tun").exists(),
        "podman" => is_root && Path::new("/usr/bin/podman").exists(),
        "landlock" => has_landlock(),
        "postgres" => Path::new("/usr/lib/postgresql").is_dir(),
        "systemd" => Path::new("/usr/bin/systemd-analyze").exists(),
        "nginx" => Path::new("/usr/sbin/nginx").exists(),
        "promtool" => Path::new("/usr/bin/promtool").exists(),
        "swtpm" => Path::new("/usr/bin/swtpm").exists(),
        "wireguard-tools" => Path::new("/usr/bin/wg").exists(),
        "tpm2-tools" => Path::new("/usr/bin/tpm2_checkquote").exists(),
        "chromium" => Path::new("/usr/bin/chromium").exists(),
        // What is fetched where it is missing, Go included.
        "model" | "stock" | "tools" | "go" | "openpcc" | "resolvers" => true,
        _ => false,
    }
}

/// Whether this kernel confines what a process writes; asking confines nothing.
fn has_landlock() -> bool {
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    rules.handle_access(AccessFs::from_write(ABI::V1)).and_then(Ruleset::create).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_test_says_it_needs() {
        let source =
            "#[test]\n#[ignore = \"needs: root, model\"]\nfn it_works() {\n}\nfn other() {}";
        assert_eq!(
            declared(source),
            [("it_works".to_owned(), vec!["root".to_owned(), "model".to_owned()])]
        );
    }

    #[test]
    fn names_are_selected_whole_and_none_is_none() {
        assert_eq!(any_of(["a", "b"].into_iter()), "test(/(^|::)a$/) | test(/(^|::)b$/)");
        assert_eq!(without(std::iter::empty()), "(all() - (none()))");
    }

    #[test]
    fn those_that_need_something_are_named() {
        let test = |name: &str, need: &str| TestNeeds {
            name: name.to_owned(),
            file: PathBuf::new(),
            needs: vec!["root".to_owned(), need.to_owned()],
        };
        let declared = [test("a", "go"), test("b", "model"), test("c", "stock")];
        let named: Vec<_> = with(&declared, ["stock", "go", "openpcc", "resolvers"]).collect();
        assert_eq!(named, ["a", "c"]);
    }

    #[test]
    fn an_unknown_need_is_never_met() {
        assert!(!met("a-moon-base", Path::new("/")));
    }
}
