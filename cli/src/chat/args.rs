//! The arguments of `maru chat`.

use ai_gateway_api::sealed::SessionName;
use clap::{Args, ValueEnum};
use hpke_envelope::Suite;

use crate::{fingerprint::Fingerprint, number};

#[derive(Clone, Args)]
pub(crate) struct ChatArgs {
    /// Question [default: read from standard input; on a terminal, line by line]
    #[arg(value_name = "TEXT")]
    pub(crate) text: Vec<String>,
    /// Question, as one argument
    #[arg(long, value_name = "TEXT", conflicts_with = "text")]
    pub(crate) ask: Option<String>,
    /// Conversation to continue
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) session: SessionName,
    /// Print the conversation so far, and ask nothing
    #[arg(long, conflicts_with_all = ["text", "ask"])]
    pub(crate) history: bool,
    /// Model that answers, as provider/model [default: the gateway's primary]
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Most tokens of the reply
    #[arg(long, value_name = "N", value_parser = number::within(1..=u32::MAX))]
    pub(crate) max_tokens: Option<u32>,
    /// Randomness; 0 always takes the likeliest token
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// Continue after the model's end of text, up to --max-tokens
    #[arg(long, requires = "max_tokens")]
    pub(crate) ignore_eos: bool,
    /// How the request is sealed
    #[arg(long, value_enum, value_name = "SUITE", default_value_t = SuiteArg::XWing)]
    pub(crate) suite: SuiteArg,
    /// Accept the gateway with this fingerprint, and no other, although another one was known
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) accept_identity: Option<Fingerprint>,
    /// Format of the reply: json is one event a line
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = ChatFormat::Text)]
    pub(crate) output: ChatFormat,
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
pub(crate) enum SuiteArg {
    /// X-Wing, which stays secure even if X25519 is broken.
    XWing,
    /// X25519 only.
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
pub(crate) enum ChatFormat {
    /// The text as it comes.
    Text,
    /// Each event of the reply as one line of JSON.
    Json,
}
