//! A reply under way, for the one that reads it.
//!
//! ```text
//!  start ──▶ Waiting ──turn──▶ Opening ──first delta──▶ Replying ──last delta──▶ kept, ended
//!               │                 │                        │
//!               └────────── failed, or dropped ────────────┴──▶ ended: it is out of the line, the backend's connection closes
//! ```
//!
//! The reply goes on when its reader asks for the next step: nothing is handed from one task to another. A reply that
//! nobody reads on holds a slot that others wait for: once it was held up for [`HELD_UP_MAX`] in all, it ends. One whose
//! slot has to be given back ends at once, whether it is read or not.

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

use super::step::{Record, Step};
use crate::{App, Error, models::Failure};
use source::{ReplySource, StepStream};

/// For how long in all the reader may hold up the model. What it has not read by then is more than a connection holds.
const HELD_UP_MAX: Duration = Duration::from_secs(60);

/// A reply under way. Dropping it ends the reply.
#[derive(Debug)]
pub struct Run {
    shared: Arc<Shared>,
    /// Ends a reply that is not read on.
    guard: AbortHandle,
}

/// What the reader shares with the task that ends an unread reply.
#[derive(Debug)]
struct Shared(Mutex<State>);

/// Where a reply is.
enum State {
    /// Steps follow.
    Active(Active),
    /// It is over; `behind` until the reader was told that it was left behind.
    Over { behind: bool },
}

/// A reply of which steps follow.
struct Active {
    steps: BoxStream<'static, Step>,
    /// What wakes the reader.
    call: Arc<ReaderWaker>,
    /// The same, as what makes the steps knows it.
    waker: Waker,
    /// For how long the reader has held the reply up so far.
    held_up: Duration,
}

/// Wakes a reader, and remembers since when it could ask for a step and does not.
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
            Self::Active(_) => "Live",
            Self::Over { .. } => "Over",
        })
    }
}

impl Run {
    /// Begins a turn of `person`.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the model is unknown, [`Error::Exceeded`] if the line before it is full.
    pub fn start(
        app: &Arc<App>,
        surface: &'static str,
        person: &Person,
        request: ChatRequest,
        record: Option<Record>,
    ) -> Result<Self, Error> {
        let source = ReplySource::enter(app, surface, person, request, record)?;
        Ok(Self::begin(source, HELD_UP_MAX))
    }

    fn begin(turn: impl StepStream, held_up_max: Duration) -> Self {
        let ends = turn.preempted();
        let steps = stream::unfold(Box::new(turn), |mut turn| async move {
            let step = turn.next().await?;
            Some((step, turn))
        });
        let call = Arc::new(ReaderWaker::new());
        let live = Active {
            steps: steps.boxed(),
            waker: Waker::from(Arc::clone(&call)),
            call,
            held_up: Duration::ZERO,
        };
        let shared = Arc::new(Shared(Mutex::new(State::Active(live))));
        let guarded = Arc::downgrade(&shared);
        let guard = tokio::spawn(async move {
            select! {
                () = Shared::end_unread(&guarded, held_up_max) => {}
                () = ends.cancelled() => drop(guarded.upgrade().map(|shared| shared.read_end())),
            }
        });
        Self { shared, guard: guard.abort_handle() }
    }

    /// The next step; `None` after the last.
    pub async fn next(&mut self) -> Option<Step> {
        poll_fn(|context| self.shared.poll_next(context)).await
    }
}

impl Shared {
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let mut state = self.state();
        match &mut *state {
            State::Active(live) => {
                let step = live.poll_next(context);
                if let Poll::Ready(step) = &step
                    && step.as_ref().is_none_or(is_end)
                {
                    // Whoever reads the end may count on it that the turn was counted and its place is free.
                    *state = State::Over { behind: false };
                }
                step
            }
            State::Over { behind } => {
                Poll::Ready(mem::take(behind).then_some(Step::Failed(Failure::Behind)))
            }
        }
    }

    /// Ends a reply whose reader has held it up for so long.
    async fn end_unread(shared: &Weak<Self>, held_up_max: Duration) {
        let mut left = held_up_max;
        while !left.is_zero() {
            sleep(left).await;
            let Some(shared) = shared.upgrade() else { return };
            let state = shared.state();
            let State::Active(live) = &*state else { return };
            left = held_up_max.saturating_sub(live.held_up());
        }
        if let Some(shared) = shared.upgrade() {
            shared.end(true);
        }
    }

    /// Reads the last steps of a reply that has to end, in the place of its reader: that may not read on, and the slot is
    /// for somebody else.
    fn read_end(&self) {
        let mut state = self.state();
        let State::Active(live) = &mut *state else { return };
        let mut context = Context::from_waker(&live.waker);
        let mut last = Vec::new();
        loop {
            match live.steps.poll_next_unpin(&mut context) {
                Poll::Ready(Some(step)) => last.push(step),
                Poll::Ready(None) => break,
                // It was to end.
                Poll::Pending => {
                    last.push(Step::Failed(Failure::Cut));
                    break;
                }
            }
        }
        live.steps = stream::iter(last).boxed();
        let call = Arc::clone(&live.call);
        drop(state);
        call.wake_by_ref();
    }

    /// Ends the reply.
    fn end(&self, behind: bool) {
        let mut state = self.state();
        if !matches!(&*state, State::Active(_)) {
            return;
        }
        let ended = mem::replace(&mut *state, State::Over { behind });
        drop(state);
        if let State::Active(live) = ended {
            // It is told so once it looks.
            live.call.wake_by_ref();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        self.held_up += self.call.looked(context.waker());
        let step = self.steps.poll_next_unpin(&mut Context::from_waker(&self.waker));
        if let Poll::Ready(Some(_)) = &step {
            self.call.waits();
        }
        step
    }

    /// For how long its reader has held it up.
    fn held_up(&self) -> Duration {
        self.held_up + self.call.unread()
    }
}

impl ReaderWaker {
    fn new() -> Self {
        let reader_state =
            ReaderState { unread: Some(Instant::now()), reader: Waker::noop().clone() };
        Self(Mutex::new(reader_state))
    }

    /// The reader looks; returns how long it could have done so before.
    fn looked(&self, reader: &Waker) -> Duration {
        let mut reader_state = self.reader_state();
        reader_state.reader.clone_from(reader);
        reader_state.unread.take().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// There is, or may be, a step from now on.
    fn waits(&self) {
        self.reader_state().unread.get_or_insert_with(Instant::now);
    }

    /// For how long there was, or may have been, a step that the reader did not ask for.
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
        self.waits();
        // A lock that is held while others are woken may be asked for again by them.
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

/// Whether nothing follows.
fn is_end(step: &Step) -> bool {
    match step {
        Step::Failed(_) | Step::Refused(_) => true,
        Step::Started | Step::Model(_) | Step::Delta(_) => false,
    }
}

#[cfg(test)]
mod tests;
