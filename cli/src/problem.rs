//! What the agent says is wrong.

use common::problem::Problem;
use node_agent_api::Status;

/// What is wrong with this device, in the current language if the message is known here.
pub(crate) fn of(status: &Status) -> Option<String> {
    let problem = Problem::new("agent", 0, status.problem.clone()?);
    let message = status.problem_message.clone();
    let (message, arguments) = message.map(|said| (said.id, said.arguments)).unzip();
    let arguments = arguments.unwrap_or_default();
    Some(messages::problem(&Problem { message, arguments, ..problem }))
}
