//! A reply under way, and who listens to it.
//!
//! ```text
//!  start ──▶ Waiting ──turn──▶ Opening ──first delta──▶ Replying ──last delta──▶ kept, ended
//!               │                 │                        │
//!               └───── failed, or nobody listens any more ─┴──▶ ended: it is out of the line, the backend's connection closes
//! ```
//!
//! As long as there is one listener, which is nearly always, the reply goes on when that one asks for the next step:
//! nothing is handed from one task to another. With the second listener it moves to a task of its own ([`Audience`]),
//! where each has a buffer. The model waits for the fastest of them; a slower one, whose buffer is full while another's
//! is not, may make the rest wait for half a second in all and is then left behind. It is told so once it has read what
//! it has. A reply that nobody reads on holds a slot that others wait for: once it was held up for [`HELD_UP_MAX`] in
//! all, it ends. One whose slot has to be given back ends at once, whether it is read or not.

mod audience;
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
use tokio::{select, sync::mpsc, task::AbortHandle, time::sleep};

use super::{Answering, Record, Step};
use crate::{App, Error, models::Failure};
use audience::{Audience, Joining, Told, buffer};
use source::{Source, Turn};

/// For how long in all the listeners may hold up the model. What they have not read by then is more than a connection
/// holds.
const HELD_UP_MAX: Duration = Duration::from_secs(60);

/// A reply under way. It goes on for as long as somebody listens.
#[derive(Clone, Debug)]
pub struct Run {
    shared: Arc<Shared>,
}

/// Reads a reply, step by step. Once every reader of a reply is dropped, the reply ends.
#[derive(Debug)]
pub struct ReplyReader(Hears);

/// How a listener hears a reply.
#[derive(Debug)]
enum Hears {
    /// As the first, and the only one so far: it is this one that makes the reply go on.
    Alone(First),
    /// From the reply's task.
    Told(mpsc::Receiver<Told>),
    /// Nothing follows.
    Nothing,
}

/// The first listener of a reply. Dropping it ends the reply, if it has not moved to a task of its own.
#[derive(Debug)]
struct First {
    shared: Arc<Shared>,
    /// Ends a reply that is not read on.
    guard: AbortHandle,
}

/// What listeners know of each other.
#[derive(Debug)]
struct Shared(Mutex<State>);

/// Where a reply is.
enum State {
    /// With its first listener.
    Alone(Alone),
    /// With a task that tells all; the first listener hears it here once it looks.
    Together { joining: Joining, first: Option<mpsc::Receiver<Told>> },
    /// It is over; or the first listener was left behind, unless it knows.
    Over { behind: bool },
}

/// A reply that has one listener.
struct Alone {
    steps: BoxStream<'static, Step>,
    /// Which model answers, for those who join later.
    model: Option<Answering>,
    /// What wakes the listener.
    call: Arc<Call>,
    /// The same, as what makes the steps knows it.
    waker: Waker,
    /// For how long the listener has held the reply up so far.
    held_up: Duration,
    held_up_max: Duration,
}

/// Wakes a listener, and remembers since when it could ask for a step and does not.
#[derive(Debug)]
struct Call(Mutex<Called>);

#[derive(Debug)]
struct Called {
    unread: Option<Instant>,
    listener: Waker,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Alone(_) => "Alone",
            Self::Together { .. } => "Together",
            Self::Over { .. } => "Over",
        })
    }
}

impl Run {
    /// Begins a turn of `person`, with a first listener.
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
    ) -> Result<(Self, ReplyReader), Error> {
        let source = Source::enter(app, surface, person, request, record)?;
        Ok(Self::begin(source, HELD_UP_MAX))
    }

    fn begin(turn: impl Turn, held_up_max: Duration) -> (Self, ReplyReader) {
        let ends = turn.ends();
        let steps = stream::unfold(Box::new(turn), |mut turn| async move {
            let step = turn.next().await?;
            Some((step, turn))
        });
        let call = Arc::new(Call::new());
        let alone = Alone {
            steps: steps.boxed(),
            model: None,
            waker: Waker::from(Arc::clone(&call)),
            call,
            held_up: Duration::ZERO,
            held_up_max,
        };
        let shared = Arc::new(Shared(Mutex::new(State::Alone(alone))));
        let guarded = Arc::downgrade(&shared);
        let guard = tokio::spawn(async move {
            select! {
                () = Shared::end_unread(&guarded, held_up_max) => {}
                () = ends.cancelled() => drop(guarded.upgrade().map(|shared| shared.read_end())),
            }
        });
        let first = First { shared: Arc::clone(&shared), guard: guard.abort_handle() };
        (Self { shared }, ReplyReader(Hears::Alone(first)))
    }

    /// Listens to what comes from now on, after the name of the model that answers; `None` once the reply has ended or
    /// has as many listeners as it may.
    pub async fn listen(&self) -> Option<ReplyReader> {
        let joining = self.shared.gather()?;
        let (sender, told) = buffer();
        joining.send(sender).await.ok()?;
        Some(ReplyReader(Hears::Told(told)))
    }
}

impl ReplyReader {
    /// The next step; `None` after the last.
    pub async fn next(&mut self) -> Option<Step> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            let step = match &mut self.0 {
                Hears::Alone(first) => match first.shared.poll_next(context) {
                    Ok(step) => step,
                    Err(told) => {
                        self.0 = Hears::Told(told);
                        continue;
                    }
                },
                // The task let go of this listener before the end.
                Hears::Told(told) => told
                    .poll_recv(context)
                    .map(|told| told.unwrap_or(Some(Step::Failed(Failure::Behind)))),
                Hears::Nothing => Poll::Ready(None),
            };
            if let Poll::Ready(step) = &step
                && step.as_ref().is_none_or(is_end)
            {
                self.0 = Hears::Nothing;
            }
            return step;
        }
    }
}

impl Shared {
    /// The first listener's next step, or where it is told what follows.
    fn poll_next(
        &self,
        context: &mut Context<'_>,
    ) -> Result<Poll<Option<Step>>, mpsc::Receiver<Told>> {
        let mut state = self.state();
        match &mut *state {
            State::Alone(alone) => {
                let step = alone.poll_next(context);
                if let Poll::Ready(step) = &step
                    && step.as_ref().is_none_or(is_end)
                {
                    // Whoever hears the end may count on it that the turn was counted and its place is free.
                    *state = State::Over { behind: false };
                }
                Ok(step)
            }
            State::Together { first, .. } => first.take().map_or(Ok(Poll::Ready(None)), Err),
            State::Over { behind } => {
                Ok(Poll::Ready(mem::take(behind).then_some(Step::Failed(Failure::Behind))))
            }
        }
    }

    /// Moves a reply with one listener to a task of its own; `None` if it is over.
    fn gather(&self) -> Option<Joining> {
        let mut state = self.state();
        if let State::Together { joining, .. } = &*state {
            return Some(joining.clone());
        }
        if !matches!(&*state, State::Alone(_)) {
            return None;
        }
        let State::Alone(alone) = mem::replace(&mut *state, State::Over { behind: false }) else {
            return None;
        };
        let left = alone.held_up_max.saturating_sub(alone.held_up());
        let (sender, told) = buffer();
        let (audience, joining) = Audience::new(sender, alone.model, left);
        tokio::spawn(audience.run(alone.steps));
        *state = State::Together { joining: joining.clone(), first: Some(told) };
        drop(state);
        alone.call.wake_by_ref();
        Some(joining)
    }

    /// Ends a reply whose only listener has held it up for so long.
    async fn end_unread(shared: &Weak<Self>, held_up_max: Duration) {
        let mut left = held_up_max;
        while !left.is_zero() {
            sleep(left).await;
            let Some(shared) = shared.upgrade() else { return };
            let state = shared.state();
            let State::Alone(alone) = &*state else { return };
            left = held_up_max.saturating_sub(alone.held_up());
        }
        if let Some(shared) = shared.upgrade() {
            shared.end(true);
        }
    }

    /// Reads the last steps of a reply that has to end, in the place of its only listener: that may not read on, and the slot
    /// is for somebody else.
    fn read_end(&self) {
        let mut state = self.state();
        let State::Alone(alone) = &mut *state else { return };
        let mut context = Context::from_waker(&alone.waker);
        let mut last = Vec::new();
        loop {
            match alone.steps.poll_next_unpin(&mut context) {
                Poll::Ready(Some(step)) => last.push(step),
                Poll::Ready(None) => break,
                // It was to end.
                Poll::Pending => {
                    last.push(Step::Failed(Failure::Cut));
                    break;
                }
            }
        }
        alone.steps = stream::iter(last).boxed();
        let call = Arc::clone(&alone.call);
        drop(state);
        call.wake_by_ref();
    }

    /// Ends a reply that has one listener.
    fn end(&self, behind: bool) {
        let mut state = self.state();
        if !matches!(&*state, State::Alone(_)) {
            return;
        }
        let ended = mem::replace(&mut *state, State::Over { behind });
        drop(state);
        if let State::Alone(alone) = ended {
            // It is told so once it looks.
            alone.call.wake_by_ref();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alone {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        self.held_up += self.call.looked(context.waker());
        let step = self.steps.poll_next_unpin(&mut Context::from_waker(&self.waker));
        if let Poll::Ready(Some(step)) = &step {
            self.call.waits();
            if let Step::Model(model) = step {
                self.model = Some(model.clone());
            }
        }
        step
    }

    /// For how long its listener has held it up.
    fn held_up(&self) -> Duration {
        self.held_up + self.call.unread()
    }
}

impl Call {
    fn new() -> Self {
        let called = Called { unread: Some(Instant::now()), listener: Waker::noop().clone() };
        Self(Mutex::new(called))
    }

    /// The listener looks; returns how long it could have done so before.
    fn looked(&self, listener: &Waker) -> Duration {
        let mut called = self.called();
        called.listener.clone_from(listener);
        called.unread.take().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// There is, or may be, a step from now on.
    fn waits(&self) {
        self.called().unread.get_or_insert_with(Instant::now);
    }

    /// For how long there was, or may have been, a step that the listener did not ask for.
    fn unread(&self) -> Duration {
        self.called().unread.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn called(&self) -> MutexGuard<'_, Called> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.waits();
        // A lock that is held while others are woken may be asked for again by them.
        let listener = self.called().listener.clone();
        listener.wake();
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.guard.abort();
        self.shared.end(false);
        // If it has moved, its task sees that nobody listens here.
        if let State::Together { first, .. } = &mut *self.shared.state() {
            drop(first.take());
        }
    }
}

/// Whether nothing follows.
fn is_end(step: &Step) -> bool {
    match step {
        Step::Failed(_) | Step::Refused(_) => true,
        Step::Turn | Step::Model(_) | Step::Delta(_) => false,
    }
}

#[cfg(test)]
mod tests;
