//! Pings of this node that wait for their answers.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, Weak},
};

use node_agent_core::{path::Source, tsmp::PingId};

use crate::sys::lock;

/// Pings that wait for an answer at once.
const WAITING: usize = 64;

/// What is called with the path of the pong.
pub(crate) type Answer = Box<dyn FnOnce(Source) + Send>;

/// Pings of this node that wait for an answer.
#[derive(Default)]
pub(crate) struct Pings(Mutex<HashMap<PingId, Waiting>>);

struct Waiting {
    /// The peer's index: only it may answer.
    peer: u32,
    answer: Answer,
}

/// A ping that waits for its answer; dropping it ends that.
#[must_use]
pub struct Ping {
    pings: Weak<Pings>,
    id: PingId,
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping").finish_non_exhaustive()
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        if let Some(pings) = self.pings.upgrade() {
            lock(&pings.0).remove(&self.id);
        }
    }
}

/// Records a ping to a peer; `None` while too many wait.
pub(crate) fn wait(pings: &Arc<Pings>, id: PingId, peer: u32, answer: Answer) -> Option<Ping> {
    let mut waiting = lock(&pings.0);
    if waiting.len() >= WAITING {
        return None;
    }
    waiting.insert(id, Waiting { peer, answer });
    Some(Ping { pings: Arc::downgrade(pings), id })
}

/// The ping that this peer answers, which waits no longer. A ping to another peer still does.
pub(crate) fn take(pings: &Pings, id: &PingId, peer: u32) -> Option<Answer> {
    let mut waiting = lock(&pings.0);
    waiting.get(id).filter(|waiting| waiting.peer == peer)?;
    waiting.remove(id).map(|waiting| waiting.answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pings_wait_at_once() {
        let pings = Arc::new(Pings::default());
        let ping = |id: u64| wait(&pings, id.to_le_bytes(), 1, Box::new(|_| {}));
        let mut held: Vec<Ping> = (0..64).filter_map(ping).collect();
        assert_eq!(held.len(), 64);
        assert!(ping(64).is_none());
        held.pop();
        assert!(ping(64).is_some(), "one that is dropped waits no longer");
    }

    #[test]
    fn only_the_peer_that_was_asked_answers_and_once() {
        let pings = Pings::default();
        lock(&pings.0).insert([7; 8], Waiting { peer: 1, answer: Box::new(|_| {}) });
        assert!(take(&pings, &[7; 8], 2).is_none(), "another peer");
        assert!(take(&pings, &[8; 8], 1).is_none(), "another ping");
        assert!(take(&pings, &[7; 8], 1).is_some());
        assert!(take(&pings, &[7; 8], 1).is_none(), "a copy");
    }

    #[test]
    fn a_ping_that_nobody_waits_for_any_more_is_forgotten() {
        let pings = Arc::new(Pings::default());
        lock(&pings.0).insert([7; 8], Waiting { peer: 1, answer: Box::new(|_| {}) });
        drop(Ping { pings: Arc::downgrade(&pings), id: [7; 8] });
        assert!(lock(&pings.0).is_empty());
    }
}
