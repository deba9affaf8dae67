//! One turn of a chat, whichever surface it came in by: prompt, model, reply.
//!
//! ```text
//! routes ──compose──▶ Run::start ──▶ line ▶ chain ▶ deltas ──Run::next──▶ HTTP response
//! ```

mod compose;
mod embed;
mod run;
mod size;
mod step;

pub use compose::{compose, compose_session};
pub use embed::embed;
pub use run::Run;
pub use step::{AnsweringModel, Ending, Record, Step};
