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
mod remember;
mod run;
mod size;
mod step;

pub(crate) use command::carry_out;
pub(crate) use compose::{compose, compose_room, compose_session};
pub(crate) use embed::embed;
pub(crate) use mark::PromptMarks;
pub(crate) use remember::{RememberCalls, offer};
pub(crate) use run::Run;
pub(crate) use step::{AnsweringModel, Ending, Step};
