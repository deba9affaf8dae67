//! What a run could leave behind on the host.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// Everything of a kind that a run makes and has to take away again, a line each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traces(BTreeSet<String>);

impl Traces {
    /// What is there now: interfaces, tables, routing rules, mounts, machines of the lab, control
    /// groups and temporary files.
    pub(super) fn now() -> Result<Self> {
        let mut all = BTreeSet::new();
        let mut add = |kind: &str, lines: Vec<String>| {
            all.extend(lines.into_iter().map(|line| format!("{kind}: {line}")));
        };
        add("interface", names(Path::new("/sys/class/net"))?);
        add("table", said("nft", &["list", "tables"])?);
        add("rule", said("ip", &["rule", "list"])?);
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("no /proc")?;
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        add("mount", places.map(str::to_owned).collect());
        add("machine", lab::clean::list()?.into_iter().map(|(name, _)| name).collect());
        let mut groups = Vec::new();
        control_groups(Path::new("/sys/fs/cgroup"), &mut groups);
        add("control group", groups);
        add("temporary file", names(&std::env::temp_dir())?);
        Ok(Self(all))
    }

    /// Fails if anything is there that was not `before`.
    pub(super) fn nothing_new_since(&self, before: &Self) -> Result<()> {
        let new: Vec<_> = self.0.difference(&before.0).map(String::as_str).collect();
        ensure!(new.is_empty(), "left behind:\n{}", new.join("\n"));
        Ok(())
    }
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("no {}", dir.display()))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn said(program: &str, args: &[&str]) -> Result<Vec<String>> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    let out = out.with_context(|| format!("cannot run {program}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

/// Those of containers and of Maru; what else the host does is its own affair.
fn control_groups(dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let text = path.to_string_lossy().into_owned();
        if ["maru", "libpod", "conmon"].iter().any(|word| text.contains(word)) {
            found.push(text);
        }
        control_groups(&path, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_not_left_behind_and_what_is_new_is() {
        let traces = |lines: &[&str]| Traces(lines.iter().map(|line| (*line).to_owned()).collect());
        let before = traces(&["interface: lo", "table: a"]);
        assert!(traces(&["interface: lo"]).nothing_new_since(&before).is_ok());
        let left = traces(&["interface: lo", "machine: home"]).nothing_new_since(&before);
        assert_eq!(left.unwrap_err().to_string(), "left behind:\nmachine: home");
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_machine_is_seen_as_long_as_it_is_there() {
        let before = Traces::now().unwrap();
        let machine = lab::Machine::new("seen").unwrap();
        assert!(Traces::now().unwrap().nothing_new_since(&before).is_err());
        drop(machine);
    }
}
