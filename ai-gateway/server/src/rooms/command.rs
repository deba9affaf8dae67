//! Commands in rooms, which are answered without a model.

use ai_gateway_api::rooms::{Id, RoomMessage};
use messages::{Language, message};

use crate::{
    choices::ModelChoices,
    commands::{self, Verb},
    models::Models,
};

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
    /// The command that a text consists of, perhaps after the AI's name. Those of conversations are texts here.
    #[must_use]
    pub(crate) fn parse(text: &'a str, assistant: &str) -> Option<Self> {
        let commands::Command { verb, argument } =
            commands::parse(without_name(text.trim(), assistant))?.ok()?;
        match verb {
            Verb::Help => Some(Self::Help),
            Verb::Status => Some(Self::Status),
            Verb::Model => Some(Self::Model(argument)),
            Verb::New | Verb::Stop | Verb::Export => None,
        }
    }

    /// Carries out the command and returns its answer, in the language of the room.
    #[must_use]
    pub(crate) fn answer(
        self,
        message: &RoomMessage,
        models: &Models,
        choices: &ModelChoices<Id>,
    ) -> String {
        let (room, language) = (&message.room.id, language(message));
        let answer = match self {
            Self::Help => message!("room-help"),
            Self::Status => {
                let model = commands::current(models, choices.of(room).as_deref());
                let health = commands::health(models, &model);
                message!("room-status", model, health = health.text(language))
            }
            Self::Model(None) => {
                let model = commands::current(models, choices.of(room).as_deref());
                message!("room-models", model, models = commands::list(models))
            }
            Self::Model(Some(name)) => match commands::choose(models, name) {
                Ok((model, chosen)) => {
                    choices.set(room, chosen);
                    message!("room-model", model)
                }
                Err(unknown) => unknown,
            },
        };
        answer.text(language).into_owned()
    }
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
