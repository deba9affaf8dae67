//! The question of a command line.

use std::io::Read as _;

use ai_gateway_api::sealed::{Chat, Input, Operation, SessionName};
use chat_vocabulary::{Message, Options};
use messages::{Language, message};

use super::args::ChatArgs;
use crate::error::Usage;

/// Most bytes of a question read from a pipe.
const MAX_QUESTION: u64 = 1 << 20;

/// The question of the arguments, or of the pipe at standard input; `None` if that is a terminal, on which the person types.
///
/// # Errors
///
/// There is no question.
pub(super) fn read(args: &ChatArgs, terminal: bool) -> anyhow::Result<Option<String>> {
    let text = match &args.ask {
        Some(text) => text.clone(),
        None if !args.text.is_empty() => args.text.join(" "),
        None if terminal => return Ok(None),
        None => {
            let mut text = String::new();
            std::io::stdin().lock().take(MAX_QUESTION).read_to_string(&mut text)?;
            text
        }
    };
    if text.trim().is_empty() {
        return Err(Usage(message!("no-question")).into());
    }
    Ok(Some(text))
}

/// Asks a question in a session; without one nothing is kept.
pub(super) fn text(args: &ChatArgs, session: Option<SessionName>, text: &str) -> Operation {
    chat(args, session, Input::Text(text.to_owned()))
}

/// Asks the last of these messages; nothing is kept.
pub(super) fn messages(args: &ChatArgs, messages: Vec<Message>) -> Operation {
    chat(args, None, Input::Messages(messages))
}

fn chat(args: &ChatArgs, session: Option<SessionName>, input: Input) -> Operation {
    Operation::Chat(Chat {
        session,
        input,
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
