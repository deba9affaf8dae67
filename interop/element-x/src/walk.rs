//! What the people of a walk do alike with every client.

use std::{env, time::Duration};

use anyhow::{Context as _, Result, bail};
use matrix_sdk::ruma::OwnedUserId;

/// How long the other person may take for a step.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(50);

/// What is written, in its order.
pub(crate) const TEXT: &str = "good morning";
pub(crate) const EDITED: &str = "good evening";
pub(crate) const ANSWER: &str = "an answer";
pub(crate) const BYE: &str = "bye";
pub(crate) const SECRET: &str = "between us";
pub(crate) const SECRET_ANSWER: &str = "nobody else";
pub(crate) const EMOJI: &str = "👍";
/// The group's names.
pub(crate) const ROOM: &str = "Kitchen";
pub(crate) const RENAMED: &str = "Living room";
/// A picture of one dot.
pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\n\
    IDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82";

/// Which part a person takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Makes the rooms.
    Host,
    /// Is invited.
    Guest,
    /// Writes with the AI, which is the other person then.
    WithAi,
}

impl Role {
    fn named(name: &str) -> Result<Self> {
        match name {
            "host" => Ok(Self::Host),
            "guest" => Ok(Self::Guest),
            "with_ai" => Ok(Self::WithAi),
            other => bail!("no role {other}"),
        }
    }
}

/// Who walks, and how far.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The homeserver as a device sees it.
    pub(crate) url: String,
    /// The person, and a password that works once.
    pub(crate) user: String,
    pub(crate) password: String,
    /// The other person.
    pub(crate) peer: OwnedUserId,
    /// Which part it takes.
    pub(crate) role: Role,
    steps: Vec<String>,
}

impl Walk {
    /// Reads what the environment says.
    pub(crate) fn from_environment() -> Result<Self> {
        let get = |name: &str| env::var(name).with_context(|| format!("no {name}"));
        Ok(Self {
            url: get("MARU_URL")?,
            user: get("MARU_USER")?,
            password: get("MARU_PASSWORD")?,
            peer: get("MARU_PEER")?.try_into().context("MARU_PEER is not a user id")?,
            role: Role::named(&get("MARU_ROLE")?)?,
            steps: get("MARU_STEPS")?.split(',').map(str::to_owned).collect(),
        })
    }

    /// Runs a step that every walk has, and says how it went.
    pub(crate) async fn step<T>(
        &self,
        name: &str,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = run.await;
        match &result {
            Ok(_) => println!("ok {name}"),
            Err(error) => println!("not ok {name}: {}", format!("{error:#}").replace('\n', " ")),
        }
        result
    }

    /// Runs a step if this walk has it.
    pub(crate) async fn may(
        &self,
        name: &str,
        run: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        if self.steps.iter().any(|step| step == name) { self.step(name, run).await } else { Ok(()) }
    }

    /// Another password that works once, which this device may ask for.
    pub(crate) async fn another_password(&self) -> Result<String> {
        let url = format!("{}/maru/v1/rooms/login", self.url);
        let answer = reqwest::Client::new()
            .post(url)
            .json(&serde_json::json!({}))
            .send()
            .await?
            .error_for_status()?;
        let answer: serde_json::Value = answer.json().await?;
        answer["password"].as_str().map(str::to_owned).context("no password")
    }
}

/// Waits until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.with_context(|| format!("{what}: never seen"))
}
