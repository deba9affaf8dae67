//! A reply under way: a task that asks the model and tells whoever listens.
//!
//! ```text
//!  start ──▶ Waiting ──turn──▶ Opening ──first delta──▶ Replying ──last delta──▶ kept, ended
//!               │                 │                        │
//!               └───── failed, or nobody listens any more ─┴──▶ ended: it is out of the line, the backend's connection closes
//! ```
//!
//! Each listener has a buffer of its own. The model waits for the fastest of them; a slower one, whose buffer is full
//! while another's is not, may make the rest wait for [`PATIENCE`] in all and is then left behind. It is told so once it
//! has read what it has. A reply that nobody reads on holds a slot that others wait for: once it was held up for
//! [`HELD_UP_MAX`] in all, it ends.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use ai_gateway_api::chat::{ChatRequest, Delta, Message};
use futures_util::{
    StreamExt as _,
    future::{BoxFuture, join_all, select_all},
};
use llm_backend::DeltaStream;
use mesh_identity::Person;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{sleep, timeout},
};

use super::{Record, Step, size::size};
use crate::{
    App, Error, arena,
    limits::Exceeded,
    line::Ticket,
    metrics::Watch,
    models::{Chain, Failure, Reply, report},
    openclaw::ModelRef,
    usage::Bill,
};

/// Steps that one listener may be behind.
const BUFFER: usize = 64;
/// For how long in all one listener may make others wait.
const PATIENCE: Duration = Duration::from_millis(500);
/// For how long in all the listeners may hold up the model. What they have not read by then is more than a connection
/// holds.
const HELD_UP_MAX: Duration = Duration::from_secs(60);
/// Listeners that may wait to be taken up.
const JOINING: usize = 4;
/// Listeners of one reply at most.
const LISTENERS_MAX: usize = 64;
/// Longest reply, in bytes: more than any model's context, and little enough to be kept.
const REPLY_MAX: usize = 16 << 20;

/// What a listener's buffer holds: a step, or the reply's end.
type Told = Option<Step>;

/// A reply under way, held by a task of its own. It goes on for as long as somebody listens.
#[derive(Clone, Debug)]
pub struct Run {
    joining: mpsc::Sender<mpsc::Sender<Told>>,
}

/// Hears a reply. Dropping it means listening no longer; once nobody does, the reply ends.
#[derive(Debug)]
pub struct Listener {
    told: mpsc::Receiver<Told>,
    over: bool,
}

impl Listener {
    /// The next step; `None` after the last.
    pub async fn next(&mut self) -> Option<Step> {
        if self.over {
            return None;
        }
        match self.told.recv().await {
            Some(Some(step)) => {
                self.over = is_end(&step);
                Some(step)
            }
            Some(None) => {
                self.over = true;
                None
            }
            // The task let go of this listener before the end.
            None => {
                self.over = true;
                Some(Step::Failed(Failure::Behind))
            }
        }
    }
}

/// Whether nothing follows.
fn is_end(step: &Step) -> bool {
    match step {
        Step::Failed(_) | Step::Refused(_) => true,
        Step::Model(_) | Step::Delta(_) => false,
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
        mut request: ChatRequest,
        record: Option<Record>,
    ) -> Result<(Self, Listener), Error> {
        let chain = app.models.choose(request.model.as_deref())?.of(person);
        let bytes = size(&request);
        let entered = app.lines.enter(chain.providers(&request), person, bytes);
        let (at, ticket) = entered.map_err(Error::Exceeded)?;
        let chain = chain.without(at);
        let wanted = request.options.max_tokens.or(chain.max_tokens);
        let wanted = wanted.unwrap_or(app.limits.default_tokens);
        request.options.max_tokens = Some(wanted.min(app.limits.max_tokens));
        let watch = Watch::start(Arc::clone(&app.metrics), surface);
        let source = Source {
            app: Arc::clone(app),
            chain,
            record,
            state: State::Waiting(Box::new(request)),
            bytes,
            said: 0,
            person: person.clone(),
            bill: None,
            watch,
            ticket,
        };
        Ok(Self::spawn(source, HELD_UP_MAX))
    }

    fn spawn(source: impl Turn, held_up_max: Duration) -> (Self, Listener) {
        let (joining, joiners) = mpsc::channel(JOINING);
        let (sender, told) = mpsc::channel(BUFFER);
        let listeners = vec![Ear { sender, patience: PATIENCE }];
        let audience =
            Audience { joiners: Some(joiners), listeners, model: None, patience: held_up_max };
        tokio::spawn(audience.run(source));
        (Self { joining }, Listener { told, over: false })
    }

    /// Listens to what comes from now on, after the name of the model that answers; `None` once the reply has ended or
    /// has as many listeners as it may.
    pub async fn listen(&self) -> Option<Listener> {
        let (sender, told) = mpsc::channel(BUFFER);
        self.joining.send(sender).await.ok()?;
        Some(Listener { told, over: false })
    }
}

/// What a task tells, step by step.
trait Turn: Send + 'static {
    /// The next step; `None` after the last. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Step>> + Send;
}

/// Who listens to a turn.
struct Audience {
    joiners: Option<mpsc::Receiver<mpsc::Sender<Told>>>,
    listeners: Vec<Ear>,
    /// Which model answers, for those who join later.
    model: Option<ModelRef>,
    /// For how long they may still hold up the model.
    patience: Duration,
}

/// The task's end of a listener.
struct Ear {
    sender: mpsc::Sender<Told>,
    /// For how long it may still make others wait.
    patience: Duration,
}

impl Ear {
    fn is_full(&self) -> bool {
        self.sender.capacity() == 0 && !self.sender.is_closed()
    }

    /// Gives it a step; none if it left or is left behind.
    async fn tell(mut self, step: Told) -> Option<Self> {
        match self.sender.try_send(step) {
            Ok(()) => Some(self),
            Err(TrySendError::Closed(_)) => None,
            Err(TrySendError::Full(step)) => {
                let since = Instant::now();
                let sent = timeout(self.patience, self.sender.send(step)).await;
                self.patience = self.patience.saturating_sub(since.elapsed());
                matches!(sent, Ok(Ok(()))).then_some(self)
            }
        }
    }
}

impl Audience {
    /// Tells the whole turn. Returns, which drops the turn, once it is over or nobody listens.
    async fn run(mut self, mut turn: impl Turn) {
        loop {
            while let Some(joiner) = joined(&mut self.joiners) {
                self.add(joiner);
            }
            if self.listeners.iter().all(|ear| ear.sender.is_closed()) {
                return;
            }
            // First what is ready more often than not: whoever joins or leaves meanwhile is seen before the next step.
            let step = tokio::select! {
                biased;
                step = turn.next() => step,
                Some(joiner) = join(&mut self.joiners) => {
                    self.add(joiner);
                    continue;
                }
                () = all_left(&self.listeners) => return,
            };
            if let Some(Step::Model(model)) = &step {
                self.model = Some(model.clone());
            }
            if step.as_ref().is_none_or(is_end) {
                // Whoever hears the end may count on it that the turn was counted and its place is free.
                drop(turn);
                return self.tell(step).await;
            }
            self.tell(step).await;
        }
    }

    fn add(&mut self, joiner: mpsc::Sender<Told>) {
        self.listeners.retain(|ear| !ear.sender.is_closed());
        if self.listeners.len() >= LISTENERS_MAX {
            return;
        }
        let model = self.model.clone().map(Step::Model);
        // A new buffer is empty.
        if model.is_none_or(|model| joiner.try_send(Some(model)).is_ok()) {
            self.listeners.push(Ear { sender: joiner, patience: PATIENCE });
        }
    }

    /// Gives a step to all who listen.
    async fn tell(&mut self, step: Told) {
        while !self.listeners.is_empty() && self.listeners.iter().all(Ear::is_full) {
            let since = Instant::now();
            tokio::select! {
                biased;
                () = any_room(&self.listeners) => {}
                Some(joiner) = join(&mut self.joiners) => self.add(joiner),
                // They are told that they were left behind once they have read what they have.
                () = sleep(self.patience) => self.listeners.clear(),
            }
            self.patience = self.patience.saturating_sub(since.elapsed());
        }
        if self.listeners.len() == 1
            && let Some(only) = self.listeners.pop()
        {
            return self.listeners.extend(only.tell(step).await);
        }
        let told = self.listeners.drain(..).map(|ear| ear.tell(step.clone()));
        self.listeners = join_all(told).await.into_iter().flatten().collect();
    }
}

/// Waits until somebody has room, or has left.
async fn any_room(listeners: &[Ear]) {
    let rooms = listeners.iter().map(|ear| Box::pin(ear.sender.reserve()));
    let (room, ..) = select_all(rooms).await;
    drop(room);
}

/// Waits until nobody listens any more.
async fn all_left(listeners: &[Ear]) {
    for ear in listeners {
        ear.sender.closed().await;
    }
}

/// Who wants to listen already.
fn joined(joiners: &mut Option<mpsc::Receiver<mpsc::Sender<Told>>>) -> Option<mpsc::Sender<Told>> {
    joiners.as_mut()?.try_recv().ok()
}

/// The next who wants to listen; never, once nobody can.
async fn join(
    joiners: &mut Option<mpsc::Receiver<mpsc::Sender<Told>>>,
) -> Option<mpsc::Sender<Told>> {
    let joiner = match joiners {
        Some(joiners) => joiners.recv().await,
        None => std::future::pending().await,
    };
    if joiner.is_none() {
        *joiners = None;
    }
    joiner
}

/// A turn as the models answer it.
struct Source {
    app: Arc<App>,
    chain: Chain,
    record: Option<Record>,
    state: State,
    /// Bytes of the request.
    bytes: usize,
    /// Bytes of the reply so far.
    said: usize,
    person: Person,
    /// Once a model is asked.
    bill: Option<Bill>,
    watch: Watch,
    /// The last: the backend's connection is closed before another gets the slot.
    ticket: Ticket,
}

enum State {
    /// It waits for its turn.
    Waiting(Box<ChatRequest>),
    /// A model is asked.
    Opening(OpeningReply),
    /// A model answers.
    Replying { model: ModelRef, deltas: DeltaStream, text: String },
    /// Nothing follows.
    Ended,
}

/// The chain on its way to a first delta.
type OpeningReply = BoxFuture<'static, Result<Reply, Failure>>;

impl Turn for Source {
    async fn next(&mut self) -> Option<Step> {
        if let State::Waiting(request) = &mut self.state {
            if let Err(exceeded) = self.ticket.turn().await {
                // Where a fallback has a slot free, it answers; the place that nothing came of is given up.
                let others = self.chain.providers(request).skip(1);
                match self.app.lines.take_free(others, &self.person, self.bytes) {
                    Some((at, ticket)) => {
                        self.chain = self.chain.clone().without(at + 1);
                        self.ticket = ticket;
                    }
                    None => return Some(self.refuse(exceeded)),
                }
            }
            self.bill = Some(Bill::open(Arc::clone(&self.app.usage), self.person.clone()));
            let (chain, request) = (self.chain.clone(), std::mem::take(request.as_mut()));
            self.state = State::Opening(Box::pin(async move { chain.open(request).await }));
        }
        match &mut self.state {
            State::Waiting(_) | State::Ended => None,
            State::Opening(reply) => match reply.await {
                Ok(Reply { model, asked, deltas }) => {
                    self.watch.answered(&model.provider, asked);
                    self.watch.first_delta();
                    let step = Step::Model(model.clone());
                    self.state = State::Replying { model, deltas, text: String::new() };
                    Some(step)
                }
                Err(failure) => Some(self.fail(failure)),
            },
            State::Replying { model, deltas, .. } => match deltas.next().await {
                Some(Ok(delta)) => Some(self.take(delta)),
                Some(Err(error)) => {
                    report(model, &error);
                    Some(self.fail(error.into()))
                }
                None => {
                    self.finish();
                    None
                }
            },
        }
    }
}

impl Source {
    fn take(&mut self, delta: Delta) -> Step {
        let calls = delta.tool_calls.iter().map(|call| call.arguments.len());
        self.said += delta.content.len() + delta.thinking.len() + calls.sum::<usize>();
        if self.said > REPLY_MAX {
            return self.fail(Failure::Cut);
        }
        if let (Some(_), State::Replying { text, .. }) = (&self.record, &mut self.state) {
            arena::locked(|_| text.push_str(&delta.content));
        }
        if let Some(usage) = delta.usage {
            self.watch.count_tokens(usage);
        }
        if let Some(bill) = &mut self.bill {
            if delta.says() {
                bill.piece();
            }
            if let Some(usage) = delta.usage {
                bill.tell(usage);
            }
        }
        Step::Delta(delta)
    }

    fn fail(&mut self, failure: Failure) -> Step {
        self.state = State::Ended;
        self.watch.end(false);
        Step::Failed(failure)
    }

    fn refuse(&mut self, exceeded: Exceeded) -> Step {
        if matches!(exceeded, Exceeded::Late { .. }) {
            self.app.metrics.refuse_line("late");
        }
        self.state = State::Ended;
        self.watch.end(false);
        Step::Refused(exceeded)
    }

    /// Keeps the turn. One that was cut is not kept: a half answer would be taken for a whole one later.
    fn finish(&mut self) {
        self.watch.end(true);
        let State::Replying { text, .. } = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        if let Some(record) = self.record.take() {
            let turn = [Message::user(record.question), Message::assistant(text)];
            self.app.sessions.append(&record.person, &record.session, turn);
        }
    }
}

#[cfg(test)]
mod tests;
