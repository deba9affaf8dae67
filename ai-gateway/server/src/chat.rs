//! A chat's next message, for every API: prompt, model, reply.
//!
//! ```text
//! routes ──compose──▶ Run::start ──▶ queue ▶ chain ▶ deltas ──Run::next──▶ HTTP response
//! ```

mod command;
mod compact;
mod compose;
mod embed;
mod mark;
mod notice;
mod remember;
mod reply;
mod run;
mod size;
mod step;

pub(crate) use command::answer_command;
pub(crate) use compose::{compose, compose_room};
pub(crate) use embed::embed;
pub(crate) use mark::PromptMarks;
pub(crate) use notice::Notice;
pub(crate) use reply::{ChatReply, Question, ReplyEvent};
pub(crate) use run::Run;
pub(crate) use step::{AnsweringModel, Ending, Step};
