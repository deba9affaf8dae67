//! `maru chat`: a conversation with the AI at home, sealed to its gateway.
//!
//! The client of `docs/protocols/sealed-chat.md`. The agent's local API says where the
//! gateway is and by which identity it is known; nothing that the network answers is
//! believed before that identity has signed it.

use std::{
    io::{IsTerminal as _, stdin},
    path::Path,
    process::ExitCode,
};

use messages::message;

use crate::error::Usage;

mod actions;
pub(crate) mod agent;
pub(crate) mod args;
pub(crate) mod connection;
mod conversation;
mod gateway;
mod interactive;
mod lines;
mod markdown;
mod memory;
mod pins;
mod print;
mod question;
mod state;

use args::{Action, ChatArgs};
use conversation::Conversation;
use gateway::Gateway as _;
use interactive::{InteractiveChat, Transcript};
use lines::Lines;
use print::Printer;

/// Asks, and prints the reply as it comes; or does what the arguments say instead.
///
/// Exit status 1 if the reply is not whole: the error says whether it was cut or failed.
///
/// # Errors
///
/// The device is no approved node, the gateway is not reached, not the one the network names or
/// not the one that is known, the clock is off, or the gateway refuses.
pub(crate) async fn run(args: ChatArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let terminal = stdin().is_terminal();
    if args.resume == Some(None) && !terminal {
        return Err(Usage(message!("resume-without-name")).into());
    }
    let action = args.action.action();
    let asked = if action.is_none() { question::read(&args, terminal)? } else { None };
    let target = agent::target(root).await?;
    let mut conversation = Conversation::new(target, root, args.suite.into())?;
    conversation.recognise(args.accept_identity)?;
    match action {
        Some(action) => {
            let plain = matches!(action, Action::Export(_));
            let printer = if plain { Printer::plain } else { Printer::new };
            let mut printer = printer(args.output);
            actions::carry_out(action, &args, &mut conversation, &mut printer).await?;
        }
        None => ask(&args, asked, &mut conversation).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks one question, or what the person types.
async fn ask(
    args: &ChatArgs,
    asked: Option<String>,
    conversation: &mut Conversation,
) -> anyhow::Result<()> {
    // Only a terminal is read line by line.
    let mut lines = (asked.is_none() || args.resume == Some(None)).then(Lines::of_stdin);
    let session = match (&args.resume, &mut lines) {
        (Some(Some(name)), _) => {
            actions::exists(conversation, name).await?;
            name.clone()
        }
        (Some(None), Some(lines)) => match actions::pick(conversation, lines).await? {
            Some(name) => name,
            None => return Ok(()),
        },
        (Some(None) | None, _) => args.session.clone(),
    };
    let mut sink = Printer::new(args.output);
    match (asked, &mut lines) {
        (Some(text), _) => {
            let session = (!args.temporary).then_some(session);
            conversation.ask(&question::text(args, session, &text), &mut sink).await
        }
        (None, Some(lines)) => {
            let transcript = match args.temporary {
                true => Transcript::Temporary(Vec::new()),
                false => Transcript::Session(session),
            };
            let mut chat = InteractiveChat { gateway: conversation, sink, args, transcript };
            if args.resume.is_some() {
                chat.show_newest().await?;
            }
            chat.run(lines).await;
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
