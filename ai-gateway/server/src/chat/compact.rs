//! The messages of a session in its next prompt.
//!
//! Once they do not fit, the oldest are left out, so many that the others take half of the room, and a summary by the same
//! model stands for them. Until the other half is used up, nothing more is left out: each prompt begins as the one before,
//! byte by byte, so that a model server's cache of prompts is of use. All messages stay in the session.

use std::sync::Arc;

use chat_vocabulary::{ChatRequest, Message, Options, Role};
use conversations::{Context, NumberedMessage};
use mesh_identity::Person;

use super::{
    run::Run,
    size::{BYTES_PER_TOKEN, tokens_of},
    step::Step,
};
use crate::{App, arena};

/// Most bytes of a summary, and most tokens of the reply that it is.
const SUMMARY_BYTES: usize = 4000;
const SUMMARY_TOKENS: u32 = 1024;
/// Most bytes of one message that a summary is made of.
const MESSAGE_BYTES: usize = 4000;

/// What the model is told.
const INSTRUCTIONS: &str = "Summarize the conversation below in its language and in at most 200 words, for the assistant who \
     goes on with it: facts about the person, names, numbers, decisions, and what is still open. Write the summary alone.\n\n";

/// A session's messages and the question, which do not fit into a prompt.
pub(crate) struct Compaction {
    context: Context,
    question: Message,
    /// How many of the oldest messages are left out.
    left_out: usize,
    /// How many tokens the messages may take.
    room: usize,
}

/// The messages of a prompt with `room` for so many tokens besides the question.
pub(super) fn fit(
    context: Context,
    question: Message,
    room: usize,
) -> Result<Vec<Message>, Box<Compaction>> {
    let summary = context.summary.as_ref().map_or(0, |summary| summary.len() / BYTES_PER_TOKEN);
    let sizes = context.messages.iter().map(size);
    if !context.has_older && summary + sizes.clone().sum::<usize>() <= room {
        return Ok(messages(context, question));
    }
    let mut half = room / 2;
    let newest = sizes.rev().take_while(|size| match half.checked_sub(*size) {
        Some(rest) => {
            half = rest;
            true
        }
        None => false,
    });
    let left_out = context.messages.len() - newest.count();
    // A conversation does not begin with a reply.
    let replies = context.messages.iter().skip(left_out);
    let replies = replies.take_while(|it| it.message.role != Role::User).count();
    Err(Box::new(Compaction { left_out: left_out + replies, context, question, room }))
}

fn size(message: &NumberedMessage) -> usize {
    tokens_of(message.message.text.len())
}

/// The messages and the question. The summary is a part of the first one: not every model's template has a place for a
/// further message.
fn messages(context: Context, question: Message) -> Vec<Message> {
    arena::locked(|_| {
        let message = |it: NumberedMessage| Message::new(it.message.role, it.message.text);
        let mut messages: Vec<_> =
            context.messages.into_iter().map(message).chain([question]).collect();
        if let (Some(summary), Some(first)) = (context.summary, messages.first_mut()) {
            let text = first.content.text();
            first.content = format!("[So far in this conversation:\n{summary}]\n\n{text}").into();
        }
        messages
    })
}

impl Compaction {
    /// Leaves the oldest messages out and has the model summarize them. Returns the messages of the prompt, and whether the
    /// summary stands for all that was left out.
    pub(crate) async fn run(
        self,
        app: &Arc<App>,
        person: &Person,
        model: Option<&str>,
        surface: &'static str,
    ) -> (Vec<Message>, bool) {
        let Self { mut context, question, left_out, room } = self;
        // It takes little of the room, also of a small model's.
        let bytes = room.saturating_mul(BYTES_PER_TOKEN);
        let summary_max = SUMMARY_BYTES.min(bytes / 4);
        let summary = match transcript(&context, left_out, bytes) {
            Some(transcript) => {
                let request = summary_request(app, person, model, transcript);
                summarize(app, surface, person, request, summary_max).await
            }
            None => None,
        };
        let is_whole = summary.is_some();
        let last_left_out = left_out.checked_sub(1).and_then(|at| context.messages.get(at));
        let first = last_left_out.map(|last| last.number + 1);
        context.messages.drain(..left_out);
        let first = context.messages.first().map(|it| it.number).or(first);
        // Without a new summary, the former one still tells of the beginning.
        context.summary = summary.or(context.summary);
        if let (Some(id), Some(first)) = (context.id, first) {
            // If that fails, which is logged, it is done again for the next question.
            let _ = app.sessions.compact(person, id, first, context.summary.as_deref()).await;
        }
        (messages(context, question), is_whole)
    }
}

/// The text to summarize, of at most `max` bytes: the former summary and the oldest messages, each shortened. `None` if there
/// is nothing to summarize.
fn transcript(context: &Context, left_out: usize, max: usize) -> Option<String> {
    let former =
        context.summary.as_deref().map(|it| format!("Before: {}\n\n", start(it, SUMMARY_BYTES)));
    let mut available =
        max.checked_sub(INSTRUCTIONS.len() + former.as_ref().map_or(0, String::len))?;
    arena::locked(|_| {
        let line = |it: &NumberedMessage| {
            let who = if it.message.role == Role::User { "Person" } else { "Assistant" };
            format!("{who}: {}\n\n", start(&it.message.text, MESSAGE_BYTES))
        };
        let older = context.messages.iter().take(left_out).rev().map(line);
        let mut lines: Vec<_> = older
            .take_while(|line| match available.checked_sub(line.len()) {
                Some(rest) => {
                    available = rest;
                    true
                }
                None => false,
            })
            .collect();
        if lines.is_empty() {
            return None;
        }
        lines.extend(former);
        lines.push(INSTRUCTIONS.to_owned());
        lines.reverse();
        Some(lines.concat())
    })
}

/// The beginning of a text, of at most `max` bytes.
fn start(text: &str, max: usize) -> &str {
    text.split_at(text.floor_char_boundary(max)).0
}

fn summary_request(
    app: &App,
    person: &Person,
    model: Option<&str>,
    transcript: String,
) -> ChatRequest {
    // No other request begins the same, so that nobody learns by the time whether one was made.
    let mark = app.marks.line(person, &transcript);
    let messages = arena::locked(|_| vec![Message::user([mark, transcript].concat())]);
    let options = Options { max_tokens: Some(SUMMARY_TOKENS), ..Options::default() };
    let model = model.map(ToOwned::to_owned);
    ChatRequest { model, messages, options, ..ChatRequest::default() }
}

/// Asks the model for a summary of at most `max` bytes, as a request of the person. `None` if there is none.
async fn summarize(
    app: &Arc<App>,
    surface: &'static str,
    person: &Person,
    request: ChatRequest,
    max: usize,
) -> Option<String> {
    let mut run = Run::start(app, surface, person, request, None).ok()?;
    let mut summary = String::new();
    while let Some(step) = run.next().await {
        match step {
            Step::Delta(delta) => {
                let room = max.saturating_sub(summary.len());
                arena::append(&mut summary, start(&delta.content, room)).ok()?;
            }
            Step::Failed(_) | Step::Refused(_) => return None,
            Step::Started | Step::Model(_) | Step::Turn(_) => {}
        }
    }
    let is_text = !summary.trim().is_empty();
    is_text.then(|| arena::locked(|_| summary.trim().to_owned()))
}

#[cfg(test)]
mod tests;
