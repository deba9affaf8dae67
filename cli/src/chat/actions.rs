//! What `maru chat` does with conversations besides asking.

use std::io::Write;

use ai_gateway_api::sealed::{
    Conversation, Event, Export, Found, History, MemoryOperation, Operation, Rename, Search,
    SessionName,
};
use anyhow::bail;
use common::nearest::nearest;
use jiff::Timestamp;
use messages::message;

mod recovery;

use super::{
    args::{Action, ChatArgs, ChatFormat},
    gateway::Gateway,
    lines::Lines,
    memory,
    print::{Collected, Printer},
};
use crate::output::{self, Format};

/// Carries out an action and prints its result.
///
/// # Errors
///
/// There is no conversation of that name, or the gateway refuses or is not reached.
pub(super) async fn carry_out<G: Gateway, W: Write>(
    action: Action,
    args: &ChatArgs,
    gateway: &mut G,
    printer: &mut Printer<W>,
) -> anyhow::Result<()> {
    let text = args.output == ChatFormat::Text;
    match action {
        Action::History => {
            let history = History::all(args.session.clone());
            gateway.ask(&Operation::History(history), printer).await
        }
        Action::List if text => {
            let heads = message!("chat-list-heads");
            output::list(Format::Table, &list(gateway).await?, &heads, list_row)
        }
        Action::List => gateway.ask(&Operation::List, printer).await,
        Action::Search(words) => {
            let search = Operation::Search(Search { text: words });
            if !text {
                return gateway.ask(&search, printer).await;
            }
            let mut collected = Collected::default();
            gateway.ask(&search, &mut collected).await?;
            let found: Vec<_> = collected.0.into_iter().filter_map(found).collect();
            output::list(Format::Table, &found, &message!("chat-search-heads"), found_row)
        }
        Action::Rename(session, to) => {
            exists(gateway, &session).await?;
            let rename = Rename { session: session.clone(), to: to.clone() };
            gateway.ask(&Operation::Rename(rename), printer).await?;
            done(text, || message!("chat-renamed", session, to))
        }
        Action::Delete(session) => {
            exists(gateway, &session).await?;
            gateway.ask(&Operation::Delete(session.clone()), printer).await?;
            done(text, || message!("chat-deleted", session))
        }
        Action::Export(session) => {
            if let Some(session) = &session {
                exists(gateway, session).await?;
            }
            let export = Export { session, format: args.format.into() };
            gateway.ask(&Operation::Export(export), printer).await
        }
        Action::Memory => {
            gateway.ask(&Operation::Memory(MemoryOperation::Read(None)), printer).await
        }
        Action::EditMemory(file) => {
            let said = memory::edit(gateway, file, memory::in_editor).await?;
            done(text, || said.clone())
        }
        Action::RecoveryCode => recovery::make(gateway, printer, text).await,
        Action::Recover => {
            recovery::recover(gateway, printer).await?;
            done(text, || message!("recovered"))
        }
    }
}

fn done(text: bool, said: impl Fn() -> messages::Message) -> anyhow::Result<()> {
    if text { output::line(said()) } else { Ok(()) }
}

/// The person's conversations, the last used first.
pub(super) async fn list<G: Gateway>(gateway: &mut G) -> anyhow::Result<Vec<Conversation>> {
    let mut collected = Collected::default();
    gateway.ask(&Operation::List, &mut collected).await?;
    let conversation = |event| if let Event::Conversation(it) = event { Some(it) } else { None };
    Ok(collected.0.into_iter().filter_map(conversation).collect())
}

/// Whether there is a conversation of this name.
///
/// # Errors
///
/// There is none; the error names the nearest.
pub(super) async fn exists<G: Gateway>(gateway: &mut G, name: &SessionName) -> anyhow::Result<()> {
    let conversations = list(gateway).await?;
    let names = || conversations.iter().map(|it| it.name.as_str());
    if names().any(|known| known == name.as_str()) {
        return Ok(());
    }
    match nearest(name.as_str(), names()) {
        Some(nearest) => bail!(message!("conversation-near", name, nearest)),
        None => bail!(message!("conversation-unknown", name)),
    }
}

/// Lets the person choose one of their conversations, by number or name; `None` at the end of the input.
///
/// # Errors
///
/// There are none.
pub(super) async fn pick<G: Gateway>(
    gateway: &mut G,
    lines: &mut Lines,
) -> anyhow::Result<Option<SessionName>> {
    let conversations = list(gateway).await?;
    if conversations.is_empty() {
        bail!(message!("no-conversations"));
    }
    for (number, it) in (1..).zip(&conversations) {
        let [name, messages, _, used] = cells(it);
        output::note(message!("chat-choice", number, name, messages, used));
    }
    loop {
        output::note(message!("chat-choose", last = conversations.len()));
        let Some(line) = lines.next().await else { return Ok(None) };
        let chosen = match line.trim() {
            "" => conversations.first(),
            typed => conversations.iter().find(|it| it.name == typed).or_else(|| {
                let number: usize = typed.parse().ok()?;
                conversations.get(number.checked_sub(1)?)
            }),
        };
        if let Some(chosen) = chosen {
            return Ok(Some(chosen.name.parse()?));
        }
    }
}

fn cells(it: &Conversation) -> [String; 4] {
    let size = indicatif::BinaryBytes(it.bytes).to_string();
    [it.name.clone(), it.messages.to_string(), size, time(it.used_at)]
}

fn list_row(it: &Conversation) -> Vec<String> {
    cells(it).to_vec()
}

fn found(event: Event) -> Option<Found> {
    if let Event::Found(found) = event { Some(found) } else { None }
}

fn found_row(it: &Found) -> Vec<String> {
    vec![it.conversation.clone(), time(it.time), it.role.as_str().to_owned(), it.excerpt.clone()]
}

/// Unix milliseconds as text, to the second.
fn time(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
