//! The arguments of `maru chat`.

use ai_gateway_api::sealed::{ExportFormat, MemoryName, SessionName};
use clap::{Args, ValueEnum};
use hpke_envelope::Suite;

use crate::{fingerprint::Fingerprint, number};

#[derive(Clone, Args)]
pub(crate) struct ChatArgs {
    /// Question [default: read from standard input; on a terminal, line by line]
    #[arg(value_name = "TEXT", conflicts_with = "action")]
    pub(crate) text: Vec<String>,
    /// Question, as one argument
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["text", "action"])]
    pub(crate) ask: Option<String>,
    /// Conversation to continue, or to begin if there is none of this name
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) session: SessionName,
    /// Continue a conversation that there is; without NAME, choose it from a list
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["session", "action"])]
    pub(crate) resume: Option<Option<SessionName>>,
    /// Keep nothing of this conversation
    #[arg(long, conflicts_with_all = ["session", "resume", "action"])]
    pub(crate) temporary: bool,
    #[command(flatten)]
    pub(crate) action: ActionArgs,
    /// Format of the exported conversations
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = FileFormat::Markdown, requires = "export", conflicts_with_all = ["text", "ask"])]
    pub(crate) format: FileFormat,
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

/// What is done instead of asking.
#[derive(Clone, Args)]
#[group(id = "action", multiple = false)]
pub(crate) struct ActionArgs {
    /// Print the conversation so far, and ask nothing
    #[arg(long)]
    history: bool,
    /// List your conversations, the last used first
    #[arg(long)]
    list: bool,
    /// Find messages of your conversations that contain TEXT
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Give a conversation another name
    #[arg(long, num_args = 2, value_names = ["NAME", "NEW"])]
    rename: Option<Vec<SessionName>>,
    /// Delete a conversation for good
    #[arg(long, value_name = "NAME")]
    delete: Option<SessionName>,
    /// Print a conversation as a file; without NAME, all of them
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    export: Option<Option<SessionName>>,
    /// Print what the AI remembers of you
    #[arg(long)]
    memory: bool,
    /// Edit a file of what the AI remembers of you: MEMORY.md, USER.md or memory/DATE.md
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = MemoryName::MEMORY)]
    edit_memory: Option<MemoryName>,
    /// Make a recovery code, which opens your conversations on another machine; the one before opens nothing any more
    #[arg(long)]
    recovery_code: bool,
    /// Open conversations that another machine sealed; your recovery code is read from the terminal or standard input
    #[arg(long)]
    recover: bool,
}

/// The same as one value.
#[derive(Clone)]
pub(super) enum Action {
    History,
    List,
    Search(String),
    Rename(SessionName, SessionName),
    Delete(SessionName),
    Export(Option<SessionName>),
    Memory,
    EditMemory(MemoryName),
    RecoveryCode,
    Recover,
}

impl ActionArgs {
    /// What is to be done, if anything.
    pub(super) fn action(&self) -> Option<Action> {
        let Self { history, list, search, rename, delete, export, memory, edit_memory, .. } =
            self.clone();
        let rename = rename.and_then(|names| <[_; 2]>::try_from(names).ok());
        history
            .then_some(Action::History)
            .or(list.then_some(Action::List))
            .or(search.map(Action::Search))
            .or(rename.map(|[name, to]| Action::Rename(name, to)))
            .or(delete.map(Action::Delete))
            .or(export.map(Action::Export))
            .or(memory.then_some(Action::Memory))
            .or(edit_memory.map(Action::EditMemory))
            .or(self.recovery_code.then_some(Action::RecoveryCode))
            .or(self.recover.then_some(Action::Recover))
    }
}

/// Shows everything but what is asked.
impl std::fmt::Debug for ChatArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatArgs")
            .field("session", &self.session)
            .field("resume", &self.resume)
            .field("temporary", &self.temporary)
            .field("model", &self.model)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// The format of a file of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// For people.
    Markdown,
    /// For programs.
    Json,
}

impl From<FileFormat> for ExportFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Markdown => Self::Markdown,
            FileFormat::Json => Self::Json,
        }
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
