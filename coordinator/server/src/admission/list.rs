//! The coordinator's side: it writes the file.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chassis::state::StateError;
use coordinator_core::{model::Node, time::Millis};

use super::{Content, Entry, FORMAT, file};
use crate::files::{self, FileError, Paths};

/// How long a key is let in beside the one that took its place, in milliseconds: its node connects anew meanwhile.
const OVERLAP: Millis = 3000;

/// The file as the coordinator writes it.
#[derive(Debug)]
pub(crate) struct List {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the file holds; `None` if that is not known.
    written: Option<Content>,
    /// Whether the last attempt failed.
    failed: bool,
}

impl List {
    /// Makes the directory if it is missing.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be made.
    pub(crate) fn open(paths: &Paths) -> Result<Self, FileError> {
        files::make_dir(&paths.relay_nodes(), 0o750)?;
        Ok(Self { path: file(paths), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes these nodes, unless the file says the same already. Not to be called twice at once.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written; the relay then goes by what it said before.
    pub(crate) async fn follow(&self, nodes: &[Node], now: Millis) -> Result<(), StateError> {
        let next = {
            let state = self.state();
            let before = state.written.as_ref().map_or(&[][..], |content| &content.nodes);
            let nodes = nodes.iter().map(|node| Entry {
                node: node.id,
                key: node.keys.node,
                until: node.times.expires,
            });
            let next = Content { nodes: entries(before, nodes.collect(), now) };
            if state.written.as_ref() == Some(&next) {
                return Ok(());
            }
            next
        };
        let (path, content) = (self.path.clone(), next.clone());
        let written = tokio::task::spawn_blocking(move || FORMAT.write(&path, &content)).await;
        // The runtime ends, and nobody is left to be told.
        let written = written.unwrap_or(Ok(()));
        let mut state = self.state();
        state.failed = written.is_err();
        // After a failure the file may hold either.
        state.written = written.is_ok().then_some(next);
        written
    }

    /// Whether the file says something else than the database because it could not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }
}

/// The keys that have not expired, and for a moment those that the same nodes had before.
fn entries(before: &[Entry], mut nodes: Vec<Entry>, now: Millis) -> Vec<Entry> {
    let is_valid = |entry: &Entry| entry.until.is_none_or(|until| until > now);
    nodes.retain(is_valid);
    let still: HashSet<_> = nodes.iter().map(|entry| entry.node).collect();
    let keys: HashSet<_> = nodes.iter().map(|entry| entry.key).collect();
    let replaced = before
        .iter()
        .filter(|entry| still.contains(&entry.node) && !keys.contains(&entry.key))
        .map(|entry| {
            let latest = now.saturating_add(OVERLAP);
            Entry { until: Some(entry.until.map_or(latest, |until| until.min(latest))), ..*entry }
        });
    nodes.extend(replaced.filter(is_valid));
    nodes
}

#[cfg(test)]
mod tests {
    use control_protocol::key::NodePublic;

    use super::*;

    fn node(node: u64, key: u8, until: Option<Millis>) -> Entry {
        Entry { node, key: NodePublic::from_bytes([key; 32]), until }
    }

    fn keys(entries: &[Entry]) -> Vec<(u8, Option<Millis>)> {
        entries.iter().map(|entry| (entry.key.as_bytes()[0], entry.until)).collect()
    }

    #[test]
    fn a_key_that_was_replaced_is_let_in_for_a_moment_and_one_that_was_taken_away_is_not() {
        let nodes = vec![node(1, 1, None), node(2, 2, Some(9000)), node(3, 3, None)];
        let first = entries(&[], nodes, 0);
        assert_eq!(keys(&first), [(1, None), (2, Some(9000)), (3, None)]);

        // The first has another key, the third is gone.
        let nodes = vec![node(1, 11, None), node(2, 2, Some(9000))];
        let second = entries(&first, nodes.clone(), 1000);
        assert_eq!(keys(&second), [(11, None), (2, Some(9000)), (1, Some(4000))]);
        let third = entries(&second, nodes.clone(), 2000);
        assert_eq!(keys(&third), keys(&second), "the moment does not begin anew");
        assert_eq!(keys(&entries(&third, nodes.clone(), 4000)), [(11, None), (2, Some(9000))]);
        assert_eq!(keys(&entries(&third, nodes, 9000)), [(11, None)], "the other has expired");
    }
}
