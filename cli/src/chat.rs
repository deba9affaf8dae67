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

use ai_gateway_api::{
    chat::Options,
    sealed::{Chat, History, Input, Operation, SessionName},
};
use clap::{Args, ValueEnum};
use hpke_envelope::Suite;
use zeroize::Zeroizing;

use crate::{Fingerprint, Usage, output};

mod agent;
mod connection;
mod conversation;
mod pins;
mod print;
mod state;

use conversation::Conversation;
use print::Printer;

/// Most bytes of a question read from a pipe.
const MAX_QUESTION: u64 = 1 << 20;

/// Of `maru chat`.
#[derive(Clone, Args)]
pub struct ChatArgs {
    /// What to ask [default: read from standard input; on a terminal, line by line]
    #[arg(value_name = "TEXT")]
    pub text: Vec<String>,
    /// What to ask, as one argument
    #[arg(long, value_name = "TEXT", conflicts_with = "text")]
    pub ask: Option<String>,
    /// Conversation to continue
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub session: SessionName,
    /// Print what the conversation holds so far, and ask nothing
    #[arg(long, conflicts_with_all = ["text", "ask"])]
    pub history: bool,
    /// Model that answers, as provider/model [default: the gateway's primary]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Most tokens of the reply
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// Randomness; 0 always takes the likeliest token
    #[arg(long, value_name = "T")]
    pub temperature: Option<f32>,
    /// Go on after the model's own end, up to --max-tokens
    #[arg(long, requires = "max_tokens")]
    pub ignore_eos: bool,
    /// How the request is sealed
    #[arg(long, value_enum, value_name = "SUITE", default_value_t = SuiteArg::XWing)]
    pub suite: SuiteArg,
    /// Go on with the gateway of this fingerprint, and no other, although another one was known
    #[arg(long, value_name = "FINGERPRINT")]
    pub accept_identity: Option<Fingerprint>,
    /// How the reply is printed: json is one event a line
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = ChatFormat::Text)]
    pub output: ChatFormat,
}

/// Shows everything but what is asked.
impl std::fmt::Debug for ChatArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatArgs")
            .field("session", &self.session)
            .field("history", &self.history)
            .field("model", &self.model)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// A suite of sealed chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SuiteArg {
    /// X-Wing: stays sealed even if X25519 is broken one day.
    XWing,
    /// X25519 alone.
    X25519,
}

impl From<SuiteArg> for Suite {
    fn from(suite: SuiteArg) -> Self {
        match suite {
            SuiteArg::XWing => Self::XWing,
            SuiteArg::X25519 => Self::X25519,
        }
    }
}

/// How a reply is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChatFormat {
    /// The text as it comes.
    Text,
    /// Each event of the reply as one line of JSON.
    Json,
}

/// Asks, and prints the reply as it comes.
///
/// Exit status 1 if the reply is not whole: the error says whether it was cut or failed.
///
/// # Errors
///
/// The device is no approved node, the gateway is not reached, not the one the network names or
/// not the one that is known, the clock is off, or the gateway refuses.
pub async fn run(args: ChatArgs, root: &Path) -> anyhow::Result<ExitCode> {
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
    Once(Operation),
    /// Line by line, from the terminal.
    Lines,
}

fn question(args: &ChatArgs) -> anyhow::Result<Question> {
    if args.history {
        let session = args.session.clone();
        return Ok(Question::Once(Operation::History(History { session })));
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
        return Err(Usage("there is no question; say maru chat \"TEXT\"".to_owned()).into());
    }
    Ok(Question::Once(operation(args, text)))
}

fn operation(args: &ChatArgs, text: String) -> Operation {
    Operation::Chat(Chat {
        session: Some(args.session.clone()),
        input: Input::Text(text),
        model: args.model.clone(),
        options: Options {
            max_tokens: args.max_tokens,
            temperature: args.temperature,
            ignore_eos: args.ignore_eos,
            ..Options::default()
        },
    })
}

/// Asks line by line until the end of input; a question that fails does not end it.
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
            output::note(&format!("maru: {error:#}"));
        }
    }
}

fn prompt() {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(b"> ").and_then(|()| err.flush());
}

/// The next line, `None` at the end; read on a thread, so that Ctrl-C ends it.
async fn read_line() -> anyhow::Result<Option<Zeroizing<String>>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map(|length| (length > 0).then_some(line))
    });
    Ok(read.await??)
}

#[cfg(test)]
mod tests;
