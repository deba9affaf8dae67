//! Puts the system prompt before a conversation.

use std::sync::Arc;

use chat_vocabulary::{Message, Role};
use mesh_identity::Person;

use ai_gateway_api::rooms::RoomMessage;

use crate::{App, Error, arena, rooms};

/// Least bytes of text per token. A text that fits by this count fits.
const BYTES_PER_TOKEN: usize = 2;
/// Tokens of a message besides its text.
const TOKENS_PER_MESSAGE: usize = 8;

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
    if let Some(prompt) = prompt(app, person, model, &messages).await? {
        messages.insert(0, prompt);
    }
    Ok(messages)
}

/// The same for a session of the gateway: drops the oldest messages until the rest and a reply fit the model's context.
pub(crate) async fn compose_session(
    app: &Arc<App>,
    person: &Person,
    model: Option<&str>,
    messages: Vec<Message>,
) -> Result<Vec<Message>, Error> {
    let prompt = prompt(app, person, model, &messages).await?;
    let window = app.models.choose(model)?.context_window;
    Ok(fit(prompt, messages, window))
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
    let (workspace, person) = (app.workspace.clone(), person.clone());
    let read = tokio::task::spawn_blocking(move || workspace.prompt(&person));
    let mut prompt = read.await.map_err(|_| Error::Busy)?;
    prompt.push_str(&rooms::instructions(assistant));
    let messages = rooms::conversation(message, assistant);
    let window = app.models.choose(model)?.context_window;
    Ok(rooms::joined(fit(Some(Message::system(prompt)), messages, window)))
}

/// The workspace's prompt, if it belongs before these messages.
async fn prompt(
    app: &Arc<App>,
    person: &Person,
    model: Option<&str>,
    messages: &[Message],
) -> Result<Option<Message>, Error> {
    let own = messages.first().is_some_and(|first| first.role == Role::System);
    if own || !app.models.choose(model)?.household {
        return Ok(None);
    }
    let (workspace, person) = (app.workspace.clone(), person.clone());
    let read = move || arena::locked(|_| Message::system(workspace.prompt(&person)));
    let prompt = tokio::task::spawn_blocking(read).await.map_err(|_| Error::Busy)?;
    Ok(Some(prompt).filter(|prompt| !prompt.content.is_empty()))
}

/// Prompt and messages within half of the context; the rest is for the reply.
fn fit(
    prompt: Option<Message>,
    mut messages: Vec<Message>,
    context_window: Option<u32>,
) -> Vec<Message> {
    let tokens = |message: &Message| message.size() / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE;
    let mut available = context_window
        .map_or(usize::MAX, |window| usize::try_from(window / 2).unwrap_or(usize::MAX))
        .saturating_sub(prompt.as_ref().map_or(0, tokens));
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
