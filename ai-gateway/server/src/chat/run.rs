//! A reply in progress, and its reader.
//!
//! ```text
//!  start ──▶ Waiting ──slot──▶ Opening ──first delta──▶ Replying ──last delta──▶ its turn, ended
//!               │                 │                        │
//!               └────────── failed, or dropped ────────────┴──▶ ended: leaves the queue, closes the connection
//! ```
//!
//! The reply advances when its reader polls for the next step; no task hands data to another. An unread reply occupies
//! a slot: once its reader has delayed it for [`HELD_UP_MAX`] in total, it ends. A reply whose slot is preempted ends
//! at once, read or not.

mod source;

use std::{
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use chat_vocabulary::ChatRequest;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use mesh_identity::Person;
use tokio::{select, task::AbortHandle, time::sleep};

use super::step::Step;
use crate::{
    App, Error,
    models::Failure,
    sessions::{NotKept, Record},
};
use source::{ReplySource, StepStream};

/// How long the reader may delay the model in total. What is unread by then is more than a connection buffers.
const HELD_UP_MAX: Duration = Duration::from_secs(60);

/// A reply in progress. Dropping it ends the reply.
#[derive(Debug)]
pub(crate) struct Run {
    shared: Arc<Shared>,
    /// Ends a reply that is not read.
    guard: AbortHandle,
}

/// State shared by the reader and the task that ends an unread reply.
#[derive(Debug)]
struct Shared(Mutex<State>);

/// The state of a reply.
enum State {
    /// There are more steps.
    Active(Active),
    /// It is over. `behind`: the next poll returns [`Failure::Behind`], because the reader was too slow.
    Over { behind: bool },
}

/// A reply that is not over.
struct Active {
    steps: BoxStream<'static, Step>,
    /// Wakes the reader.
    reader: Arc<ReaderWaker>,
    /// The same, for the source of the steps.
    waker: Waker,
    /// How long the reader has delayed the reply so far.
    held_up: Duration,
}

/// Wakes a reader, and records since when a step is available that the reader has not polled.
#[derive(Debug)]
struct ReaderWaker(Mutex<ReaderState>);

#[derive(Debug)]
struct ReaderState {
    unread: Option<Instant>,
    reader: Waker,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Active(_) => "Active",
            Self::Over { .. } => "Over",
        })
    }
}

impl Run {
    /// Starts a reply for `person`. `record`: the session that gets the turn, if there is one.
    pub(crate) fn start(
        app: &Arc<App>,
        surface: &'static str,
        person: &Person,
        request: ChatRequest,
        record: Option<Result<Record, NotKept>>,
    ) -> Result<Self, Error> {
        let source = ReplySource::enter(app, surface, person, request, record)?;
        Ok(Self::begin(source, HELD_UP_MAX))
    }

    fn begin(source: impl StepStream, held_up_max: Duration) -> Self {
        let preempted = source.preempted();
        let steps = stream::unfold(Box::new(source), |mut source| async move {
            let step = source.next().await?;
            Some((step, source))
        });
        let reader = Arc::new(ReaderWaker::new());
        let active = Active {
            steps: steps.boxed(),
            waker: Waker::from(Arc::clone(&reader)),
            reader,
            held_up: Duration::ZERO,
        };
        let shared = Arc::new(Shared(Mutex::new(State::Active(active))));
        let guarded = Arc::downgrade(&shared);
        let guard = tokio::spawn(async move {
            select! {
                () = Shared::end_unread(&guarded, held_up_max) => {}
                () = preempted.cancelled() => drop(guarded.upgrade().map(|shared| shared.read_end())),
            }
        });
        Self { shared, guard: guard.abort_handle() }
    }

    /// The next step; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        poll_fn(|context| self.shared.poll_next(context)).await
    }
}

impl Shared {
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let mut state = self.state();
        match &mut *state {
            State::Active(active) => {
                let step = active.poll_next(context);
                if let Poll::Ready(step) = &step
                    && step.as_ref().is_none_or(is_end)
                {
                    // When the reader sees the end, the reply has been counted and its slot is free.
                    *state = State::Over { behind: false };
                }
                step
            }
            State::Over { behind } => {
                Poll::Ready(mem::take(behind).then_some(Step::Failed(Failure::Behind)))
            }
        }
    }

    /// Ends a reply once its reader has delayed it for `held_up_max`.
    async fn end_unread(shared: &Weak<Self>, held_up_max: Duration) {
        let mut remaining = held_up_max;
        while !remaining.is_zero() {
            sleep(remaining).await;
            let Some(shared) = shared.upgrade() else { return };
            let state = shared.state();
            let State::Active(active) = &*state else { return };
            remaining = held_up_max.saturating_sub(active.held_up());
        }
        if let Some(shared) = shared.upgrade() {
            shared.end(true);
        }
    }

    /// Reads the last steps of a preempted reply in place of its reader: the reader may have stopped, but the slot is
    /// needed.
    fn read_end(&self) {
        let mut state = self.state();
        let State::Active(active) = &mut *state else { return };
        let mut context = Context::from_waker(&active.waker);
        let mut last = Vec::new();
        loop {
            match active.steps.poll_next_unpin(&mut context) {
                Poll::Ready(Some(step)) => last.push(step),
                Poll::Ready(None) => break,
                // It should have ended.
                Poll::Pending => {
                    last.push(Step::Failed(Failure::Cut));
                    break;
                }
            }
        }
        active.steps = stream::iter(last).boxed();
        let reader = Arc::clone(&active.reader);
        drop(state);
        reader.wake_by_ref();
    }

    /// Ends the reply.
    fn end(&self, behind: bool) {
        let mut state = self.state();
        if !matches!(&*state, State::Active(_)) {
            return;
        }
        let ended = mem::replace(&mut *state, State::Over { behind });
        drop(state);
        if let State::Active(active) = ended {
            // The reader gets this state when it polls.
            active.reader.wake_by_ref();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        self.held_up += self.reader.polled(context.waker());
        let step = self.steps.poll_next_unpin(&mut Context::from_waker(&self.waker));
        if let Poll::Ready(Some(_)) = &step {
            self.reader.mark_available();
        }
        step
    }

    /// How long the reader has delayed the reply, including the step that is unread now.
    fn held_up(&self) -> Duration {
        self.held_up + self.reader.unread()
    }
}

impl ReaderWaker {
    fn new() -> Self {
        let reader_state =
            ReaderState { unread: Some(Instant::now()), reader: Waker::noop().clone() };
        Self(Mutex::new(reader_state))
    }

    /// Records that the reader polls; returns for how long a step was available before.
    fn polled(&self, reader: &Waker) -> Duration {
        let mut reader_state = self.reader_state();
        reader_state.reader.clone_from(reader);
        reader_state.unread.take().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Records that a step is, or may be, available from now on.
    fn mark_available(&self) {
        self.reader_state().unread.get_or_insert_with(Instant::now);
    }

    /// For how long a step was, or may have been, available without a poll.
    fn unread(&self) -> Duration {
        self.reader_state().unread.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn reader_state(&self) -> MutexGuard<'_, ReaderState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for ReaderWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mark_available();
        // Wake without holding the lock: the woken task may take it.
        let reader = self.reader_state().reader.clone();
        reader.wake();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.guard.abort();
        self.shared.end(false);
    }
}

/// Whether it is the last step.
fn is_end(step: &Step) -> bool {
    match step {
        Step::Turn(_) | Step::Failed(_) | Step::Refused(_) => true,
        Step::Started | Step::Model(_) | Step::Delta(_) => false,
    }
}

#[cfg(test)]
mod tests;
