//! One turn of a chat, whichever listener it came in by: prompt, model, reply.

use std::sync::Arc;

use ai_gateway_api::{
    chat::{ChatRequest, Delta, FinishReason, Message, Role, Usage},
    sealed::SessionName,
};
use futures_util::StreamExt as _;
use llm_backend::DeltaStream;
use mesh_identity::Person;

use crate::{
    App, Error, arena,
    limits::ReplyPermit,
    metrics::Watch,
    models::{Chain, Failure, Reply, report},
    openclaw::ModelRef,
};

/// Bytes of text that one token stands for, at least: what fits by this count fits.
const BYTES_PER_TOKEN: usize = 2;
/// What a message takes besides its text, in tokens.
const TOKENS_PER_MESSAGE: usize = 8;

/// One step of a turn.
#[derive(Debug)]
pub enum Step {
    /// This model answers.
    Model(ModelRef),
    /// What it says next.
    Delta(Delta),
    /// It failed; nothing follows.
    Failed(Failure),
}

/// Where a turn's question and answer are kept.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whose session.
    pub person: Person,
    /// Its name.
    pub session: SessionName,
    /// The question.
    pub question: String,
}

/// A turn under way. Dropping it closes the connection to the backend, which stops generating.
pub struct Run {
    app: Arc<App>,
    request: ChatRequest,
    chain: Chain,
    record: Option<Record>,
    state: State,
    watch: Watch,
    _permit: ReplyPermit,
}

enum State {
    /// No model was asked yet.
    Waiting,
    /// A model answers.
    Replying { model: ModelRef, deltas: DeltaStream, text: String },
    /// Nothing follows.
    Ended,
}

impl Run {
    /// Prepares a turn of `person`; no model is asked before the first [`Self::next`].
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the model is unknown, [`Error::Exceeded`] if too many replies are under way,
    /// [`Error::Busy`] if there is no room in memory.
    pub fn new(
        app: &Arc<App>,
        surface: &'static str,
        person: &Person,
        mut request: ChatRequest,
        record: Option<Record>,
    ) -> Result<Self, Error> {
        let chain = app.models.choose(request.model.as_deref())?;
        let permit = app.limiter.begin(person).map_err(Error::Exceeded)?;
        let size: usize = request.messages.iter().map(Message::size).sum();
        if !arena::has_room(size) {
            return Err(Error::Busy);
        }
        let wanted = request.options.max_tokens.or(chain.max_tokens);
        let wanted = wanted.unwrap_or(app.limits.default_tokens);
        request.options.max_tokens = Some(wanted.min(app.limits.max_tokens));
        let watch = Watch::start(Arc::clone(&app.metrics), surface);
        let app = Arc::clone(app);
        Ok(Self { app, request, chain, record, state: State::Waiting, watch, _permit: permit })
    }

    /// The next step; `None` after the last.
    pub async fn next(&mut self) -> Option<Step> {
        match &mut self.state {
            State::Waiting => match self.chain.open(&self.request).await {
                Ok(reply) => {
                    self.watch.first_delta();
                    let Reply { model, deltas } = reply;
                    let step = Step::Model(model.clone());
                    self.state = State::Replying { model, deltas, text: String::new() };
                    Some(step)
                }
                Err(failure) => Some(self.fail(failure)),
            },
            State::Replying { model, deltas, text } => match deltas.next().await {
                Some(Ok(delta)) => {
                    if self.record.is_some() {
                        arena::locked(|_| text.push_str(&delta.content));
                    }
                    if let Some(usage) = delta.usage {
                        self.app.metrics.count_tokens(usage);
                    }
                    Some(Step::Delta(delta))
                }
                Some(Err(error)) => {
                    report(model, &error);
                    Some(self.fail(Failure::Cut))
                }
                None => {
                    self.finish();
                    None
                }
            },
            State::Ended => None,
        }
    }

    fn fail(&mut self, failure: Failure) -> Step {
        self.state = State::Ended;
        self.watch.end(false);
        Step::Failed(failure)
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

/// What one reply's end says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Why generation ended.
    pub finish_reason: Option<FinishReason>,
    /// Tokens counted.
    pub usage: Option<Usage>,
}

impl Ending {
    /// Takes what a delta says about the end.
    pub fn take(&mut self, delta: &Delta) {
        self.finish_reason = delta.finish_reason.or(self.finish_reason);
        self.usage = delta.usage.or(self.usage);
    }
}

/// Puts the workspace's prompt before a conversation that brings no system message of its own, and leaves out the
/// oldest messages that the model's context would not hold besides the reply.
///
/// # Errors
///
/// [`Error::Model`] if the model is unknown, [`Error::Busy`] if the gateway is stopping.
pub async fn compose(
    app: &Arc<App>,
    person: &Person,
    model: Option<&str>,
    messages: Vec<Message>,
) -> Result<Vec<Message>, Error> {
    let chain = app.models.choose(model)?;
    if messages.first().is_some_and(|first| first.role == Role::System) {
        return Ok(messages);
    }
    let (workspace, person) = (app.workspace.clone(), person.clone());
    let prompt = tokio::task::spawn_blocking(move || arena::locked(|_| workspace.prompt(&person)));
    let prompt = prompt.await.map_err(|_| Error::Busy)?;
    Ok(fit(prompt, messages, chain.context_window))
}

/// Prompt and messages, within half of the context: the rest is for the reply.
fn fit(prompt: String, mut messages: Vec<Message>, context_window: Option<u32>) -> Vec<Message> {
    let tokens = |bytes: usize| bytes / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE;
    let mut left = context_window
        .map_or(usize::MAX, |window| usize::try_from(window / 2).unwrap_or(usize::MAX))
        .saturating_sub(tokens(prompt.len()));
    let mut from = messages.len();
    while let Some(message) = from.checked_sub(1).and_then(|index| messages.get(index)) {
        let needed = tokens(message.size());
        // The question itself is always asked; the backend says so if it is too long.
        if needed > left && from < messages.len() {
            break;
        }
        left = left.saturating_sub(needed);
        from -= 1;
    }
    // A conversation does not begin with an answer.
    while from + 1 < messages.len() && messages[from].role == Role::Assistant {
        from += 1;
    }
    arena::locked(|_| {
        let kept = messages.drain(from..);
        let system = (!prompt.is_empty()).then(|| Message::system(prompt));
        system.into_iter().chain(kept).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(turns: usize, length: usize) -> Vec<Message> {
        let turn = |_| [Message::user("q".repeat(length)), Message::assistant("a".repeat(length))];
        let mut messages: Vec<Message> = (0..turns).flat_map(turn).collect();
        messages.push(Message::user("last"));
        messages
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let fitted = fit("soul".to_owned(), conversation(3, 10), Some(2048));
        assert_eq!(fitted.len(), 8);
        assert_eq!(fitted[0], Message::system("soul"));
        assert_eq!(fit(String::new(), conversation(1, 10), None), conversation(1, 10));
    }

    #[test]
    fn the_oldest_messages_are_left_out_and_the_question_never() {
        let fitted = fit("soul".to_owned(), conversation(20, 200), Some(1024));
        assert!(fitted.len() > 2 && fitted.len() < 41, "{}", fitted.len());
        assert_eq!(fitted[1].role, Role::User, "begins with a question");
        assert_eq!(fitted.last(), Some(&Message::user("last")));
        let tokens: usize = fitted.iter().map(|message| message.size() / 2 + 8).sum();
        assert!(tokens <= 512, "{tokens}");

        let long = vec![Message::user("x".repeat(100_000))];
        assert_eq!(fit("soul".to_owned(), long, Some(1024)).len(), 2);
    }
}
