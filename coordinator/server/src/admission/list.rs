//! The coordinator's side: writes the files.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chassis::{
    durable::Access,
    state::{Format, StateError},
};
use coordinator_core::{
    admission::{AdmissionList, AdmittedKey},
    model::{Node, User},
    time::Millis,
};
use mesh_identity::members::{MemberNode, Members};
use serde::Serialize;

use super::file;
use crate::files::{self, FileError, Paths};

/// The format of the list for telmeet.
const MEMBERS: Format<Members> = Format::new(Members::VERSION).access(Access::READABLE);

/// Writes the lists for the relay and for telmeet.
#[derive(Debug)]
pub(crate) struct ListWriter {
    keys: ListFile<AdmissionList>,
    members: ListFile<Members>,
}

/// A file with a list.
#[derive(Debug)]
struct ListFile<T: 'static> {
    format: &'static Format<T>,
    path: PathBuf,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// The content of the file; `None` if unknown.
    written: Option<T>,
    /// Whether the last attempt failed.
    failed: bool,
}

impl ListWriter {
    /// Creates the directories if they are missing.
    pub(crate) fn open(paths: &Paths) -> Result<Self, FileError> {
        files::make_dir(&paths.relay_nodes(), 0o750)?;
        files::make_dir(&paths.telmeet_members(), 0o750)?;
        let members = paths.telmeet_members().join(Members::FILE);
        Ok(Self {
            keys: ListFile::new(&file::FORMAT, file::path(paths)),
            members: ListFile::new(&MEMBERS, members),
        })
    }

    /// Writes these people and nodes unless the files have them already. Must not run twice at once. If writing fails, relay
    /// and telmeet use the earlier lists.
    pub(crate) async fn follow(
        &self,
        users: &[User],
        nodes: &[Arc<Node>],
        now: Millis,
    ) -> Result<(), StateError> {
        // WireGuard devices use no relay.
        let clients = nodes.iter().filter(|node| node.wireguard.is_none());
        let keys = clients.map(|node| AdmittedKey::from(&**node)).collect();
        let nothing = AdmissionList::default();
        let next = self.keys.state().written.as_ref().unwrap_or(&nothing).next(keys, now);
        let keys = self.keys.write(next).await;
        let members = self.members.write(members(users, nodes)).await;
        keys.and(members)
    }

    /// Whether the last write failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.keys.state().failed || self.members.state().failed
    }
}

fn members(users: &[User], nodes: &[Arc<Node>]) -> Members {
    let person = |user: &User| mesh_identity::User { id: user.id, login: user.name.clone() };
    let node =
        |node: &Arc<Node>| MemberNode { node: node.stable_id.clone(), owner: node.owner.user() };
    Members { people: users.iter().map(person).collect(), nodes: nodes.iter().map(node).collect() }
}

impl<T: Clone + PartialEq + Serialize + Send> ListFile<T> {
    fn new(format: &'static Format<T>, path: PathBuf) -> Self {
        let state = State { written: None, failed: false };
        Self { format, path, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, next: T) -> Result<(), StateError> {
        if self.state().written.as_ref() == Some(&next) {
            return Ok(());
        }
        let (format, path, content) = (self.format, self.path.clone(), next.clone());
        let written = tokio::task::spawn_blocking(move || format.write(&path, &content)).await;
        // The task is only cancelled when the runtime shuts down.
        let written = written.unwrap_or(Ok(()));
        let mut state = self.state();
        state.failed = written.is_err();
        // After a failure the file may have either content.
        state.written = written.is_ok().then_some(next);
        written
    }
}
