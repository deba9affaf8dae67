//! Help texts: in English the doc comments of the arguments, in Korean the catalogue's.

use clap::{Arg, Command, CommandFactory as _};
use messages::Language;

use crate::args::Cli;

/// The command line, with its help in the current language.
#[must_use]
pub(crate) fn command() -> Command {
    in_language(Language::current())
}

/// The command line, with its help in a language.
pub(crate) fn in_language(language: Language) -> Command {
    let mut command = Cli::command();
    if language == Language::English {
        return command;
    }
    // Adds global arguments and `--help` to every command first.
    command.build();
    in_korean(command, "maru", &messages::help("maru-any", None).unwrap_or_default())
}

/// Replaces the help of a command, of its arguments and of those below it. `headings` are those of a help text.
fn in_korean(command: Command, path: &str, headings: &str) -> Command {
    let mut parts = headings.split('|').map(|part| part.trim().to_owned());
    let [usage, commands, positional, options] =
        std::array::from_fn(|_| parts.next().unwrap_or_default());
    let template = format!("{{about-with-newline}}\n{usage}: {{usage}}\n\n{{all-args}}");
    let about = messages::help(path, None).unwrap_or_default();
    let mut command = command.help_template(template).subcommand_help_heading(commands);
    if let Some((short, _)) = about.split_once("\n\n") {
        command = command.about(short.to_owned()).long_about(about);
    } else {
        command = command.about(about);
    }
    let command = command.mut_args(|arg| {
        let heading = match (arg.get_help_heading(), arg.is_positional()) {
            (Some(_), _) => messages::help("maru-any", Some("heading")).unwrap_or_default(),
            (None, true) => positional.clone(),
            (None, false) => options.clone(),
        };
        let explains =
            |arg: &Arg| arg.get_possible_values().iter().any(|it| it.get_help().is_some());
        // The text of the argument explains them.
        let hides = explains(&arg);
        let help = messages::help(path, Some(arg.get_id().as_str())).unwrap_or_default();
        arg.help(help.clone()).long_help(help).help_heading(heading).hide_possible_values(hides)
    });
    command.mut_subcommands(|below| {
        if below.get_name() == "help" {
            return below.about(messages::help("maru-help", None).unwrap_or_default());
        }
        let path = format!("{path}-{}", below.get_name());
        in_korean(below, &path, headings)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Commands and arguments, as the catalogue names them; each must have a help text in Korean.
    fn keys(command: &Command, path: &str, keys: &mut BTreeSet<String>) {
        let is_korean = |text: Option<&clap::builder::StyledStr>, name: &str| {
            let text = text.map(ToString::to_string).unwrap_or_default();
            assert!(text.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c)), "{name}: {text}");
        };
        is_korean(command.get_about(), path);
        keys.insert(path.to_owned());
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            is_korean(argument.get_help(), &format!("{path}.{name}"));
            keys.extend([format!("{path}.{name}"), format!("maru-any.{name}")]);
        }
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            self::keys(below, &format!("{path}-{}", below.get_name()), keys);
        }
    }

    #[test]
    fn every_command_and_argument_has_a_help_text_in_korean_and_none_is_left_over() {
        let mut known =
            BTreeSet::from(["maru-any", "maru-any.heading", "maru-help"].map(str::to_owned));
        keys(&in_language(Language::Korean), "maru", &mut known);

        let mut id = "";
        for line in include_str!("../../messages/ko/help.ftl").lines() {
            let Some((name, _)) = line.split_once(" =") else { continue };
            let key = match name.strip_prefix("    .") {
                Some(attribute) => format!("{id}.{attribute}"),
                None => {
                    id = name;
                    name.to_owned()
                }
            };
            assert!(known.contains(&key), "{key}");
        }
    }
}
