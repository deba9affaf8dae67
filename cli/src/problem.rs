//! What the agent says is wrong.

use common::problem::Problem;
use node_agent_api::{Certificate, ProblemMessage, Status, wireguard::WireguardStatus};

/// What is wrong with this device, in the current language if the message is known here.
pub(crate) fn of(status: &Status) -> Option<String> {
    told(status.problem.as_ref(), status.problem_message.as_ref())
}

/// Why a name has no public certificate, or no newer one.
pub(crate) fn of_certificate(certificate: &Certificate) -> Option<String> {
    told(certificate.problem.as_ref(), certificate.problem_message.as_ref())
}

/// What does not work for WireGuard devices.
pub(crate) fn of_wireguard(wireguard: &WireguardStatus) -> Option<String> {
    told(wireguard.problem.as_ref(), wireguard.problem_message.as_ref())
}

fn told(problem: Option<&String>, message: Option<&ProblemMessage>) -> Option<String> {
    let problem = Problem::new("agent", 0, problem?.clone());
    let (message, arguments) = message.cloned().map(|said| (said.id, said.arguments)).unzip();
    let arguments = arguments.unwrap_or_default();
    Some(messages::problem(&Problem { message, arguments, ..problem }))
}
