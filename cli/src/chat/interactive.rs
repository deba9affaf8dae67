//! A conversation on a terminal, line by line.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _};

use ai_gateway_api::sealed::{
    Branch, Event, Export, ExportFormat, History, Operation, SessionName,
};
use anyhow::{Context as _, bail};
use chat_vocabulary::{Message, Role};
use messages::message;
use tokio::select;
use zeroize::Zeroizing;

use super::{
    actions,
    args::ChatArgs,
    gateway::Gateway,
    lines::Lines,
    print::{Collected, Sink},
    question,
};
use crate::output;

/// Messages that are shown of a conversation that goes on.
const SHOWN: u64 = 4;
/// Newest messages among which the last question is.
const NEWEST: u64 = 16;

/// A conversation in progress.
pub(super) struct InteractiveChat<'a, G, S> {
    pub(super) gateway: &'a mut G,
    pub(super) sink: S,
    pub(super) args: &'a ChatArgs,
    pub(super) transcript: Transcript,
}

/// Where its messages are.
pub(super) enum Transcript {
    /// On the gateway, in the session of this name.
    Session(SessionName),
    /// Here alone.
    Temporary(Vec<Message>),
}

/// A command that is carried out here.
enum Command<'a> {
    Stop,
    Export(&'a str),
    Edit(&'a str),
    Help,
    New,
}

impl<G: Gateway, S: Sink> InteractiveChat<'_, G, S> {
    /// Asks line by line until the end of input, also after errors.
    pub(super) async fn run(&mut self, lines: &mut Lines) {
        loop {
            prompt();
            let Some(line) = lines.next().await else { return };
            if line.trim().is_empty() {
                continue;
            }
            if let Err(error) = self.take(&line, lines).await {
                output::note(message!("chat-error", error = format!("{error:#}")));
            }
        }
    }

    /// Shows the newest messages of a conversation that goes on.
    pub(super) async fn show_newest(&mut self) -> anyhow::Result<()> {
        let Transcript::Session(session) = &self.transcript else { return Ok(()) };
        let history = History { session: session.clone(), before: None, limit: Some(SHOWN) };
        self.gateway.ask(&Operation::History(history), &mut self.sink).await
    }

    /// Takes one line: a command of this program, or a message.
    async fn take(&mut self, line: &str, lines: &mut Lines) -> anyhow::Result<()> {
        match command(line) {
            Some(Command::Stop) => output::note(message!("nothing-to-stop")),
            Some(Command::Export(file)) => self.export(file).await?,
            Some(Command::Edit("")) => bail!(message!("edit-without-text")),
            Some(Command::Edit(text)) => {
                self.forget_last_question().await?;
                self.ask(text, lines).await?;
            }
            Some(Command::New) if let Transcript::Temporary(messages) = &mut self.transcript => {
                messages.clear();
                output::note(message!("temporary-new"));
            }
            Some(Command::Help) => {
                output::line(message!("chat-help"))?;
                self.ask(line, lines).await?;
            }
            Some(Command::New) | None => self.ask(line, lines).await?,
        }
        Ok(())
    }

    /// Asks, until the reply has ended or the person stops it.
    async fn ask(&mut self, text: &str, lines: &mut Lines) -> anyhow::Result<()> {
        let operation = match &self.transcript {
            Transcript::Session(session) => question::text(self.args, Some(session.clone()), text),
            Transcript::Temporary(messages) => {
                let next = Message::user(text.trim_end_matches('\n'));
                question::messages(self.args, messages.iter().cloned().chain([next]).collect())
            }
        };
        let mut recorder = Recorder { sink: &mut self.sink, reply: None };
        select! {
            asked = self.gateway.ask(&operation, &mut recorder) => asked?,
            () = lines.stopped() => {
                recorder.sink.end()?;
                output::note(message!("reply-ended"));
                return Ok(());
            }
        }
        if let (Transcript::Temporary(messages), Some(reply)) =
            (&mut self.transcript, recorder.reply)
        {
            messages.push(Message::user(text.trim_end_matches('\n')));
            messages.push(Message::assistant(reply.as_str()));
        }
        Ok(())
    }

    /// Goes back to before the last question: in a new conversation, which begins as this one.
    async fn forget_last_question(&mut self) -> anyhow::Result<()> {
        let session = match &mut self.transcript {
            Transcript::Session(session) => session,
            Transcript::Temporary(messages) => {
                let last = messages.iter().rposition(|message| message.role == Role::User);
                messages.truncate(last.context(message!("nothing-to-edit"))?);
                return Ok(());
            }
        };
        let history = History { session: session.clone(), before: None, limit: Some(NEWEST) };
        let mut newest = Collected::default();
        self.gateway.ask(&Operation::History(history), &mut newest).await?;
        let number = newest.0.into_iter().rev().find_map(|event| {
            let Event::Message(message) = event else { return None };
            message.number.filter(|_| message.role == Role::User)
        });
        let before = number.context(message!("nothing-to-edit"))?;
        let names = actions::list(self.gateway).await?;
        let to = branch_name(session, |name| names.iter().any(|it| it.name == name.as_str()))
            .context(message!("nothing-to-edit"))?;
        let branch = Branch { session: session.clone(), before, to: to.clone() };
        self.gateway.ask(&Operation::Branch(branch), &mut Collected::default()).await?;
        output::note(message!("chat-branched", session, to));
        *session = to;
        Ok(())
    }

    /// Writes the conversation to a new file.
    async fn export(&mut self, file: &str) -> anyhow::Result<()> {
        let Transcript::Session(session) = &self.transcript else {
            bail!(message!("temporary-export"))
        };
        let name = if file.is_empty() { file_name(session) } else { file.to_owned() };
        let format =
            if name.ends_with(".json") { ExportFormat::Json } else { ExportFormat::Markdown };
        let mut collected = Collected::default();
        let export = Export { session: Some(session.clone()), format };
        self.gateway.ask(&Operation::Export(export), &mut collected).await?;
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name);
        let mut file = opened.with_context(|| message!("export-not-made", name))?;
        for event in collected.0 {
            if let Event::Delta(text) = event {
                file.write_all(text.as_bytes())
                    .with_context(|| message!("export-not-made", name))?;
            }
        }
        output::note(message!("chat-exported", session, name));
        Ok(())
    }
}

/// The command that a line is, if it is one of this program.
fn command(line: &str) -> Option<Command<'_>> {
    let (name, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    match (name, rest.trim()) {
        ("/stop", "") => Some(Command::Stop),
        ("/export", file) => Some(Command::Export(file)),
        ("/edit", text) => Some(Command::Edit(text)),
        ("/help", "") => Some(Command::Help),
        ("/new" | "/reset", "") => Some(Command::New),
        _ => None,
    }
}

/// A free name for a branch: `main (2)`.
fn branch_name(session: &SessionName, taken: impl Fn(&SessionName) -> bool) -> Option<SessionName> {
    let name = session.as_str();
    let base = match name.rsplit_once(" (") {
        Some((base, number)) if number.trim_end_matches(')').parse::<u32>().is_ok() => base,
        Some(_) | None => name,
    };
    (2..10_000_u32).find_map(|number| {
        let suffix = format!(" ({number})");
        let base = &base[..base.floor_char_boundary(SessionName::MAX - suffix.len())];
        format!("{base}{suffix}").parse().ok().filter(|name| !taken(name))
    })
}

/// The file that a conversation is written to if none is named.
fn file_name(session: &SessionName) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_ ()".contains(c) { c } else { '-' };
    format!("{}.md", session.as_str().chars().map(kept).collect::<String>())
}

fn prompt() {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(b"> ").and_then(|()| err.flush());
}

/// Passes events on and keeps a model's reply.
struct Recorder<'a, S> {
    sink: &'a mut S,
    /// From the first sign of a model on: commands are answered without one.
    reply: Option<Zeroizing<String>>,
}

impl<S: Sink> Sink for Recorder<'_, S> {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        match (event, &mut self.reply) {
            (Event::Model(_), reply) => drop(reply.get_or_insert_default()),
            (Event::Delta(text), Some(reply)) => reply.push_str(text),
            _ => {}
        }
        self.sink.event(event)
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.sink.end()
    }
}

#[cfg(test)]
mod tests;
