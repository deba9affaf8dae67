//! Operations on the person's own sessions.

use ai_gateway_api::sealed::{
    Conversation, Event, Export, Found, History, Operation, Recover, Search, SessionMessage,
    SessionName,
};
use conversations::{Entries, Entry, FoundMessage, NumberedMessage, Pattern, Summary};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use mesh_identity::Person;

use super::{answer::Answer, export::ExportStream};
use crate::{
    App, Error, arena,
    sessions::{Messages, OperationError, Scan, SearchScan},
};

/// Sessions of a list in one part of the answer.
const LISTED: usize = 64;
/// Most messages that a search finds.
const FOUND: usize = 50;
/// Longest text of a message in one event, in bytes: encoded, it fits into a chunk.
const TEXT: usize = 128 << 10;

/// What an operation answers, in parts.
type Parts = BoxStream<'static, Result<Vec<Event>, Error>>;

/// Does an operation other than a chat.
pub(super) async fn answer(
    app: &App,
    person: &Person,
    operation: &Operation,
) -> Result<Answer, Error> {
    let sessions = &app.sessions;
    let parts = match operation {
        Operation::History(asked) => history(app, person, asked).await?,
        Operation::List => list(sessions.entries(person).await?),
        Operation::Search(Search { text }) => {
            let pattern = arena::locked(|_| Pattern::new(text));
            let pattern = pattern.ok_or(Error::Request("there is no text to search for"))?;
            search(sessions.scan(person).await?, pattern)
        }
        Operation::Rename(rename) => done(sessions.rename(person, rename).await)?,
        Operation::Branch(branch) => done(sessions.branch(person, branch).await)?,
        Operation::Delete(session) => done(sessions.delete(person, session).await)?,
        Operation::Export(asked) => export(sessions.scan(person).await?, asked)?,
        Operation::RecoveryCode => {
            let code = sessions.recovery_code(person).await?;
            let event = arena::locked(|_| Event::RecoveryCode(code.to_string()));
            stream::iter([Ok(vec![event])]).boxed()
        }
        Operation::Recover(Recover { code }) => done(sessions.recover(person, code).await)?,
        Operation::Chat(_) | Operation::Memory(_) => {
            return Err(Error::Request("this gateway does not support the sealed operation"));
        }
    };
    Ok(Answer::Events(parts))
}

/// The answer to a change: no event.
fn done(changed: Result<(), OperationError>) -> Result<Parts, Error> {
    changed?;
    Ok(stream::empty().boxed())
}

fn count(value: i64) -> u64 {
    value.try_into().unwrap_or_default()
}

/// The messages of a session; none if it is not there.
async fn history(app: &App, person: &Person, asked: &History) -> Result<Parts, Error> {
    let Some(messages) = app.sessions.read(person, asked).await? else {
        return Ok(stream::empty().boxed());
    };
    let parts = stream::try_unfold(messages, async |mut messages: Messages| {
        let Some(part) = messages.next().await? else { return Ok(None) };
        let events = arena::locked(|_| part.into_iter().flat_map(message).collect());
        Ok(Some((events, messages)))
    });
    Ok(parts.boxed())
}

/// A message's event; several if it is long.
fn message(message: NumberedMessage) -> Vec<Event> {
    let NumberedMessage { number, created_at, message } = message;
    let event = |content| {
        let (number, time) = (Some(count(number)), Some(count(created_at)));
        Event::Message(SessionMessage { role: message.role, content, number, time })
    };
    pieces(&message.text).map(str::to_owned).map(event).collect()
}

/// A text in pieces that are not too long, at least one.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = text.split_at(text.floor_char_boundary(TEXT));
        rest = (!after.is_empty()).then_some(after);
        Some(piece)
    })
}

fn list(entries: Entries) -> Parts {
    let parts = stream::try_unfold(entries, async |mut entries: Entries| {
        let part = arena::locked(|_| {
            let listed = entries.by_ref().take(LISTED).map(|entry| conversation(&entry));
            listed.collect::<Result<Vec<_>, OperationError>>()
        })?;
        Ok((!part.is_empty()).then_some((part, entries)))
    });
    parts.boxed()
}

fn conversation(entry: &Entry) -> Result<Event, OperationError> {
    let Summary { name, messages, bytes, created_at, used_at } = entry.summary()?;
    Ok(Event::Conversation(Conversation {
        name,
        messages: count(messages),
        bytes: count(bytes),
        created_at: count(created_at),
        used_at: count(used_at),
    }))
}

/// Messages with the pattern: those of the last used session first, the newest of each first.
fn search(scan: Scan, pattern: Pattern) -> Parts {
    let state = (SearchScan::new(scan, pattern), FOUND);
    let parts = stream::try_unfold(state, async |(mut scan, most)| {
        if most == 0 {
            return Ok(None);
        }
        let Some((entry, found)) = scan.next(most).await? else { return Ok(None) };
        let rest = most - found.len();
        Ok(Some((arena::locked(|_| events(&entry, found))?, (scan, rest))))
    });
    parts.boxed()
}

/// What was found in one session, the newest first.
fn events(entry: &Entry, found: Vec<FoundMessage>) -> Result<Vec<Event>, OperationError> {
    let event = |FoundMessage { number, created_at, role, excerpt }| -> Result<_, OperationError> {
        let (number, time) = (count(number), count(created_at));
        let conversation = entry.summary()?.name;
        Ok(Event::Found(Found { conversation, number, role, excerpt, time }))
    };
    found.into_iter().rev().map(event).collect()
}

/// A file of one session, or of all, in parts.
fn export(mut scan: Scan, Export { session, format }: &Export) -> Result<Parts, Error> {
    let only = session.as_ref().map(|session| select(&mut scan, session)).transpose()?;
    let stream = ExportStream::new(scan, only, *format);
    let parts = stream::try_unfold(stream, async |mut stream: ExportStream| {
        let Some(text) = stream.next().await? else { return Ok(None) };
        let deltas = arena::locked(|_| {
            pieces(&text).map(|piece| Event::Delta(piece.to_owned())).collect::<Vec<_>>()
        });
        Ok(Some((deltas, stream)))
    });
    Ok(parts.boxed())
}

/// The session of this name.
fn select(scan: &mut Scan, session: &SessionName) -> Result<Entry, OperationError> {
    while let Some(entry) = scan.next() {
        if arena::locked(|_| entry.summary())?.name == session.as_str() {
            return Ok(entry);
        }
    }
    Err(OperationError::Missing)
}
