//! Applies changes of `openclaw.json` while the gateway runs: its nodes' `draining` and `slots`,
//! and its `channels`.

use std::{path::PathBuf, sync::Arc};

use chassis::watched::WatchedFiles;

use super::{OpenClaw, RoomPolicy, Variables, error::OpenClawError};

/// Watches the file.
#[derive(Debug)]
pub(crate) struct Watcher {
    file: WatchedFiles<Arc<OpenClaw>, OpenClawError>,
    /// The settings that were returned last.
    last: Option<Arc<OpenClaw>>,
    /// The settings at the start.
    started: OpenClaw,
    /// Whether it was logged that a change needs a restart.
    warned: bool,
}

impl Watcher {
    /// Watches the file with which the gateway was started, and which had these settings.
    pub(crate) fn new(path: PathBuf, started: OpenClaw) -> Result<Self, OpenClawError> {
        let read = {
            let path = path.clone();
            // A file that existed at the start is only missing while somebody replaces it.
            let read = if path.exists() { OpenClaw::read } else { OpenClaw::load };
            move || read(&path).map(Arc::new)
        };
        let paths = vec![path.clone(), Variables::path(&path)];
        let file = WatchedFiles::load("openclaw.json", paths, read)?;
        Ok(Self { file, last: None, started, warned: false })
    }

    /// The file's settings if they differ from those returned last. The file is read only if it was written since, so
    /// this may be called often. It returns nothing while the file is invalid.
    pub(crate) fn changed(&mut self) -> Option<Arc<OpenClaw>> {
        let now = self.file.current();
        // A missing `.env` is looked for again and again, and then the file is read anew.
        if self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &now) || *last == now) {
            return None;
        }
        let differs = rest(&now) != rest(&self.started);
        if differs && !self.warned {
            tracing::warn!(
                "openclaw.json has changed: `draining`, `slots` and `channels` apply now, other changes after a restart"
            );
        }
        self.warned = differs;
        self.last = Some(Arc::clone(&now));
        Some(now)
    }
}

/// The settings that need a restart.
fn rest(file: &OpenClaw) -> OpenClaw {
    let mut file = file.clone();
    for node in file.providers.values_mut().flat_map(|provider| &mut provider.nodes) {
        (node.slots, node.draining) = (None, false);
    }
    file.rooms = RoomPolicy::default();
    file
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn write(path: &Path, text: &str) {
        let next = path.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, path).unwrap();
    }

    /// A file whose only node has these further keys.
    fn file(keys: &str) -> String {
        format!(
            r#"{{models: {{providers: {{p: {{nodes: [{{baseUrl: "unix:///a.sock"{keys}}}], models: [{{id: "m"}}]}}}}}}}}"#
        )
    }

    fn node(watcher: &mut Watcher) -> Option<(Option<u32>, bool)> {
        let now = watcher.changed()?;
        let node = &now.providers["p"].nodes[0];
        Some((node.slots, node.draining))
    }

    #[test]
    fn each_change_is_returned_once_and_an_invalid_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw.json");
        write(&path, &file(""));
        let mut watcher = Watcher::new(path.clone(), OpenClaw::load(&path).unwrap()).unwrap();
        assert_eq!(node(&mut watcher), Some((None, false)));
        assert_eq!(node(&mut watcher), None, "nothing has changed");
        write(&path, &file(", draining: true, slots: 3"));
        assert_eq!(node(&mut watcher), Some((Some(3), true)));
        assert!(!watcher.warned, "nothing else has changed");
        for wrong in ["{", &file(", draining: 1"), &file(", slots: 0")] {
            write(&path, wrong);
            assert_eq!(node(&mut watcher), None, "{wrong}");
        }
        write(&path, &file(", apiKey: \"k\""));
        assert_eq!(node(&mut watcher), Some((None, false)));
        assert!(watcher.warned, "a key needs a restart");
        write(&path, &file(""));
        assert_eq!(node(&mut watcher), Some((None, false)));
        assert!(!watcher.warned, "as it was");
    }
}
