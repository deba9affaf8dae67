//! Several who listen to one reply: a task asks the model and tells each of them.

use std::time::{Duration, Instant};

use futures_util::{
    StreamExt as _,
    future::{join_all, select_all},
    stream::BoxStream,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{sleep, timeout},
};

use super::{Step, is_end};
use crate::chat::Answering;

/// Steps that one listener may be behind.
pub(super) const BUFFER: usize = 64;
/// For how long in all one listener may make others wait.
const PATIENCE: Duration = Duration::from_millis(500);
/// Listeners that may wait to be taken up.
const JOINING: usize = 4;
/// Listeners of one reply at most.
pub(super) const LISTENERS_MAX: usize = 64;

/// What a listener's buffer holds: a step, or the reply's end.
pub(super) type Told = Option<Step>;

/// How further listeners come to a reply.
pub(super) type Joining = mpsc::Sender<mpsc::Sender<Told>>;

/// Who listens to a turn.
pub(super) struct Audience {
    joiners: Option<mpsc::Receiver<mpsc::Sender<Told>>>,
    listeners: Vec<Ear>,
    /// Which model answers, for those who join later.
    model: Option<Answering>,
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

/// A buffer for a listener.
pub(super) fn buffer() -> (mpsc::Sender<Told>, mpsc::Receiver<Told>) {
    mpsc::channel(BUFFER)
}

impl Audience {
    /// A first listener, and how others come; they may hold up the model for so long in all.
    pub(super) fn new(
        first: mpsc::Sender<Told>,
        model: Option<Answering>,
        patience: Duration,
    ) -> (Self, Joining) {
        let (joining, joiners) = mpsc::channel(JOINING);
        let listeners = vec![Ear { sender: first, patience: PATIENCE }];
        (Self { joiners: Some(joiners), listeners, model, patience }, joining)
    }

    /// Tells the whole turn. Returns, which drops the turn, once it is over or nobody listens.
    pub(super) async fn run(mut self, mut turn: BoxStream<'static, Step>) {
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
