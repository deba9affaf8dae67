//! The sections `ssh` and `sshTests` as they are written.

use crate::{
    error::{Error, Location, Word},
    text::{Item, words},
};

/// An `ssh` rule.
#[derive(Clone, Debug)]
pub(crate) struct SshRule {
    pub(crate) location: Location,
    pub(crate) action: Option<Word>,
    pub(crate) src: Vec<Word>,
    pub(crate) dst: Vec<Word>,
    pub(crate) users: Vec<Word>,
    pub(crate) check_period: Option<Word>,
    pub(crate) accept_env: Vec<Word>,
}

/// An `sshTests` entry.
#[derive(Clone, Debug)]
pub(crate) struct SshTest {
    pub(crate) location: Location,
    pub(crate) src: Option<Word>,
    pub(crate) dst: Vec<Word>,
}

impl SshRule {
    /// Sources and destinations.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        self.src.iter().chain(&self.dst)
    }
}

impl SshTest {
    /// Source and destinations.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        self.src.iter().chain(&self.dst)
    }
}

/// Reads a rule.
pub(super) fn rule(item: &Item<'_>) -> Result<SshRule, Error> {
    let known = ["action", "src", "dst", "users", "checkPeriod", "acceptEnv"];
    let fields = item.fields(&known, false)?;
    let period = fields.get("checkPeriod").filter(|item| !item.is_null());
    Ok(SshRule {
        location: item.location(),
        action: fields.get("action").map(Item::word).transpose()?,
        src: words(&fields, "src")?,
        dst: words(&fields, "dst")?,
        users: words(&fields, "users")?,
        check_period: period.map(Item::word).transpose()?,
        accept_env: words(&fields, "acceptEnv")?,
    })
}

/// Reads a test.
pub(super) fn test(item: &Item<'_>) -> Result<SshTest, Error> {
    let fields = item.fields(&["src", "dst", "accept", "deny", "check"], false)?;
    for users in ["accept", "deny", "check"] {
        words(&fields, users)?;
    }
    let src = fields.get("src").map(Item::word).transpose()?;
    Ok(SshTest { location: item.location(), src, dst: words(&fields, "dst")? })
}
