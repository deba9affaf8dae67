//! Commands in rooms, which are answered without a model.

use ai_gateway_api::rooms::RoomMessage;
use messages::{Language, Message, message};

use super::models::ModelChoices;
use crate::models::{HOUSEHOLD, Models};

/// The argument of `/model` that chooses the household's AI again.
const DEFAULT: &str = "default";

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// `/help`.
    Help,
    /// `/status`.
    Status,
    /// `/model`, `/model NAME`.
    Model(Option<&'a str>),
}

impl<'a> Command<'a> {
    /// The command that a text consists of, perhaps after the AI's name.
    #[must_use]
    pub(crate) fn parse(text: &'a str, assistant: &str) -> Option<Self> {
        let mut words = without_name(text.trim(), assistant).split_whitespace();
        match (words.next()?, words.next(), words.next()) {
            ("/help", None, None) => Some(Self::Help),
            ("/status", None, None) => Some(Self::Status),
            ("/model" | "/models", name, None) => Some(Self::Model(name)),
            _ => None,
        }
    }

    /// Carries out the command and returns its answer, in the language of the room.
    #[must_use]
    pub(crate) fn answer(
        self,
        message: &RoomMessage,
        models: &Models,
        choices: &ModelChoices,
    ) -> String {
        let room = &message.room.id;
        let answer = match self {
            Self::Help => message!("room-help"),
            Self::Status => {
                let model = current(models, choices.of(room).as_deref());
                let answers =
                    models.describe().iter().any(|it| it.answers && it.name.to_string() == model);
                let health = if answers { message!("room-well") } else { message!("room-unwell") };
                let language = language(message);
                return message!("room-status", model, health = health.text(language))
                    .text(language)
                    .into_owned();
            }
            Self::Model(None) => {
                let model = current(models, choices.of(room).as_deref());
                let names: Vec<_> =
                    models.list().iter().map(|(model, _)| format!("- {model}")).collect();
                message!("room-models", model, models = names.join("\n"))
            }
            Self::Model(Some(name)) => {
                let name = if name == DEFAULT { HOUSEHOLD } else { name };
                match models.choose(Some(name)) {
                    Ok(chain) => {
                        let model = chain.first.to_string();
                        choices.set(room, (!chain.household).then(|| model.clone()));
                        message!("room-model", model)
                    }
                    Err(_) => message!("room-model-unknown"),
                }
            }
        };
        text(&answer, message)
    }
}

fn text(answer: &Message, message: &RoomMessage) -> String {
    answer.text(language(message)).into_owned()
}

/// The model that answers in a room.
fn current(models: &Models, chosen: Option<&str>) -> String {
    models.choose(chosen).map(|chain| chain.first.to_string()).unwrap_or_default()
}

/// The text after the AI's name, if it begins with that.
fn without_name<'a>(text: &'a str, assistant: &str) -> &'a str {
    let bare = text.strip_prefix('@').unwrap_or(text);
    match bare.split_at_checked(assistant.len()) {
        Some((name, rest)) if name.to_lowercase() == assistant.to_lowercase() => {
            rest.trim_start_matches([':', ',']).trim_start()
        }
        Some(_) | None => text,
    }
}

/// Rooms have no language: Hangul in names or messages says that people read Korean.
fn language(message: &RoomMessage) -> Language {
    let RoomMessage { room, sender, text, recent, .. } = message;
    let mut texts = recent.iter().map(|it| &it.text).chain([&sender.name, text]).chain(&room.name);
    let is_hangul = |c: char| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}');
    if texts.any(|text| text.contains(is_hangul)) { Language::Korean } else { Language::English }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_is_the_whole_text_perhaps_after_the_ais_name() {
        let parse = |text| Command::parse(text, "Maru");
        for text in ["/help", " /help\n", "Maru: /help", "@maru, /help", "MARU /help"] {
            assert_eq!(parse(text), Some(Command::Help), "{text}");
        }
        assert_eq!(parse("/status"), Some(Command::Status));
        assert_eq!(parse("Maru /model"), Some(Command::Model(None)));
        assert_eq!(parse("/model a/b"), Some(Command::Model(Some("a/b"))));
        for text in [
            "",
            "help",
            "/helpme",
            "/help me",
            "/model a b",
            "say /help",
            "/usr/bin is",
            "Marux: no",
            "마루 /help",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(Command::parse("마루: /help", "마루"), Some(Command::Help));
    }

    #[test]
    fn hangul_anywhere_makes_the_answer_korean() {
        let language = |name: &str, text: &str, recent: &str| {
            let body = json!({
                "version": 1, "event_id": "$e", "room": {"id": "!r", "name": name}, "sender": {"id": "@a"},
                "text": text, "recent": [{"event_id": "$f", "sender": {"id": "@a"}, "text": recent}],
            });
            language(&RoomMessage::decode(body.to_string()).unwrap())
        };
        assert_eq!(language("Kitchen", "/help", "hi"), Language::English);
        for (name, text, recent) in [
            ("부엌", "/help", "hi"),
            ("Kitchen", "마루: /help", "hi"),
            ("Kitchen", "/help", "안녕"),
        ] {
            assert_eq!(language(name, text, recent), Language::Korean);
        }
    }
}
