//! The source of a reply's steps: the queue, then a model.

use std::{future::Future, sync::Arc};

use chat_vocabulary::{ChatRequest, Delta, FinishReason};
use futures_util::{StreamExt as _, future::BoxFuture};
use llm_backend::DeltaStream;
use mesh_identity::Person;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::super::{
    size::size,
    step::{AnsweringModel, Step},
};
use crate::{
    App, Error, arena,
    limits::{Exceeded, Limit},
    metrics::ChatTimer,
    models::{Chain, Failure, Reply, report},
    openclaw::ModelRef,
    queue::Ticket,
    sessions::{NotKept, Record},
    usage::UsageGuard,
};

/// Longest reply, in bytes: more than any model's context.
const REPLY_MAX: usize = 16 << 20;
/// Longest text of a reply that is kept, in bytes: replies in progress share the locked memory.
const KEPT_MAX: usize = 512 << 10;

/// A stream of steps that can be preempted.
pub(super) trait StepStream: Send + 'static {
    /// The next step; `None` after the last. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Step>> + Send;

    /// Cancelled when the reply has to end. From then on the last steps are available at once.
    fn preempted(&self) -> CancellationToken;
}

/// A request on its way to a model, and the model's reply.
pub(super) struct ReplySource {
    app: Arc<App>,
    chain: Chain,
    record: Option<Result<Record, NotKept>>,
    state: State,
    /// Bytes of the request.
    bytes: usize,
    /// Bytes of the reply so far.
    reply_bytes: usize,
    /// Whether only the reply's first tool call is passed on: the request asked for one at a time, but model servers
    /// may make several.
    one_call: bool,
    person: Person,
    /// Set when a model is asked.
    usage_guard: Option<UsageGuard>,
    watch: ChatTimer,
    /// Cancelled when its slot is preempted.
    preempted: CancellationToken,
    /// The last field: the backend's connection is closed before the slot is released.
    ticket: Ticket,
}

enum State {
    /// It waits for a slot.
    Waiting(Box<ChatRequest>),
    /// A model is asked.
    Opening(OpeningReply),
    /// A model answers.
    Replying { model: ModelRef, deltas: DeltaStream, text: String },
    /// This step is the last.
    Last(Step),
    /// Nothing follows.
    Ended,
}

/// The chain on its way to a first delta.
type OpeningReply = BoxFuture<'static, Result<Reply, Failure>>;

impl ReplySource {
    /// Enters a request of `person` into a queue.
    pub(super) fn enter(
        app: &Arc<App>,
        surface: &'static str,
        person: &Person,
        mut request: ChatRequest,
        record: Option<Result<Record, NotKept>>,
    ) -> Result<Self, Error> {
        let chain = app.models.choose(request.model.as_deref())?.of(person);
        let bytes = size(&request);
        let entered = app.queues.enter(chain.providers(&request), person, bytes);
        let (at, ticket) = entered.map_err(Error::Exceeded)?;
        let chain = chain.without(at);
        let max_tokens = request.options.max_tokens.or(chain.max_tokens);
        let one_call = request.parallel_tool_calls == Some(false);
        request.usual_length = max_tokens.is_none();
        let max_tokens = max_tokens.unwrap_or(app.limits.default_tokens);
        request.options.max_tokens = Some(max_tokens.min(app.limits.max_tokens));
        Ok(Self {
            app: Arc::clone(app),
            chain,
            record,
            state: State::Waiting(Box::new(request)),
            bytes,
            reply_bytes: 0,
            one_call,
            person: person.clone(),
            usage_guard: None,
            watch: ChatTimer::start(Arc::clone(&app.metrics), surface),
            preempted: ticket.preempted().clone(),
            ticket,
        })
    }
}

impl StepStream for ReplySource {
    async fn next(&mut self) -> Option<Step> {
        if let State::Waiting(_) = self.state {
            return self.wait().await;
        }
        let preempted = self.preempted.clone();
        select! {
            biased;
            () = preempted.cancelled() => self.end_early(),
            step = self.next_from_model() => step,
        }
    }

    fn preempted(&self) -> CancellationToken {
        self.preempted.clone()
    }
}

impl ReplySource {
    /// Waits for a slot, then asks a model.
    async fn wait(&mut self) -> Option<Step> {
        let State::Waiting(request) = &mut self.state else {
            return None;
        };
        let (app, chain, person, bytes) = (&self.app, &self.chain, &self.person, self.bytes);
        let others = || chain.providers(request).skip(1);
        let free = || app.queues.take_free(others(), person, bytes, &self.preempted);
        match self.ticket.acquire(free).await {
            Ok(None) => {}
            // A fallback with a free slot answers; the place in the queue is given up.
            Ok(Some((at, ticket))) => {
                self.chain = self.chain.clone().without(at + 1);
                self.ticket = ticket;
            }
            Err(exceeded) => return Some(self.refuse(exceeded)),
        }
        self.usage_guard = Some(UsageGuard::open(Arc::clone(&self.app.usage), self.person.clone()));
        let (chain, request) = (self.chain.clone(), std::mem::take(request.as_mut()));
        self.state = State::Opening(Box::pin(async move { chain.open(request).await }));
        Some(Step::Started)
    }

    /// The next step from the model.
    async fn next_from_model(&mut self) -> Option<Step> {
        match &mut self.state {
            State::Waiting(_) | State::Ended => None,
            State::Last(_) => self.take_last(),
            State::Opening(reply) => match reply.await {
                Ok(Reply { model, asked, evidence, deltas }) => {
                    self.watch.answered(&model.provider, asked);
                    self.watch.first_delta();
                    let step = Step::Model(AnsweringModel { model: model.clone(), evidence });
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
                    self.take_last()
                }
            },
        }
    }

    /// Ends the reply because its slot is preempted: with the text so far, or with a refusal if no model has begun.
    fn end_early(&mut self) -> Option<Step> {
        match &self.state {
            State::Waiting(_) | State::Ended => None,
            State::Last(_) => self.take_last(),
            State::Opening(_) => Some(self.refuse(self.ticket.preempted_error())),
            State::Replying { model, text, .. } => {
                tracing::info!(%model, "reply ended early: others waited for its slot");
                if text.is_empty() {
                    self.do_not_keep(NotKept::NoText);
                }
                self.finish();
                let reason = Some(FinishReason::Yielded);
                Some(Step::Delta(Delta { finish_reason: reason, ..Delta::default() }))
            }
        }
    }

    fn take(&mut self, mut delta: Delta) -> Step {
        if self.one_call {
            delta.tool_calls.retain(|call| call.index == 0);
        }
        let calls = delta.tool_calls.iter().map(|call| call.arguments.len());
        self.reply_bytes += delta.content.len() + delta.thinking.len() + calls.sum::<usize>();
        if self.reply_bytes > REPLY_MAX {
            return self.fail(Failure::Overlong);
        }
        self.append(&delta.content);
        if let Some(usage) = delta.usage {
            self.watch.count_tokens(usage);
        }
        if let Some(usage_guard) = &mut self.usage_guard {
            if delta.says() {
                usage_guard.count_piece();
            }
            if let Some(usage) = delta.usage {
                usage_guard.set_counted(usage);
            }
        }
        Step::Delta(delta)
    }

    /// Appends to the text that the session will store.
    fn append(&mut self, content: &str) {
        let (Some(Ok(_)), State::Replying { text, .. }) = (&self.record, &mut self.state) else {
            return;
        };
        let reason = if text.len() + content.len() > KEPT_MAX {
            NotKept::TooLong
        } else if arena::append(text, content).is_err() {
            NotKept::Memory
        } else {
            return;
        };
        *text = String::new();
        self.do_not_keep(reason);
    }

    /// If the turn was to be kept, its reader gets the reason why it is not.
    fn do_not_keep(&mut self, reason: NotKept) {
        if let Some(Ok(_)) = self.record {
            self.record = Some(Err(reason));
        }
    }

    fn fail(&mut self, failure: Failure) -> Step {
        self.state = State::Ended;
        self.watch.end(false);
        Step::Failed(failure)
    }

    fn refuse(&mut self, exceeded: Exceeded) -> Step {
        if exceeded.limit == Limit::WaitTime {
            self.app.metrics.refuse_queued("late");
        }
        self.state = State::Ended;
        self.watch.end(false);
        Step::Refused(exceeded)
    }

    /// Ends a whole reply. The turn of a cut one is not kept, because it would later look complete.
    fn finish(&mut self) {
        self.watch.end(true);
        let State::Replying { text, .. } = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        if let Some(record) = self.record.take() {
            self.state = State::Last(Step::Turn(record.map(|record| record.answered(text))));
        }
    }

    fn take_last(&mut self) -> Option<Step> {
        let State::Last(step) = std::mem::replace(&mut self.state, State::Ended) else {
            return None;
        };
        Some(step)
    }
}
