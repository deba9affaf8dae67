//! A person writes with the AI, whose replies the real model makes. What makes a reply is killed meanwhile: the gateway, the
//! model, the AI's client.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use lab::{Deployment, Member};

use super::person::{Part, Person, Program};
use crate::interop::{install::Installed, outcome::Outcome, steps};

/// How this walk is called.
pub(super) const AI: &str = "with the AI";
/// Its steps.
const STEPS: [&str; 13] = [
    "discover",
    "sign_in",
    "ai_joins",
    "ai_tells",
    "ai_answers",
    "gateway_killed",
    "gateway_back",
    "model_killed",
    "model_back",
    "participant_killed",
    "participant_back",
    "ai_told_once",
    "sign_out",
];
/// After which step which program is killed, with a word of its command line.
const KILLED: [(&str, &str, &str); 3] = [
    ("ai_answers", "maru-gateway", ""),
    ("gateway_back", "maru-llm", "run/maru/inference/"),
    ("model_back", "maru-participant", ""),
];
/// Shorter replies than the small model sometimes makes, so that none takes a minute.
const LIMITS: &str = "\n[limits]\ndefault_tokens = 200\n";
/// Tokens of a reply that is under way.
const TOKENS: u64 = 8;
/// How often the model is looked at, and how many looks it may take: a minute.
const POLL: Duration = Duration::from_millis(10);
const LOOKS: usize = 6000;

/// Walks.
pub(super) fn walk(
    deployment: &Deployment,
    installed: &Installed,
    program: &Program,
    member: &Member,
) -> Result<Outcome> {
    let settings = deployment.home.root.join("etc/maru/gateway.toml");
    let text = fs::read_to_string(&settings)?;
    if !text.contains(LIMITS) {
        fs::write(settings, text + LIMITS)?;
    }
    // It starts again with them.
    deployment.crash("maru-gateway", "")?;
    let person = Person::sign_in(member)?;
    let (_, network) = person.user.split_once(':').context("a user id names the network")?;
    let part = Part { role: "with_ai", peer: &format!("@maru:{network}"), steps: &STEPS };
    let mut command = person.command(installed, program, &deployment.state().join("tmp"), &part);
    let mut client = command.stdout(Stdio::piped()).spawn().context("the client does not start")?;
    let out = client.stdout.take().context("no pipe")?;
    let mut said = String::new();
    for line in BufReader::new(out).lines() {
        let line = line?;
        let killed = KILLED.iter().find(|(after, ..)| line.strip_prefix("ok ") == Some(after));
        if let Some((_, program, word)) = killed {
            until_it_replies(deployment)?;
            deployment.crash(program, word)?;
        }
        said = said + &line + "\n";
    }
    let _ = client.wait()?;
    Ok(steps::judge(AI, &STEPS, &steps::read(&said)))
}

/// Waits until the model is in the middle of a reply.
fn until_it_replies(deployment: &Deployment) -> Result<()> {
    for _ in 0..LOOKS {
        // It may be starting again.
        let slots = deployment.generating("inference").unwrap_or_default();
        if slots.iter().any(|slot| slot["n_decoded"].as_u64() >= Some(TOKENS)) {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    bail!("the model makes no reply")
}
