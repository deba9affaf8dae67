//! The person's memory: what the AI knows of them in every conversation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An operation on the person's own memory.
#[derive(Clone, PartialEq, Eq)]
pub enum MemoryOperation {
    /// Reads a file, or all.
    Read(Option<MemoryName>),
    /// Replaces a file's text; an empty one deletes the file.
    Write {
        /// The file.
        file: MemoryName,
        /// Its new text.
        text: String,
        /// The text that is replaced: if the file has another one by now, nothing changes. Without it, any is.
        was: Option<String>,
    },
    /// Sets whether the AI may add to the memory by itself.
    AiRemembers(bool),
}

/// A file of a person's memory.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFile {
    /// Its name, a [`MemoryName`].
    pub file: String,
    /// Its text; empty if there is no such file.
    pub text: String,
}

/// The name of a file of a person's memory: `MEMORY.md`, `USER.md`, or `memory/YYYY-MM-DD.md`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryName(String);

/// The memory has no file of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the memory's files are MEMORY.md, USER.md and memory/YYYY-MM-DD.md")]
pub struct NotAMemoryName;

impl MemoryName {
    /// What the person says of themselves.
    pub const USER: &str = "USER.md";
    /// What is remembered for good.
    pub const MEMORY: &str = "MEMORY.md";

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file of a day, written as `YYYY-MM-DD`.
    ///
    /// # Errors
    ///
    /// It is not written so.
    pub fn of_day(date: &str) -> Result<Self, NotAMemoryName> {
        let shape = |(index, byte): (usize, u8)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        let is_date = date.len() == 10 && date.bytes().enumerate().all(shape);
        is_date.then(|| Self(format!("memory/{date}.md"))).ok_or(NotAMemoryName)
    }
}

impl FromStr for MemoryName {
    type Err = NotAMemoryName;

    fn from_str(name: &str) -> Result<Self, NotAMemoryName> {
        if [Self::MEMORY, Self::USER].contains(&name) {
            return Ok(Self(name.to_owned()));
        }
        let date = name.strip_prefix("memory/").and_then(|name| name.strip_suffix(".md"));
        Self::of_day(date.ok_or(NotAMemoryName)?)
    }
}

impl fmt::Display for MemoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemoryOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file) => f.debug_tuple("Read").field(file).finish(),
            Self::Write { file, .. } => {
                f.debug_struct("Write").field("file", file).finish_non_exhaustive()
            }
            Self::AiRemembers(on) => f.debug_tuple("AiRemembers").field(on).finish(),
        }
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The fields of the operation besides its name.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct RawMemory {
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
}

impl From<&MemoryOperation> for RawMemory {
    fn from(operation: &MemoryOperation) -> Self {
        let action = |action: &str| Self { action: action.to_owned(), ..Self::default() };
        match operation {
            MemoryOperation::Read(file) => {
                Self { file: file.as_ref().map(ToString::to_string), ..action("read") }
            }
            MemoryOperation::Write { file, text, was } => Self {
                file: Some(file.to_string()),
                text: Some(text.clone()),
                was: was.clone(),
                ..action("write")
            },
            MemoryOperation::AiRemembers(on) => Self { on: Some(*on), ..action("ai_remembers") },
        }
    }
}

impl RawMemory {
    /// The operation; `None` if a field is missing or the action is unknown.
    pub(super) fn into_operation(self) -> Result<Option<MemoryOperation>, NotAMemoryName> {
        let file = self.file.map(|name| name.parse()).transpose()?;
        Ok(match (self.action.as_str(), file) {
            ("read", file) => Some(MemoryOperation::Read(file)),
            ("write", Some(file)) => {
                self.text.map(|text| MemoryOperation::Write { file, text, was: self.was })
            }
            ("ai_remembers", None) => self.on.map(MemoryOperation::AiRemembers),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_memory_and_lead_nowhere_else() {
        for name in ["MEMORY.md", "USER.md", "memory/2026-11-26.md"] {
            assert_eq!(name.parse::<MemoryName>().unwrap().as_str(), name);
        }
        for name in [
            "",
            "memory.md",
            "SOUL.md",
            "../MEMORY.md",
            "memory/../USER.md",
            "memory/2026-11-26",
            "memory/2026-1-26.md",
            "memory/2026/11-26.md",
            "memory/２026-11-26.md",
            "memory/2026-11-26.md\0",
            "people/user-2/USER.md",
        ] {
            assert_eq!(name.parse::<MemoryName>(), Err(NotAMemoryName), "{name}");
        }
    }
}
