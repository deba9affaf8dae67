//! Commands on the memory, which are answered without a model.

use std::sync::Arc;

use mesh_identity::Person;
use messages::{Message, message};

use super::{FORGET_MIN, LINE_MAX, forget, read, remember};
use crate::{App, sessions::NotKept};

/// A command on the memory of whoever gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryCommand<'a> {
    /// `/remember TEXT`.
    Remember(&'a str),
    /// `/forget TEXT`.
    Forget(&'a str),
    /// `/memory`.
    Show,
    /// `/memory on` and `/memory off`: whether the AI may add to it by itself.
    AiRemembers(bool),
}

impl<'a> MemoryCommand<'a> {
    /// The command that a text consists of.
    #[must_use]
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (command, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match (command, rest.trim()) {
            ("/remember", text) => Some(Self::Remember(text)),
            ("/forget", text) => Some(Self::Forget(text)),
            ("/memory", "on") => Some(Self::AiRemembers(true)),
            ("/memory", "off") => Some(Self::AiRemembers(false)),
            ("/memory", _) => Some(Self::Show),
            _ => None,
        }
    }

    /// Carries out the command; returns what to say.
    pub(crate) async fn carry_out(
        self,
        app: &Arc<App>,
        person: &Person,
    ) -> Result<Message, NotKept> {
        match self {
            Self::Remember(text) => add(app, person, text).await,
            Self::Forget(text) => remove(app, person, text).await,
            Self::Show => show(app, person).await,
            Self::AiRemembers(on) => {
                app.sessions.set_ai_remembers(person, on).await?;
                Ok(if on { message!("memory-on") } else { message!("memory-off") })
            }
        }
    }
}

async fn add(app: &Arc<App>, person: &Person, text: &str) -> Result<Message, NotKept> {
    if text.is_empty() || text.chars().count() > LINE_MAX {
        return Ok(message!("memory-remember-usage", most = LINE_MAX));
    }
    remember(app, person, text).await?;
    Ok(message!("memory-remembered"))
}

async fn remove(app: &Arc<App>, person: &Person, text: &str) -> Result<Message, NotKept> {
    if text.chars().count() < FORGET_MIN {
        return Ok(message!("memory-forget-usage", least = FORGET_MIN));
    }
    // What stands in the workspace's folder of the person would otherwise be in the memory again with the next question.
    read(app, person).await?;
    let removed = forget(app, person, text).await?;
    if removed.is_empty() {
        return Ok(message!("memory-no-match"));
    }
    Ok(message!("memory-forgotten", lines = removed.join("\n")))
}

async fn show(app: &Arc<App>, person: &Person) -> Result<Message, NotKept> {
    let Some(memory) = read(app, person).await? else { return Ok(message!("memory-none")) };
    let names: Vec<_> = memory.names().map(|name| format!("- {name}")).collect();
    Ok(match (names.is_empty(), memory.ai_remembers()) {
        (true, false) => message!("memory-empty"),
        (true, true) => message!("memory-empty-on"),
        (false, false) => message!("memory-files", files = names.join("\n")),
        (false, true) => message!("memory-files-on", files = names.join("\n")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_what_is_asked() {
        for (text, command) in [
            (" /remember I like tea \n", Some(MemoryCommand::Remember("I like tea"))),
            ("/remember", Some(MemoryCommand::Remember(""))),
            ("/forget tea", Some(MemoryCommand::Forget("tea"))),
            ("/memory", Some(MemoryCommand::Show)),
            ("/memory on", Some(MemoryCommand::AiRemembers(true))),
            ("/memory off", Some(MemoryCommand::AiRemembers(false))),
            ("/memory maybe", Some(MemoryCommand::Show)),
            ("/remembering", None),
            ("Do you /remember me?", None),
            ("remember tea", None),
        ] {
            assert_eq!(MemoryCommand::parse(text), command, "{text:?}");
        }
    }
}
