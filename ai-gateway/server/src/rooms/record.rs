//! The record of the room events that ran, so that none runs twice.
//!
//! A file of fixed length: a head, then [`SLOTS`] entries that are overwritten in turn. An entry is synced before its
//! event runs. It has a number, by which the oldest is found after a restart, and a hash of event and attempt under a
//! key of this gateway. So nobody else learns from the file which events there were.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ai_gateway_api::rooms::Id;
use chassis::{
    durable::{self, Access},
    state::StateError,
};
use sha2::{Digest as _, Sha256};

/// Name of the file in the gateway's state.
pub(crate) const FILE: &str = "room-events";
/// Events that are remembered.
const SLOTS: usize = 4096;
/// The beginning of the file: its format.
const HEAD: [u8; ENTRY] = *b"maru room events, version 1\n\0\0\0\0";
/// Bytes of an entry: number, hash, and zeros. It is within one sector.
const ENTRY: usize = 32;
const NUMBER: usize = 8;
const HASH: usize = 16;

type Hash = [u8; HASH];

/// The events that ran.
#[derive(Debug)]
pub(crate) struct EventRecord {
    path: PathBuf,
    key: [u8; 32],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    slots: Vec<Option<Hash>>,
    hashes: HashSet<Hash>,
    /// The number of the next entry; the first is 1.
    next: u64,
}

impl EventRecord {
    /// Loads the record, or makes an empty one.
    pub(crate) fn load(path: PathBuf, key: [u8; 32]) -> Result<Self, StateError> {
        let (file, entries) = open(&path)
            .map_err(|source| StateError::Read { path: path.clone(), source })?
            .ok_or_else(|| damaged(path.clone()))?;
        let mut state = State { file, slots: vec![None; SLOTS], hashes: HashSet::new(), next: 1 };
        for (slot, entry) in entries.chunks_exact(ENTRY).enumerate() {
            let number = entry.first_chunk().copied().map_or(0, u64::from_le_bytes);
            let hash: Option<Hash> =
                entry.get(NUMBER..NUMBER + HASH).and_then(|it| it.try_into().ok());
            // An entry that was not written completely belongs to an event that did not run.
            if let Some(hash) = hash.filter(|_| number > 0 && slot_of(number) == slot) {
                state.next = state.next.max(number.saturating_add(1));
                state.hashes.insert(hash);
                state.slots[slot] = Some(hash);
            }
        }
        Ok(Self { path, key, state: Mutex::new(state) })
    }

    /// Records an attempt at an event on disk; returns false if it was recorded before. After an error it may run later.
    /// This blocks.
    pub(crate) fn record(&self, event: &Id, attempt: u32) -> Result<bool, StateError> {
        let hash = self.hash(event, attempt);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.hashes.contains(&hash) {
            return Ok(false);
        }
        let slot = slot_of(state.next);
        let mut entry = [0; ENTRY];
        entry[..NUMBER].copy_from_slice(&state.next.to_le_bytes());
        entry[NUMBER..NUMBER + HASH].copy_from_slice(&hash);
        let at = (slot + 1) * ENTRY;
        let written =
            state.file.write_all_at(&entry, at as u64).and_then(|()| state.file.sync_data());
        written.map_err(|source| StateError::Write { path: self.path.clone(), source })?;
        if let Some(oldest) = state.slots[slot].replace(hash) {
            state.hashes.remove(&oldest);
        }
        state.hashes.insert(hash);
        state.next = state.next.saturating_add(1);
        Ok(true)
    }

    fn hash(&self, event: &Id, attempt: u32) -> Hash {
        let digest = Sha256::new_with_prefix(self.key)
            .chain_update(attempt.to_le_bytes())
            .chain_update(event.as_str());
        let mut hash = Hash::default();
        hash.copy_from_slice(&digest.finalize()[..HASH]);
        hash
    }
}

/// The slot of an entry.
fn slot_of(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).unwrap_or_default()
}

/// Opens the file, which is made if it is missing, and reads its entries; `None` if it has another format.
fn open(path: &Path) -> io::Result<Option<(File, Vec<u8>)>> {
    let length = (SLOTS + 1) * ENTRY;
    let options = || OpenOptions::new().read(true).write(true).open(path);
    let file = match options() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut empty = HEAD.to_vec();
            // Written and not only reserved, so that a full disk does not matter later.
            empty.resize(length, 0);
            durable::create(path, Access::SECRET, &empty)?;
            options()?
        }
        opened => opened?,
    };
    if file.metadata()?.len() != length as u64 {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    let entries = bytes.split_off(ENTRY);
    Ok((bytes == HEAD).then_some((file, entries)))
}

fn damaged(path: PathBuf) -> StateError {
    let remedy = || "move it away; messages of rooms from before may then be answered again".into();
    StateError::Damaged { path, line: 0, column: 0, remedy }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;

    fn id(number: usize) -> Id {
        format!("$event{number}").parse().unwrap()
    }

    fn load(folder: &Path) -> EventRecord {
        EventRecord::load(folder.join(FILE), [7; 32]).unwrap()
    }

    #[test]
    fn an_attempt_is_new_once_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let record = load(folder.path());
        assert!(record.record(&id(1), 0).unwrap());
        assert!(!record.record(&id(1), 0).unwrap());
        assert!(record.record(&id(1), 1).unwrap(), "another attempt");
        assert!(record.record(&id(2), 0).unwrap(), "another event");
        drop(record);
        let record = load(folder.path());
        for (event, attempt) in [(1, 0), (1, 1), (2, 0)] {
            assert!(!record.record(&id(event), attempt).unwrap(), "{event} {attempt}");
        }
        assert!(record.record(&id(3), 0).unwrap());
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_file_does_not_grow() {
        let folder = tempfile::tempdir().unwrap();
        let record = load(folder.path());
        let length = || std::fs::metadata(folder.path().join(FILE)).unwrap().len();
        let before = length();
        for number in 0..SLOTS + 2 {
            assert!(record.record(&id(number), 0).unwrap());
        }
        drop(record);
        let record = load(folder.path());
        assert!(!record.record(&id(2), 0).unwrap(), "the oldest that is remembered");
        assert!(!record.record(&id(SLOTS + 1), 0).unwrap(), "the newest");
        assert!(record.record(&id(1), 0).unwrap(), "forgotten");
        assert!(record.record(&id(2), 0).unwrap(), "forgotten for that");
        assert_eq!(length(), before);
    }

    #[test]
    fn the_file_shows_no_id_and_nothing_of_it_without_the_key() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).record(&id(1), 0).unwrap());
        let bytes = std::fs::read(folder.path().join(FILE)).unwrap();
        assert!(!bytes.windows(5).any(|part| part == b"event".as_slice() && part != &HEAD[10..15]));
        let other = EventRecord::load(folder.path().join(FILE), [8; 32]).unwrap();
        assert!(other.record(&id(1), 0).unwrap(), "another key makes another hash");
    }

    #[test]
    fn a_file_of_another_format_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        drop(load(folder.path()));
        let whole = std::fs::read(&path).unwrap();
        let mut newer = whole.clone();
        newer[26] = b'2';
        for wrong in [&whole[..whole.len() - 1], &newer, b""] {
            std::fs::write(&path, wrong).unwrap();
            let error = EventRecord::load(path.clone(), [7; 32]).unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), wrong);
        }
    }

    proptest! {
        /// Whatever a crash or a disk leaves in the entries.
        #[test]
        fn any_entries_can_be_loaded_and_added_to(
            entries in prop::collection::vec((0..SLOTS, any::<[u8; ENTRY]>()), 0..20),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE);
            drop(load(folder.path()));
            let mut bytes = std::fs::read(&path).unwrap();
            for (slot, entry) in entries {
                bytes[(slot + 1) * ENTRY..(slot + 2) * ENTRY].copy_from_slice(&entry);
            }
            std::fs::write(&path, bytes).unwrap();
            let record = load(folder.path());
            prop_assert!(record.record(&id(1), 0).unwrap());
            prop_assert!(!record.record(&id(1), 0).unwrap());
        }
    }
}
