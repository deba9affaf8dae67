//! Applies changes of `openclaw.json`, or of its variables, while the gateway runs.
//!
//! A file that cannot be used changes nothing: the last one that could stays in use, until the gateway is started anew,
//! which a wrong file prevents (as at OpenClaw).

use std::{mem, path::PathBuf, sync::Arc};

use ai_gateway_api::config::ConfigReport;
use chassis::{failure::Failure, watched::WatchedFiles};
use conversations::Retention;

use super::{OpenClaw, Reload, Variables, error::OpenClawError};

/// Watches the file.
#[derive(Debug)]
pub(crate) struct Watcher {
    file: WatchedFiles<Arc<OpenClaw>, OpenClawError>,
    /// The settings in use.
    applied: Arc<OpenClaw>,
    /// The settings that were looked at last, whether they apply or not.
    seen: Arc<OpenClaw>,
    /// Why the settings that were looked at last do not apply.
    refused: Option<String>,
    /// The settings at the start.
    started: Arc<OpenClaw>,
}

/// Changed settings, and those in use.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) former: Arc<OpenClaw>,
    pub(crate) file: Arc<OpenClaw>,
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
        let started = Arc::new(started);
        let (applied, seen) = (Arc::clone(&started), Arc::clone(&started));
        Ok(Self { file, applied, seen, refused: None, started })
    }

    /// The file's settings, once after each change. They are to be applied, or else [`Self::refuse`]d. The file is read
    /// only if it was written since, so this may be called often. It returns nothing while the file is invalid.
    pub(crate) fn changed(&mut self) -> Option<Change> {
        let now = self.file.current();
        if *now == *self.seen {
            return None;
        }
        self.seen = Arc::clone(&now);
        self.refused = None;
        if now.reload == Reload::Off {
            tracing::info!(
                "openclaw.json: gateway.reload.mode is off, so it applies after a restart"
            );
            return None;
        }
        for warning in now.warnings.iter().filter(|it| !self.applied.warnings.contains(it)) {
            tracing::warn!("openclaw.json: {warning}");
        }
        if needs_restart(&now, &self.started) {
            tracing::warn!(
                "openclaw.json: the workspace and its limits change after a restart only"
            );
        }
        let former = mem::replace(&mut self.applied, Arc::clone(&now));
        Some(Change { former, file: now })
    }

    /// Takes back a change that could not be applied.
    pub(crate) fn refuse(&mut self, change: Change, error: &(dyn std::error::Error + 'static)) {
        let error = Failure::of(error).failure;
        tracing::warn!("openclaw.json: the previous content stays in use: {error}");
        self.refused = Some(error);
        self.applied = change.former;
    }

    /// How long conversations are kept.
    pub(crate) fn retention(&self) -> Retention {
        self.applied.retention
    }

    /// How the file stands.
    pub(crate) fn report(&self) -> ConfigReport {
        let applied = OpenClaw { reload: self.seen.reload, ..(*self.applied).clone() };
        ConfigReport {
            restart: (self.refused.is_none() && *self.seen != applied)
                || needs_restart(&self.seen, &self.started),
            trouble: self.file.failure().or_else(|| self.refused.clone()),
            warnings: self.applied.warnings.clone(),
            not_kept: None,
        }
    }
}

/// Whether the settings differ where they are read at the start only.
fn needs_restart(file: &OpenClaw, started: &OpenClaw) -> bool {
    let rest = |file: &OpenClaw| (file.workspace.clone(), file.prompt_limit);
    rest(file) != rest(started)
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

    /// The settings of the only node, if the file changed.
    fn node(watcher: &mut Watcher) -> Option<(Option<u32>, bool)> {
        let now = watcher.changed()?.file;
        let node = &now.providers["p"].nodes[0];
        Some((node.slots, node.draining))
    }

    fn watched(text: &str) -> (tempfile::TempDir, PathBuf, Watcher) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw.json");
        write(&path, text);
        let watcher = Watcher::new(path.clone(), OpenClaw::load(&path).unwrap()).unwrap();
        (folder, path, watcher)
    }

    #[test]
    fn each_change_is_returned_once_and_an_invalid_file_changes_nothing() {
        let (_folder, path, mut watcher) = watched(&file(""));
        assert_eq!(node(&mut watcher), None, "nothing has changed");
        write(&path, &file(", draining: true, slots: 3"));
        assert_eq!(node(&mut watcher), Some((Some(3), true)));
        assert_eq!(node(&mut watcher), None, "nothing has changed");
        for wrong in ["{", &file(", draining: 1"), &file(", slots: 0")] {
            write(&path, wrong);
            assert_eq!(node(&mut watcher), None, "{wrong}");
            assert!(watcher.report().trouble.is_some(), "{wrong}");
        }
        write(&path, &file(", draining: true, slots: 3"));
        assert_eq!(node(&mut watcher), None, "as it was");
        assert_eq!(watcher.report(), ConfigReport::default());
    }

    #[test]
    fn a_changed_variable_is_a_change() {
        let (folder, path, mut watcher) = watched(&file(""));
        fs::write(folder.path().join(".env"), "KEY=a").unwrap();
        write(&path, &file(", apiKey: \"${KEY}\""));
        assert!(watcher.changed().is_some());
        write(&folder.path().join(".env"), "KEY=b");
        assert!(watcher.changed().is_some());
        write(&folder.path().join(".env"), "");
        assert!(watcher.changed().is_none());
        assert!(watcher.report().trouble.unwrap().contains("needs the variable KEY"));
    }

    #[test]
    fn a_change_that_cannot_be_applied_is_named_until_the_next() {
        let (_folder, path, mut watcher) = watched(&file(""));
        write(&path, &file(", slots: 2"));
        let change = watcher.changed().unwrap();
        watcher.refuse(change, &std::io::Error::other("no such address"));
        assert_eq!(watcher.report().trouble.as_deref(), Some("no such address"));
        assert!(watcher.changed().is_none());
        write(&path, &file(", slots: 3"));
        let change = watcher.changed().unwrap();
        assert_eq!(change.former.providers["p"].nodes[0].slots, None, "the last that applied");
        assert_eq!(watcher.report().trouble, None);
    }

    #[test]
    fn with_reload_off_a_change_waits_for_a_restart_or_for_hybrid() {
        let off = |keys: &str| file(keys).replacen('{', "{gateway: {reload: {mode: 'off'}}, ", 1);
        let (_folder, path, mut watcher) = watched(&off(""));
        assert!(!watcher.report().restart);
        write(&path, &off(", slots: 2"));
        assert!(watcher.changed().is_none());
        assert!(watcher.report().restart);
        write(&path, "{");
        assert!(watcher.changed().is_none());
        assert!(watcher.report().trouble.is_some(), "it is checked all the same");
        write(&path, &file(", slots: 2"));
        assert_eq!(node(&mut watcher), Some((Some(2), false)));
        assert!(!watcher.report().restart);
        write(&path, &off(", slots: 2"));
        assert!(watcher.changed().is_none());
        assert!(!watcher.report().restart, "nothing but the mode differs");
    }

    #[test]
    fn what_is_read_at_the_start_only_waits_for_a_restart() {
        let (_folder, path, mut watcher) = watched(&file(""));
        let agents = "{agents: {defaults: {bootstrapTotalMaxChars: 9}}, ";
        write(&path, &file("").replacen('{', agents, 1));
        assert!(watcher.changed().is_some());
        assert!(watcher.report().restart);
    }
}
