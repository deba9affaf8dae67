//! A person whose client walks on a device of the network.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use lab::Member;
use serde_json::Value;

use crate::interop::install::Installed;

/// The homeserver, as a device of the network finds it.
const URL: &str = "http://rooms.maru.home.arpa";

/// What runs a client: a program, and its script.
pub(super) type Program = (PathBuf, Option<PathBuf>);

/// What a person does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) role: &'a str,
    /// The other person.
    pub(super) peer: &'a str,
    pub(super) steps: &'a [&'a str],
}

/// A person with a password for one sign-in.
#[derive(Debug)]
pub(super) struct Person<'a> {
    member: &'a Member,
    pub(super) user: String,
    password: String,
}

impl<'a> Person<'a> {
    /// Asks for the password on the person's device.
    pub(super) fn sign_in(member: &'a Member) -> Result<Self> {
        let said = member.instance.ok(&["rooms", "login", "-o", "json"])?;
        let said: Value = serde_json::from_str(&said).context("no JSON")?;
        let text = |name: &str| {
            said[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"))
        };
        Ok(Self { member, user: text("user_id")?, password: text("password")? })
    }

    /// A client's command on the person's device.
    pub(super) fn command(
        &self,
        installed: &Installed,
        (program, script): &Program,
        tmp: &Path,
        part: &Part<'_>,
    ) -> Command {
        let mut command = installed.command(&self.member.instance.machine, program, tmp);
        command.args(script.as_deref()).env("MARU_URL", URL).env("MARU_ROLE", part.role);
        command.env("MARU_STEPS", part.steps.join(",")).env("MARU_PEER", part.peer);
        command.env("MARU_USER", &self.user).env("MARU_PASSWORD", &self.password);
        command
    }
}
