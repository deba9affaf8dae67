//! The reply to a question, and what the person is told beside its text.
//!
//! ```text
//! question ─┬─ fits ─────────────────────▶ reply ─┬─ no call ─────────────▶ its turn is kept, ended
//!           └─ too long ▶ summary, or a cut ▶ ┘   └─ calls ▶ another reply ▶ its turn is kept, ended
//! ```

use std::{collections::VecDeque, sync::Arc};

use ai_gateway_api::{kind, sealed::SessionName};
use chat_vocabulary::{ChatRequest, Delta, Message, Options};
use futures_util::future::BoxFuture;
use mesh_identity::Person;
use messages::{Language, message};

use super::{
    compose::compose_session,
    notice::Notice,
    remember::{RememberCalls, offer},
    run::Run,
    step::{AnsweringModel, Step},
};
use crate::{
    App, Error, arena,
    sessions::{CompletedTurn, NotKept, Record},
};

/// A question in a session.
pub(crate) struct Question {
    pub(crate) session: SessionName,
    pub(crate) text: String,
    /// The model that was chosen; `None` is the household's AI.
    pub(crate) model: Option<String>,
    pub(crate) options: Options,
    /// Of what the person is told.
    pub(crate) language: Language,
    /// The API that it comes by, for the metrics.
    pub(crate) surface: &'static str,
}

/// A part of a reply.
#[derive(Debug)]
pub(crate) enum ReplyEvent {
    /// This model begins to answer.
    Model(AnsweringModel),
    Delta(Delta),
    Notice(Notice),
    /// The text is whole: [`ChatReply::end_turn`] keeps the turn.
    Turn(Result<CompletedTurn, NotKept>),
}

/// A reply in progress. Dropping it ends the reply.
pub(crate) struct ChatReply {
    app: Arc<App>,
    person: Person,
    surface: &'static str,
    state: State,
    notices: VecDeque<Notice>,
}

enum State {
    /// The model first summarizes what is too long for it.
    Summarizing(BoxFuture<'static, Result<Begun, Error>>),
    Replying(Begun),
    Ended,
}

/// A reply that the model gives, or will.
struct Begun {
    run: Run,
    /// Its calls, if the model may add to the person's memory.
    calls: Option<Box<RememberCalls>>,
    /// That neither the prompt has all of the session, nor a summary of it.
    cut: Option<Notice>,
}

impl ChatReply {
    /// Begins the reply to a question in a session. It is answered also if nothing can be read and kept. What does not fit of
    /// the session is summarized first, while the reply is read.
    pub(crate) async fn begin(
        app: &Arc<App>,
        person: &Person,
        question: Question,
    ) -> Result<Self, Error> {
        let Question { session, text, model, options, language, surface } = question;
        let context = app.sessions.context(person, &session).await;
        let readable = context.as_ref().map(|_| ()).map_err(|reason| *reason);
        let message = arena::locked(|_| Message::user(text.as_str()));
        let asked = (context.unwrap_or_default(), message);
        let prompt = compose_session(app, person, model.as_deref(), &session, asked).await?;
        let record = readable.map(|()| Record { person: person.clone(), session, question: text });
        let (is_too_long, may_remember) = (prompt.is_too_long(), prompt.may_remember);
        let (asked_app, asker) = (Arc::clone(app), person.clone());
        let begun = async move {
            let (app, person) = (asked_app, asker);
            let (messages, is_whole) =
                prompt.messages(&app, &person, model.as_deref(), surface).await;
            let cut = || Notice {
                kind: kind::CUT,
                message: message!("chat-cut").text(language).into_owned(),
            };
            let mut request = ChatRequest { model, messages, options, ..ChatRequest::default() };
            let calls = if may_remember { offer(&mut request, &record, language) } else { None };
            let run = start(&app, surface, &person, request, Some(record))?;
            Ok(Begun { run, calls: calls.map(Box::new), cut: (!is_whole).then(cut) })
        };
        let state = if is_too_long {
            State::Summarizing(Box::pin(begun))
        } else {
            State::Replying(begun.await?)
        };
        Ok(Self::new(app, person, surface, state))
    }

    /// Begins the reply to a client's own messages, of which no session keeps anything.
    pub(crate) fn begin_unrecorded(
        app: &Arc<App>,
        person: &Person,
        surface: &'static str,
        request: ChatRequest,
    ) -> Result<Self, Error> {
        let run = start(app, surface, person, request, None)?;
        let begun = Begun { run, calls: None, cut: None };
        Ok(Self::new(app, person, surface, State::Replying(begun)))
    }

    fn new(app: &Arc<App>, person: &Person, surface: &'static str, state: State) -> Self {
        let (app, person) = (Arc::clone(app), person.clone());
        Self { app, person, surface, state, notices: VecDeque::new() }
    }

    /// The next part; `None` after the last. It may be dropped and asked for again.
    pub(crate) async fn next(&mut self) -> Option<Result<ReplyEvent, Error>> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Some(Ok(ReplyEvent::Notice(notice)));
            }
            let (event, is_last) = match &mut self.state {
                State::Ended => return None,
                State::Summarizing(begun) => match begun.await {
                    Err(error) => (Err(error), true),
                    Ok(mut begun) => {
                        self.notices.extend(begun.cut.take());
                        self.state = State::Replying(begun);
                        continue;
                    }
                },
                State::Replying(Begun { run, calls, .. }) => match run.next().await? {
                    Step::Started => continue,
                    Step::Model(model) => (Ok(ReplyEvent::Model(model)), false),
                    Step::Delta(delta) => {
                        if let Some(calls) = calls {
                            calls.take(&delta);
                        }
                        (Ok(ReplyEvent::Delta(delta)), false)
                    }
                    Step::Turn(turn) => (Ok(ReplyEvent::Turn(turn)), false),
                    Step::Failed(failure) => (Err(failure.into()), true),
                    Step::Refused(exceeded) => (Err(Error::Exceeded(exceeded)), true),
                },
            };
            if is_last {
                self.state = State::Ended;
            }
            return Some(event);
        }
    }

    /// Carries out the calls of a whole reply. If this one has no text, the next parts are of another; otherwise the turn is on
    /// the disk afterwards, or a notice says that it is not.
    ///
    /// # Errors
    ///
    /// The model cannot be asked again.
    pub(crate) async fn end_turn(
        &mut self,
        turn: Result<CompletedTurn, NotKept>,
    ) -> Result<(), Error> {
        let ended = std::mem::replace(&mut self.state, State::Ended);
        if let State::Replying(Begun { calls: Some(calls), .. }) = ended {
            let (notices, next) = calls.carry_out(&self.app, &self.person, self.surface).await?;
            self.notices.extend(notices);
            if let Some(run) = next {
                self.state = State::Replying(Begun { run, calls: None, cut: None });
                return Ok(());
            }
        }
        let reason = keep(&self.app, turn).await.err();
        self.notices.extend(reason.map(|reason| not_kept(reason, &self.app)));
        Ok(())
    }
}

async fn keep(app: &App, turn: Result<CompletedTurn, NotKept>) -> Result<(), NotKept> {
    app.sessions.append(&turn?).await
}

fn not_kept(reason: NotKept, app: &App) -> Notice {
    let mut message = format!("This turn is not kept: {reason}. {}", reason.advice());
    if !app.sessions.knows_choosers() {
        message.push_str(
            " Nor is it known who chose a model: the household's AI answers unless one is named.",
        );
    }
    Notice { kind: kind::NOT_KEPT, message }
}

/// Starts a reply, if there is locked memory for its prompt.
fn start(
    app: &Arc<App>,
    surface: &'static str,
    person: &Person,
    request: ChatRequest,
    record: Option<Result<Record, NotKept>>,
) -> Result<Run, Error> {
    if !arena::has_room(request.messages.iter().map(Message::size).sum()) {
        return Err(Error::Busy);
    }
    Run::start(app, surface, person, request, record)
}
