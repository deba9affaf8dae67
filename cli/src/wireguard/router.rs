//! Home as the router of WireGuard devices: one that an older version set up does not offer it yet.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use anyhow::Context as _;
use chassis::{durable::Access, settings};
use endpoint::{Body, Endpoint};
use messages::message;
use node_agent_api::{
    endpoints::STATUS,
    settings::{FILE, Settings, Wireguard},
};
use serde::{Serialize, de::DeserializeOwned};
use services::AGENT_SERVICE;
use tokio::time::{Instant, sleep};

use crate::{
    client::{Client, Refused},
    edited_file, output,
    units::{self, systemctl},
    up,
};

/// How long the coordinator may take to learn of the offer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause before it is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// The coordinator's message if a node does not offer to route WireGuard devices.
const NOT_OFFERED: &str = "problem-wireguard-not-offered";

/// Calls the coordinator for a device. If this machine is the router meant and does not offer to be one, it does so first.
pub(super) async fn call<Q, A>(
    client: &Client,
    root: &Path,
    (endpoint, parameters): (&Endpoint<Q, A>, &[&str]),
    body: &Q::Value,
) -> anyhow::Result<A::Value>
where
    Q: Body<Value: Serialize> + ?Sized,
    A: Body<Value: DeserializeOwned> + ?Sized,
{
    let mut answer = client.call(endpoint, parameters, body).await;
    let Some(router) = not_offered(&answer) else { return answer };
    if !offer(root, &router).await? {
        return answer;
    }
    let deadline = Instant::now() + PATIENCE;
    while not_offered(&answer).is_some() && Instant::now() < deadline {
        sleep(AGAIN).await;
        answer = client.call(endpoint, parameters, body).await;
    }
    answer
}

/// The node that does not offer it, if that is the answer.
fn not_offered<A>(answer: &anyhow::Result<A>) -> Option<String> {
    let problem = &answer.as_ref().err()?.downcast_ref::<Refused>()?.problem;
    let is_it = problem.message.as_deref() == Some(NOT_OFFERED);
    is_it.then(|| problem.arguments.get("name").cloned()).flatten()
}

/// Has the agent of this machine offer it, if systemd runs it, it is that node, and its settings say nothing of it; whether it does.
async fn offer(root: &Path, router: &str) -> anyhow::Result<bool> {
    if !units::are_installed(root).await {
        return Ok(false);
    }
    let Ok(status) = Client::agent(root).call(&STATUS, &[], &()).await else { return Ok(false) };
    if status.node.is_none_or(|own| own.name != router) {
        return Ok(false);
    }
    let path = root.join(FILE);
    let read = || anyhow::Ok((fs::read_to_string(&path)?, fs::metadata(&path)?));
    let (text, there) = read().with_context(|| message!("file-not-read", path = path.display()))?;
    let Some(text) = edit(&text) else { return Ok(false) };
    let access = Access { mode: there.mode() & 0o7777, owner: Some((there.uid(), there.gid())) };
    edited_file::replace(&path, access, &text)
        .with_context(|| message!("file-not-saved", path = path.display()))?;
    output::note(message!("wireguard-offered", path = path.display()));
    systemctl::restart(&format!("{}.service", AGENT_SERVICE.unit())).await?;
    Ok(true)
}

/// The agent's settings with the section that a new home has; `None` if there is one, or if such an agent cannot be a router.
fn edit(text: &str) -> Option<String> {
    let read = |text: &str| settings::parse::<Settings>(Path::new(FILE), text).ok();
    let before = read(text)?;
    if before.wireguard.is_some() || before.exit_node.is_some() || before.shields_up {
        return None;
    }
    let wireguard = Some(Wireguard { internet: true, ..Wireguard::default() });
    let space = if text.trim().is_empty() { "" } else { "\n\n" };
    let text = format!("{}{space}{}", text.trim_end(), up::config::WIREGUARD);
    // The edit is used only if the file now means the old value with this change.
    (read(&text)? == Settings { wireguard, ..before }).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_of_a_new_home_is_added_and_the_rest_stays() {
        let before = "# mine\nlisten_port = 41642\n\n[[dial]]\nname = \"a\"\nsocket = \"run/a\"\nuid = 1\nto = \"127.0.0.1:1\"\n";
        let after = edit(before).unwrap();
        assert!(after.starts_with(before), "{after}");
        assert!(after.contains("\n[wireguard]\n") && after.contains("\ninternet = true\n"));
        assert_eq!(edit(&after), None, "once");
        for kept in [
            "[wireguard]\nport = 9\n",
            "exit_node = \"cabin\"\n",
            "shields_up = true\n",
            "listen_port",
        ] {
            assert_eq!(edit(kept), None, "{kept}");
        }
        assert!(edit("").is_some());
    }
}
