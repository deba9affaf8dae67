//! Slash commands: messages that are answered without a model, in conversations and in rooms.

use common::nearest::nearest;
use messages::{Message, message};

use crate::models::{HOUSEHOLD, Models};

/// The commands, and whether a word may follow.
const COMMANDS: [(&str, Verb, bool); 8] = [
    ("/new", Verb::New, false),
    ("/reset", Verb::New, false),
    ("/status", Verb::Status, false),
    ("/model", Verb::Model, true),
    ("/models", Verb::Model, false),
    ("/stop", Verb::Stop, false),
    ("/export", Verb::Export, true),
    ("/help", Verb::Help, false),
];

/// Commands on the memory, which take a text.
const MEMORY: [&str; 3] = ["/remember", "/forget", "/memory"];

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Begins a new conversation; the former one is kept under another name.
    New,
    /// Says which model answers.
    Status,
    /// Lists the models, or chooses one.
    Model,
    /// Ends a reply. An app does it by closing its connection.
    Stop,
    /// Writes the conversation to a file, which is the app's.
    Export,
    /// Lists the commands.
    Help,
}

/// A command with the word after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) verb: Verb,
    pub(crate) argument: Option<&'a str>,
}

/// A word that looks like a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown<'a> {
    name: &'a str,
    /// The command that may be meant.
    nearest: Option<&'static str>,
}

/// All commands: name without the slash, what it does, whether a word may follow.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Verb, bool)> {
    COMMANDS
        .iter()
        .map(|&(name, verb, takes_word)| (name.trim_start_matches('/'), verb, takes_word))
}

/// The command that a message consists of. A message that only begins like one is for the model.
#[must_use]
pub(crate) fn parse(text: &str) -> Option<Result<Command<'_>, Unknown<'_>>> {
    let mut words = text.split_whitespace();
    let (name, argument) = (words.next()?, words.next());
    let letters = name.strip_prefix('/')?;
    if let Some(&(_, verb, takes_word)) = COMMANDS.iter().find(|(known, ..)| *known == name) {
        let fits = words.next().is_none() && (takes_word || argument.is_none());
        return fits.then_some(Ok(Command { verb, argument }));
    }
    if letters.is_empty() || !letters.chars().all(char::is_alphabetic) {
        return None;
    }
    let known = COMMANDS.iter().map(|(known, ..)| *known).chain(MEMORY);
    let nearest = nearest(name, known);
    let unknown = Unknown { name, nearest };
    (nearest.is_some() || argument.is_none()).then_some(Err(unknown))
}

impl Unknown<'_> {
    /// What to say.
    #[must_use]
    pub(crate) fn message(self) -> Message {
        let Self { name, nearest } = self;
        match nearest {
            Some(nearest) => message!("command-near", name, nearest),
            None => message!("command-unknown", name),
        }
    }
}

/// The model that answers where `chosen` was chosen, as text.
#[must_use]
pub(crate) fn current(models: &Models, chosen: Option<&str>) -> String {
    models.choose(chosen).map(|chain| chain.first.to_string()).unwrap_or_default()
}

/// Whether a model answers at present.
#[must_use]
pub(crate) fn health(models: &Models, model: &str) -> Message {
    let answers = models.describe().iter().any(|it| it.answers && it.name.to_string() == model);
    if answers { message!("model-well") } else { message!("model-unwell") }
}

/// The models, one a line.
#[must_use]
pub(crate) fn list(models: &Models) -> String {
    let names: Vec<_> = models.list().iter().map(|(model, _)| format!("- {model}")).collect();
    names.join("\n")
}

/// Chooses the model of this name; returns its name, and what to remember: nothing for the household's AI, which `default`
/// chooses again.
///
/// # Errors
///
/// There is no such model.
pub(crate) fn choose(models: &Models, name: &str) -> Result<(String, Option<String>), Message> {
    let name = if name == "default" { HOUSEHOLD } else { name };
    let chain = models.choose(Some(name)).map_err(|_| message!("model-unknown"))?;
    let model = chain.first.to_string();
    Ok((model.clone(), (!chain.household).then_some(model)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(verb: Verb, argument: Option<&str>) -> Option<Result<Command<'_>, Unknown<'_>>> {
        Some(Ok(Command { verb, argument }))
    }

    #[test]
    fn a_command_is_the_whole_message() {
        assert_eq!(parse("/new"), command(Verb::New, None));
        assert_eq!(parse(" /reset\n"), command(Verb::New, None));
        assert_eq!(parse("/model"), command(Verb::Model, None));
        assert_eq!(parse("/model a/b"), command(Verb::Model, Some("a/b")));
        for text in [
            "",
            "/",
            "help",
            "/help me",
            "/model a b",
            "say /help",
            "/usr/bin is",
            "/etc is full",
            "/1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_slip_names_the_nearest_command() {
        let unknown = |text| parse(text).unwrap().unwrap_err();

        assert_eq!(unknown("/modle a/b").nearest, Some("/model"));
        assert_eq!(unknown("/HELP").nearest, Some("/help"));
        assert_eq!(unknown("/frobnicate").nearest, None);
        let said = unknown("/stauts").message().to_string();
        assert!(said.contains("/stauts") && said.contains("/status"), "{said}");
    }
}
