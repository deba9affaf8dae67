//! The queue of waiting requests: bounded, in order of arrival. Requests whose client disconnected are removed.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::mpsc;

use super::event::{Event, Request};

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// A request on its way to a slot.
pub(super) struct Job {
    /// Its number.
    pub(super) task: u64,
    /// What to generate.
    pub(super) request: Request,
    /// Receives the events; closed when the client has disconnected.
    pub(super) events: mpsc::Sender<Event>,
}

/// Requests that wait for a slot.
pub(super) struct JobQueue {
    /// Most waiting requests, besides those for which a slot is free.
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
    /// Whether somebody has asked for the model.
    wanted: bool,
}

impl JobQueue {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a job; `idle` is the number of slots that will each take one.
    pub(super) fn push(&self, job: Job, idle: usize) -> Result<(), QueueFull> {
        let mut state = self.lock();
        state.jobs.retain(|job| !job.events.is_closed());
        if state.closed || state.jobs.len() >= self.limit.saturating_add(idle) {
            return Err(QueueFull);
        }
        state.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// The next job whose client still waits, if there is one.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        state.jobs.retain(|job| !job.events.is_closed());
        state.jobs.pop_front()
    }

    /// Waits until there is a job or the queue is closed, or until `end`.
    pub(super) fn wait(&self, end: Option<Instant>) {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.closed {
            let Some(end) = end else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks for the model.
    pub(super) fn want(&self) {
        self.lock().wanted = true;
        self.changed.notify_all();
    }

    /// Waits until somebody asks for the model, or until the queue is closed.
    pub(super) fn wait_until_wanted(&self) {
        let waits = |state: &mut State| !state.wanted && !state.closed;
        drop(self.changed.wait_while(self.lock(), waits));
    }

    /// Drops all jobs and refuses new ones.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.jobs.clear();
        self.changed.notify_all();
    }

    /// Whether no job waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    /// Whether [`Self::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::tokens::Tokens, request::Sampling};

    fn job(task: u64) -> (Job, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(1);
        let request = Request {
            prompt: Tokens::default(),
            owner: None,
            max_tokens: None,
            stops: Vec::new(),
            sampling: Sampling::default(),
            grammar: None,
        };
        (Job { task, request, events }, receiver)
    }

    #[test]
    fn the_queue_is_bounded_and_in_order() {
        let queue = JobQueue::new(1);
        let (jobs, receivers): (Vec<_>, Vec<_>) = (0..3).map(job).unzip();

        let taken: Vec<_> = jobs.into_iter().map(|job| queue.push(job, 1)).collect();

        assert_eq!(taken, [Ok(()), Ok(()), Err(QueueFull)], "one may wait, one has a slot");
        assert_eq!(queue.take().map(|job| job.task), Some(0));
        assert_eq!(queue.take().map(|job| job.task), Some(1));
        assert!(queue.take().is_none());
        drop(receivers);
    }

    #[test]
    fn a_client_that_disconnects_makes_room() {
        let queue = JobQueue::new(1);
        let (first, leaves) = job(0);
        let (second, _stays) = job(1);
        queue.push(first, 0).unwrap();
        drop(leaves);

        assert_eq!(queue.push(second, 0), Ok(()));
        assert_eq!(queue.take().map(|job| job.task), Some(1));
    }

    #[test]
    fn a_closed_queue_refuses_jobs_and_wakes_the_thread() {
        let queue = JobQueue::new(9);
        let (first, mut receiver) = job(0);
        queue.push(first, 0).unwrap();

        queue.close();

        queue.wait(None);
        assert!(queue.take().is_none());
        assert!(receiver.try_recv().is_err());
        assert_eq!(queue.push(job(1).0, 9), Err(QueueFull));
    }
}
