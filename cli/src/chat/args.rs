//! The arguments of `maru chat`.

use ai_gateway_api::sealed::SessionName;
use clap::{Args, ValueEnum};
use hpke_envelope::Suite;

use crate::Fingerprint;

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
