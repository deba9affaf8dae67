//! Puts the system prompt before a conversation.

use std::sync::Arc;

use ai_gateway_api::{rooms::RoomMessage, sealed::SessionName};
use chat_vocabulary::{Message, Role};
use conversations::{Context, SealedMemory};
use mesh_identity::Person;

use super::{
    compact::{self, Compaction},
    mark::first_question,
    size::{BYTES_PER_TOKEN, tokens_of},
};
use crate::{App, Error, arena, memory, rooms};

/// Puts the workspace's prompt before a conversation with the household's AI, unless it has its own system message.
/// Other models get the client's messages unchanged.
///
/// Nothing is removed: the model reports a conversation that is too long.
pub(crate) async fn compose(
    app: &Arc<App>,
    person: &Person,
    model: Option<&str>,
    mut messages: Vec<Message>,
) -> Result<Vec<Message>, Error> {
    let conversation = arena::locked(|_| first_question(&messages));
    if let Some(prompt) = prompt(app, person, model, &messages, &conversation).await? {
        messages.insert(0, prompt.message);
    }
    Ok(messages)
}

/// The prompt for a question in a session of the gateway.
pub(crate) struct SessionPrompt {
    system: Option<Message>,
    /// Whether the model may add to the person's memory.
    pub(crate) may_remember: bool,
    /// The messages and the question; or what has to be left out first.
    messages: Result<Vec<Message>, Box<Compaction>>,
}

/// Puts the workspace's prompt before a session's messages and the question.
pub(crate) async fn compose_session(
    app: &Arc<App>,
    person: &Person,
    model: Option<&str>,
    session: &SessionName,
    (context, question): (Context, Message),
) -> Result<SessionPrompt, Error> {
    let system = prompt(app, person, model, &[], session.as_str()).await?;
    let chain = app.models.choose(model)?;
    let may_remember = system.as_ref().is_some_and(|it| it.ai_remembers) && chain.calls_tools();
    let system = system.map(|system| system.message);
    // No more than half of what is read of a session, so that it is read whole until something is left out.
    let session = app.limits.session_bytes / 2 / BYTES_PER_TOKEN;
    let taken = system.iter().chain([&question]).map(tokens).sum();
    let room = half(chain.context_window).min(session).saturating_sub(taken);
    Ok(SessionPrompt { system, may_remember, messages: compact::fit(context, question, room) })
}

impl SessionPrompt {
    /// Whether messages have to be left out first, for which the model is asked.
    #[must_use]
    pub(crate) fn is_too_long(&self) -> bool {
        self.messages.is_err()
    }

    /// All messages, and whether a summary stands for those that are left out.
    pub(crate) async fn messages(
        self,
        app: &Arc<App>,
        person: &Person,
        model: Option<&str>,
        surface: &'static str,
    ) -> (Vec<Message>, bool) {
        let (messages, is_whole) = match self.messages {
            Ok(messages) => (messages, true),
            Err(compaction) => compaction.run(app, person, model, surface).await,
        };
        (arena::locked(|_| self.system.into_iter().chain(messages).collect()), is_whole)
    }
}

/// The messages for the reply to a room's message: the workspace's prompt for that room, then as many of the recent
/// messages as fit, then the message.
pub(crate) async fn compose_room(
    app: &Arc<App>,
    person: &Person,
    model: Option<&str>,
    assistant: &str,
    message: &RoomMessage,
) -> Result<Vec<Message>, Error> {
    let (mut prompt, _) = workspace(app, person, "").await?;
    prompt.push_str(&rooms::instructions(assistant));
    let messages = rooms::conversation(message, assistant);
    let window = app.models.choose(model)?.context_window;
    Ok(rooms::joined(fit(Some(Message::system(prompt)), messages, window)))
}

/// The workspace's prompt.
struct SystemPrompt {
    message: Message,
    /// Whether the person has allowed the AI to add to their memory.
    ai_remembers: bool,
}

/// The workspace's prompt, if it belongs before these messages.
async fn prompt(
    app: &Arc<App>,
    person: &Person,
    model: Option<&str>,
    messages: &[Message],
    conversation: &str,
) -> Result<Option<SystemPrompt>, Error> {
    let own = messages.first().is_some_and(|first| first.role == Role::System);
    if own || !app.models.choose(model)?.household {
        return Ok(None);
    }
    let (prompt, ai_remembers) = workspace(app, person, conversation).await?;
    let message = arena::locked(|_| Message::system(prompt.as_str()));
    Ok(Some(SystemPrompt { message, ai_remembers }))
}

/// The workspace's text with the person's memory, and whether the AI may add to that.
async fn workspace(
    app: &Arc<App>,
    person: &Person,
    conversation: &str,
) -> Result<(String, bool), Error> {
    // A question is answered also if the memory cannot be read; the log has the reason.
    let memory = memory::read(app, person).await.unwrap_or_default();
    let ai_remembers = memory.as_ref().is_some_and(SealedMemory::ai_remembers);
    // A memory tells whose conversations they are; then all of them may begin the same.
    let is_known = memory.as_ref().is_some_and(|memory| memory.names().next().is_some());
    let mark = app.marks.line(person, if is_known { "" } else { conversation });
    let workspace = app.workspace.clone();
    let read = move || arena::locked(|_| workspace.prompt(memory.as_ref(), &mark));
    let text = tokio::task::spawn_blocking(read).await.map_err(|_| Error::Busy)?;
    Ok((text, ai_remembers))
}

/// Tokens of a prompt: half of the context. The rest is for the reply.
fn half(context_window: Option<u32>) -> usize {
    context_window.map_or(usize::MAX, |window| usize::try_from(window / 2).unwrap_or(usize::MAX))
}

/// The tokens of a message, by estimate.
fn tokens(message: &Message) -> usize {
    tokens_of(message.size())
}

/// Prompt and a room's messages within half of the context.
fn fit(
    prompt: Option<Message>,
    mut messages: Vec<Message>,
    context_window: Option<u32>,
) -> Vec<Message> {
    let mut available = half(context_window).saturating_sub(prompt.as_ref().map_or(0, tokens));
    let mut from = messages.len();
    while let Some(message) = from.checked_sub(1).and_then(|index| messages.get(index)) {
        let needed = tokens(message);
        // The last message always stays; the backend reports if it is too long.
        if needed > available && from < messages.len() {
            break;
        }
        available = available.saturating_sub(needed);
        from -= 1;
    }
    // A conversation does not begin with a reply.
    while from + 1 < messages.len() && messages[from].role == Role::Assistant {
        from += 1;
    }
    arena::locked(|_| prompt.into_iter().chain(messages.drain(from..)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soul() -> Option<Message> {
        Some(Message::system("soul"))
    }

    fn conversation(turns: usize, length: usize) -> Vec<Message> {
        let turn = |_| [Message::user("q".repeat(length)), Message::assistant("a".repeat(length))];
        let mut messages: Vec<Message> = (0..turns).flat_map(turn).collect();
        messages.push(Message::user("last"));
        messages
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let fitted = fit(soul(), conversation(3, 10), Some(2048));
        assert_eq!(fitted.len(), 8);
        assert_eq!(fitted[0], Message::system("soul"));
        assert_eq!(fit(None, conversation(1, 10), None), conversation(1, 10));
    }

    #[test]
    fn the_oldest_messages_are_left_out_and_the_question_never() {
        let fitted = fit(soul(), conversation(20, 200), Some(1024));
        assert!(fitted.len() > 2 && fitted.len() < 41, "{}", fitted.len());
        assert_eq!(fitted[1].role, Role::User, "begins with a question");
        assert_eq!(fitted.last(), Some(&Message::user("last")));
        let tokens: usize = fitted.iter().map(|message| message.size() / 2 + 8).sum();
        assert!(tokens <= 512, "{tokens}");

        let long = vec![Message::user("x".repeat(100_000))];
        assert_eq!(fit(soul(), long, Some(1024)).len(), 2);
    }
}
