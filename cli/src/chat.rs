//! `maru chat`: a conversation with the AI at home, sealed to its gateway.
//!
//! The client of `docs/protocols/sealed-chat.md`. The agent's local API says where the
//! gateway is and by which identity it is known; nothing that the network answers is
//! believed before that identity has signed it.

use std::{
    io::{BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use ai_gateway_api::sealed::{Chat, History, Input, Operation};
use chat_vocabulary::Options;
use messages::{Language, message};
use zeroize::Zeroizing;

use crate::{error::Usage, output};

pub(crate) mod agent;
pub(crate) mod args;
pub(crate) mod connection;
mod conversation;
mod markdown;
mod pins;
mod print;
mod state;

use args::ChatArgs;
use conversation::Conversation;
use print::Printer;

/// Most bytes of a question read from a pipe.
const MAX_QUESTION: u64 = 1 << 20;

/// Asks, and prints the reply as it comes.
///
/// Exit status 1 if the reply is not whole: the error says whether it was cut or failed.
///
/// # Errors
///
/// The device is no approved node, the gateway is not reached, not the one the network names or
/// not the one that is known, the clock is off, or the gateway refuses.
pub(crate) async fn run(args: ChatArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let question = question(&args)?;
    let target = agent::target(root).await?;
    let mut conversation = Conversation::new(target, root, args.suite.into())?;
    conversation.recognise(args.accept_identity)?;
    match question {
        Question::Once(operation) => {
            conversation.ask(&operation, &mut Printer::new(args.output)).await?;
        }
        Question::Lines => talk(&mut conversation, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

enum Question {
    Once(Box<Operation>),
    /// Line by line, from the terminal.
    Lines,
}

fn question(args: &ChatArgs) -> anyhow::Result<Question> {
    if args.history {
        let session = args.session.clone();
        return Ok(Question::Once(Box::new(Operation::History(History::all(session)))));
    }
    let text = match &args.ask {
        Some(text) => text.clone(),
        None if !args.text.is_empty() => args.text.join(" "),
        None if std::io::stdin().is_terminal() => return Ok(Question::Lines),
        None => {
            let mut text = String::new();
            std::io::stdin().lock().take(MAX_QUESTION).read_to_string(&mut text)?;
            text
        }
    };
    if text.trim().is_empty() {
        return Err(Usage(message!("no-question")).into());
    }
    Ok(Question::Once(Box::new(operation(args, text))))
}

fn operation(args: &ChatArgs, text: String) -> Operation {
    Operation::Chat(Chat {
        session: Some(args.session.clone()),
        input: Input::Text(text),
        model: args.model.clone(),
        language: Some(Language::current().tag().to_owned()),
        options: Options {
            max_tokens: args.max_tokens,
            temperature: args.temperature,
            ignore_eos: args.ignore_eos,
            ..Options::default()
        },
    })
}

/// Asks line by line until the end of input, also after errors.
async fn talk(conversation: &mut Conversation, args: &ChatArgs) -> anyhow::Result<()> {
    loop {
        prompt();
        let Some(line) = read_line().await? else {
            return Ok(());
        };
        if line.trim().is_empty() {
            continue;
        }
        let asked = conversation
            .ask(&operation(args, line.to_string()), &mut Printer::new(args.output))
            .await;
        if let Err(error) = asked {
            output::note(message!("chat-error", error = format!("{error:#}")));
        }
    }
}

fn prompt() {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(b"> ").and_then(|()| err.flush());
}

/// The next line, `None` at the end; read on a thread, so that Ctrl-C interrupts it.
async fn read_line() -> anyhow::Result<Option<Zeroizing<String>>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map(|length| (length > 0).then_some(line))
    });
    Ok(read.await??)
}

#[cfg(test)]
mod tests;
