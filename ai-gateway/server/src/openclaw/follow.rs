//! What of `openclaw.json` holds while the gateway runs: its nodes' `draining` and `slots`.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::OpenClaw;

/// Follows the file.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    /// How it looked when it was last read, or tried to be.
    seen: Option<Stamp>,
    /// What the gateway was started with.
    started: OpenClaw,
    /// Whether it was said that more has changed than holds at once.
    said: bool,
}

/// What of a file differs once it was exchanged or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    /// Last change of content or of the inode itself: seconds and nanoseconds.
    changed: (i64, i64),
}

impl Follow {
    /// Follows the file that the gateway was started with, which said that.
    #[must_use]
    pub fn new(path: PathBuf, started: OpenClaw) -> Self {
        Self { path, seen: None, started, said: false }
    }

    /// What the file says now, if it may have changed since the last call and can be used. Looks at the file alone
    /// otherwise, so it may be called often.
    pub fn changed(&mut self) -> Option<OpenClaw> {
        // Looked at before it is read, so that a change in between is found the next time.
        let seen = stamp(&self.path);
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        let now = match OpenClaw::load(&self.path) {
            Ok(now) => now,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "what openclaw.json said before holds");
                return None;
            }
        };
        let differs = rest(&now) != rest(&self.started);
        if differs && !self.said {
            tracing::warn!(
                "openclaw.json has changed: what it says of `draining` and `slots` holds now, the rest once the gateway is \
                 started again"
            );
        }
        self.said = differs;
        Some(now)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    let changed = (file.ctime(), file.ctime_nsec());
    Some(Stamp { inode: file.ino(), bytes: file.size(), changed })
}

/// What holds only after a start.
fn rest(file: &OpenClaw) -> OpenClaw {
    let mut file = file.clone();
    for node in file.providers.values_mut().flat_map(|provider| &mut provider.nodes) {
        (node.slots, node.draining) = (None, false);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        let next = path.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, path).unwrap();
    }

    /// A file whose one node has these keys besides.
    fn file(keys: &str) -> String {
        format!(
            r#"{{models: {{providers: {{p: {{nodes: [{{baseUrl: "unix:///a.sock"{keys}}}], models: [{{id: "m"}}]}}}}}}}}"#
        )
    }

    fn node(follow: &mut Follow) -> Option<(Option<u32>, bool)> {
        let now = follow.changed()?;
        let node = &now.providers["p"].nodes[0];
        Some((node.slots, node.draining))
    }

    #[test]
    fn each_change_is_told_once_and_what_cannot_be_used_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw.json");
        write(&path, &file(""));
        let mut follow = Follow::new(path.clone(), OpenClaw::load(&path).unwrap());
        assert_eq!(node(&mut follow), Some((None, false)));
        assert_eq!(node(&mut follow), None, "nothing has changed");
        write(&path, &file(", draining: true, slots: 3"));
        assert_eq!(node(&mut follow), Some((Some(3), true)));
        assert!(!follow.said, "nothing else has changed");
        for wrong in ["{", &file(", draining: 1"), &file(", slots: 0")] {
            write(&path, wrong);
            assert_eq!(node(&mut follow), None, "{wrong}");
        }
        write(&path, &file(", apiKey: \"k\""));
        assert_eq!(node(&mut follow), Some((None, false)));
        assert!(follow.said, "a key holds from the next start on");
        write(&path, &file(""));
        assert_eq!(node(&mut follow), Some((None, false)));
        assert!(!follow.said, "as it was");
    }
}
