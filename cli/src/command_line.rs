//! Parses the command line that was typed.
//!
//! What is wrong with it is said in the current language: in English by `clap`, in Korean by the catalogue. A kind of error
//! that is not known here keeps the text of `clap`.

use std::error::Error as _;

use clap::{
    Error, FromArgMatches as _,
    error::{ContextKind, ContextValue, ErrorKind},
};
use messages::{Language, Message, message};

use crate::{args::Cli, help, output};

/// The title of the usage in a text of `clap`.
const USAGE: &str = "Usage: ";

/// Parses the command line of this process. Help, the version and errors are printed, and end the process.
pub(crate) fn parse() -> Cli {
    let matches = help::command().try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).unwrap_or_else(|error| {
        let language = Language::current();
        match text(&error, language).filter(|_| language != Language::English) {
            Some(text) => {
                output::note(text);
                std::process::exit(error.exit_code())
            }
            None => error.exit(),
        }
    })
}

/// The text of an error in a language, if its kind is known here. In English it is what `clap` prints.
fn text(error: &Error, language: Language) -> Option<String> {
    let mut paragraphs = vec![
        message!("usage-error", problem = problem(error)?.text(language)).text(language).into(),
    ];
    let tips: Vec<_> = tips(error)
        .map(|tip| message!("usage-tip", tip = tip.text(language)).text(language).into_owned())
        .collect();
    paragraphs.extend((!tips.is_empty()).then(|| tips.join("\n")));
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
        let usage = usage.to_string();
        let usage = usage.strip_prefix(USAGE).unwrap_or(&usage);
        paragraphs.push(message!("usage", usage).text(language).into_owned());
    }
    paragraphs.push(message!("usage-help").text(language).into_owned());
    Some(paragraphs.join("\n\n"))
}

/// What is wrong.
fn problem(error: &Error) -> Option<Message> {
    let one = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = one(ContextKind::InvalidArg);
    let value = one(ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::UnknownArgument => message!("unknown-argument", argument = argument?),
        ErrorKind::InvalidSubcommand => {
            message!("unknown-command", command = one(ContextKind::InvalidSubcommand)?)
        }
        ErrorKind::MissingRequiredArgument => {
            message!("arguments-missing", arguments = lines(&all(error, ContextKind::InvalidArg)))
        }
        ErrorKind::ArgumentConflict => {
            let (argument, others) = (argument?, all(error, ContextKind::PriorArg));
            match &*others {
                [other] if other == argument => message!("argument-repeated", argument),
                [other] => message!("arguments-conflict", argument, other),
                _ => message!("arguments-conflict-all", argument, others = lines(&others)),
            }
        }
        ErrorKind::InvalidValue => {
            let (argument, value) = (argument?, value?);
            let values = all(error, ContextKind::ValidValue).join(", ");
            match (value.is_empty(), values.is_empty()) {
                (true, true) => message!("value-missing", argument),
                (true, false) => message!("value-missing-of", argument, values),
                (false, _) => message!("value-not-of", argument, value, values),
            }
        }
        ErrorKind::ValueValidation => {
            let (argument, value, reason) = (argument?, value?, error.source()?);
            message!("value-wrong", argument, value, reason)
        }
        ErrorKind::TooManyValues => {
            message!("value-too-many", argument = argument?, value = value?)
        }
        ErrorKind::NoEquals
        | ErrorKind::TooFewValues
        | ErrorKind::WrongNumberOfValues
        | ErrorKind::MissingSubcommand
        | ErrorKind::InvalidUtf8
        | ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion
        | ErrorKind::Io
        | ErrorKind::Format
        | _ => return None,
    })
}

/// What may have been meant.
fn tips(error: &Error) -> impl Iterator<Item = Message> {
    let similar =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    similar.into_iter().filter_map(|kind| {
        let similar = all(error, kind);
        let names = similar.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        Some(match (kind, similar.len()) {
            (_, 0) => return None,
            (ContextKind::SuggestedSubcommand, 1) => message!("similar-command", names),
            (ContextKind::SuggestedSubcommand, _) => message!("similar-commands", names),
            (ContextKind::SuggestedArg, _) => message!("similar-argument", names),
            _ => message!("similar-value", names),
        })
    })
}

/// The texts of a kind, one or several.
fn all(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// Each text on a line of its own.
fn lines(texts: &[String]) -> String {
    texts.iter().map(|text| format!("\n  {text}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Command lines with an error of each kind that is known here.
    const WRONG: &[&[&str]] = &[
        &["frob"],
        &["devise", "list"],
        &["up", "--frob"],
        &["up", "--verbos"],
        &["up", "--address"],
        &["up", "--threads", "600"],
        &["up", "--threads", "many"],
        &["up", "--verbose", "--verbose"],
        &["up", "--verbose=1"],
        &["status", "--output"],
        &["status", "--output", "jsn"],
        &["invite"],
        &["policy", "explain"],
        &["device", "frob"],
        &["chat", "--ask", "x", "y"],
        &["chat", "--history", "--ask", "x", "y"],
        &["chat", "--format", "json", "x"],
        &["key", "create", "--expires", "soon"],
    ];

    fn errors(language: Language) -> impl Iterator<Item = (String, Error)> {
        WRONG.iter().map(move |args| {
            let command = help::in_language(language);
            let error = command.try_get_matches_from([&["maru"], *args].concat()).unwrap_err();
            (args.join(" "), error)
        })
    }

    #[test]
    fn an_error_reads_in_english_as_claps_own() {
        for (args, error) in errors(Language::English) {
            let own = text(&error, Language::English);
            assert_eq!(own.as_deref(), Some(error.to_string().trim_end()), "maru {args}");
        }
    }

    #[test]
    fn an_error_is_korean() {
        let texts = errors(Language::Korean).map(|(args, error)| {
            format!("$ maru {args}\n{}\n", text(&error, Language::Korean).unwrap_or_default())
        });
        insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n"));
    }
}
