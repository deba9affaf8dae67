//! The workspace, whose files stand in everybody's prompts: who may write it, and what of it is not used.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use ai_gateway_api::{config::PROMPT_HALF_TOKENS, settings::gateway::Settings};
use common::foreign;
use messages::message;
use serde_json::Value;

use crate::finding::Finding;

const ID: &str = "workspace";
/// Files that are in everybody's prompts.
const SHARED: [&str; 3] = ["SOUL.md", "IDENTITY.md", "AGENTS.md"];
/// Most files and folders that are looked at: whoever can write there decides how many there are.
const ENTRIES_MAX: usize = 10_000;
/// Most names in a finding.
const NAMES_MAX: usize = 5;
/// A file this long was not meant for a prompt.
const LARGE: u64 = 1 << 30;
/// Bytes of a character at most (RFC 3629, section 3).
const CHARACTER: u64 = 4;

/// What was found below the folder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    files: usize,
    bytes: u64,
    /// Bytes of the files in everybody's prompts.
    shared: u64,
    links: Vec<String>,
    large: Vec<String>,
    /// Writable by others than root and the gateway.
    open: Vec<String>,
    /// Not all was looked at.
    cut: bool,
}

/// Looks at the folder that `openclaw.json` or else the gateway's state has.
pub(super) fn check(root: &Path, settings: &Settings, openclaw: Option<&Value>) -> Vec<Finding> {
    let state = root.join(&settings.state);
    let defaults = openclaw.and_then(|file| file.pointer("/agents/defaults"));
    let own = defaults.and_then(|it| it["workspace"].as_str());
    // The gateway has no home folder, and ignores what is said to be there.
    let own = own.filter(|path| !path.starts_with('~')).map(|path| {
        let path = Path::new(path);
        if path.starts_with(root) {
            path.to_owned()
        } else {
            root.join(path.strip_prefix("/").unwrap_or(path))
        }
    });
    let folder = own.unwrap_or_else(|| state.join("workspace"));
    let gateway = fs::metadata(&state).map(|meta| (meta.uid(), meta.gid()));
    let seen = match gateway.and_then(|gateway| walk(&folder, gateway)) {
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Finding::ok(ID, message!("workspace-none"))];
        }
        Err(error) => {
            let text = message!("workspace-unknown", path = folder.display(), error);
            return vec![Finding::warning(ID, text, message!("fix-workspace-unknown"))];
        }
    };
    let total = defaults.and_then(|it| it["bootstrapTotalMaxChars"].as_u64());
    judge(&seen, &folder, total)
}

fn judge(seen: &Contents, folder: &Path, total_chars: Option<u64>) -> Vec<Finding> {
    let path = folder.display();
    let mut findings = Vec::new();
    let mut warn = |text, fix| findings.push(Finding::warning(ID, text, fix));
    if !seen.open.is_empty() {
        let text = message!("workspace-open", names = names(&seen.open));
        warn(text, message!("fix-workspace-open", path));
    }
    if !seen.links.is_empty() {
        let text = message!("workspace-links", names = names(&seen.links));
        warn(text, message!("fix-workspace-links"));
    }
    if !seen.large.is_empty() {
        let text = message!("workspace-large", names = names(&seen.large));
        warn(text, message!("fix-workspace-long"));
    }
    // By the gateway's estimate a byte costs half a token at least.
    let max = total_chars.map_or(PROMPT_HALF_TOKENS as u64, |it| it.saturating_mul(CHARACTER));
    if seen.shared > max {
        let text = message!("workspace-long", bytes = seen.shared, max);
        warn(text, message!("fix-workspace-long"));
    }
    if seen.cut {
        let text = message!("workspace-cut", path, max = ENTRIES_MAX);
        warn(text, message!("fix-workspace-cut"));
    }
    if findings.is_empty() {
        let text = message!("workspace-fine", files = seen.files, bytes = seen.bytes);
        findings.push(Finding::ok(ID, text));
    }
    findings
}

fn names(all: &[String]) -> String {
    let more = if all.len() > NAMES_MAX { ", …" } else { "" };
    let shown: Vec<_> = all.iter().take(NAMES_MAX).map(|name| foreign::short(name, 100)).collect();
    shown.join(", ") + more
}

/// Looks at everything below the folder, which is the gateway's, a user and a group. It follows no link and opens no file.
fn walk(folder: &Path, gateway: (u32, u32)) -> io::Result<Contents> {
    let mut seen = Contents::default();
    let mut left = ENTRIES_MAX;
    let mut folders = vec![PathBuf::new()];
    is_folder(folder)?;
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let Some(rest) = left.checked_sub(1) else {
                seen.cut = true;
                return Ok(seen);
            };
            left = rest;
            let name = below.join(entry.file_name());
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let shown = name.display().to_string();
            if meta.is_symlink() {
                seen.links.push(shown);
                continue;
            }
            if is_open(&meta, gateway) {
                seen.open.push(shown.clone());
            }
            if meta.is_dir() {
                folders.push(name);
                continue;
            }
            seen.files += 1;
            seen.bytes = seen.bytes.saturating_add(meta.len());
            if SHARED.iter().any(|shared| name == Path::new(shared)) {
                seen.shared = seen.shared.saturating_add(meta.len());
            }
            if meta.len() >= LARGE {
                seen.large.push(shown);
            }
        }
    }
    seen.open.sort();
    Ok(seen)
}

/// Whether others than root and the gateway may write.
fn is_open(meta: &Metadata, (uid, gid): (u32, u32)) -> bool {
    let group = meta.mode() & 0o020 != 0 && ![0, gid].contains(&meta.gid());
    meta.mode() & 0o002 != 0 || group || ![0, uid].contains(&meta.uid())
}

fn is_folder(folder: &Path) -> io::Result<()> {
    match fs::symlink_metadata(folder)?.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{File, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use serde_json::json;

    use super::*;
    use crate::finding::Severity;

    /// The state's folder with a workspace, below a root.
    fn house() -> (tempfile::TempDir, PathBuf, Settings) {
        let root = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        let folder = root.path().join(&settings.state).join("workspace");
        fs::create_dir_all(folder.join("people/user-7")).unwrap();
        for inner in ["", "people", "people/user-7"] {
            mode(&folder.join(inner), 0o755);
        }
        fs::write(folder.join("SOUL.md"), "kind").unwrap();
        mode(&folder.join("SOUL.md"), 0o644);
        (root, folder, settings)
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn texts(findings: &[Finding]) -> Vec<(Severity, String)> {
        findings.iter().map(|it| (it.severity, it.text.to_string())).collect()
    }

    #[test]
    fn a_workspace_of_the_gateway_alone_is_fine() {
        let (root, _, settings) = house();
        let found = texts(&check(root.path(), &settings, None));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == Severity::Ok && found[0].1.contains("files: 1"), "{found:?}");
    }

    #[test]
    fn links_large_files_and_what_others_may_write_are_named() {
        let (root, folder, settings) = house();
        symlink("/etc/passwd", folder.join("AGENTS.md")).unwrap();
        // A hole: no disk is used.
        File::create(folder.join("people/user-7/huge")).unwrap().set_len(LARGE).unwrap();
        mode(&folder.join("people/user-7/huge"), 0o644);
        fs::write(folder.join("a\u{1b}[2Jb"), "").unwrap();
        mode(&folder.join("a\u{1b}[2Jb"), 0o666);
        mode(&folder.join("people"), 0o777);
        let found = check(root.path(), &settings, None);
        let said = texts(&found);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].1.contains("a\u{fffd}[2Jb, people"), "{said:?}");
        assert!(
            said[1].1.contains("AGENTS.md") && said[2].1.contains("people/user-7/huge"),
            "{said:?}"
        );
        assert!(found.iter().all(|it| it.severity == Severity::Warning && it.fix.is_some()));
    }

    #[test]
    fn what_a_prompt_cannot_hold_is_told() {
        let (root, folder, settings) = house();
        fs::write(folder.join("SOUL.md"), "x".repeat(5000)).unwrap();
        let long = texts(&check(root.path(), &settings, None));
        assert!(long[0].0 == Severity::Warning && long[0].1.contains("5000"), "{long:?}");
        let more = json!({"agents": {"defaults": {"bootstrapTotalMaxChars": 9000}}});
        assert_eq!(check(root.path(), &settings, Some(&more))[0].severity, Severity::Ok);
    }

    #[test]
    fn another_folder_is_looked_at_where_the_file_says_so_and_none_is_no_error() {
        let (root, folder, settings) = house();
        fs::rename(&folder, root.path().join("elsewhere")).unwrap();
        assert_eq!(check(root.path(), &settings, None)[0].severity, Severity::Ok);
        mode(&root.path().join("elsewhere/SOUL.md"), 0o666);
        let file = json!({"agents": {"defaults": {"workspace": "/elsewhere"}}});
        assert_eq!(check(root.path(), &settings, Some(&file))[0].severity, Severity::Warning);
        fs::remove_file(root.path().join("elsewhere/SOUL.md")).unwrap();
        symlink("elsewhere", &folder).unwrap();
        let found = texts(&check(root.path(), &settings, None));
        assert!(found[0].0 == Severity::Warning, "a link in its place: {found:?}");
    }
}
