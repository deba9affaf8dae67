//! What the AI says by itself, in the language of the room's people.
//!
//! Rooms have no language. Names in Hangul say that people read Korean; without any, what everybody has to understand is said in
//! both languages. A mark at a reply has the language of the reply.

use messages::{Language, Message, message};
use telmeet_api::participant::Fingerprint;

/// Whether a text has Hangul.
fn is_korean(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}'))
}

fn language_of(text: &str) -> Language {
    if is_korean(text) { Language::Korean } else { Language::English }
}

/// The first message in a room: that the AI reads it, and how its device is recognised. `names` are those of the room and
/// its people.
#[must_use]
pub fn told<'a>(fingerprint: &Fingerprint, names: impl IntoIterator<Item = &'a str>) -> String {
    let key = fingerprint.grouped_key();
    let told = message!("room-told", device = fingerprint.device_id, key);
    if names.into_iter().any(is_korean) {
        return told.text(Language::Korean).into_owned();
    }
    format!("{}\n\n{}", told.text(Language::English), told.text(Language::Korean))
}

/// Said in place of a reply to this message.
#[must_use]
pub fn unanswered(question: &str) -> String {
    message!("room-unanswered").text(language_of(question)).into_owned()
}

/// A reply that is not complete, marked as cut.
#[must_use]
pub fn cut(reply: &str) -> String {
    marked(reply, &message!("room-cut"))
}

/// A reply that somebody stopped, marked as such.
#[must_use]
pub fn stopped(reply: &str) -> String {
    marked(reply, &message!("room-stopped"))
}

fn marked(reply: &str, mark: &Message) -> String {
    let mark = mark.text(language_of(reply));
    let reply = reply.trim_end();
    if reply.is_empty() { mark.into_owned() } else { format!("{reply} {mark}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint() -> Fingerprint {
        Fingerprint {
            user_id: "@maru:maru.test".to_owned(),
            device_id: "DEVICE".to_owned(),
            device_key: "abcdefghij".to_owned(),
            master_key: "m".to_owned(),
        }
    }

    #[test]
    fn a_room_is_told_in_its_peoples_language_or_in_both() {
        let korean = told(&fingerprint(), ["Kitchen", "민아"]);
        assert!(korean.contains("AI입니다") && !korean.contains("home machine"), "{korean}");
        let both = told(&fingerprint(), ["Kitchen", "mina"]);
        assert!(both.contains("AI입니다") && both.contains("home machine"), "{both}");
        assert!(both.contains("DEVICE") && both.contains("abcd efgh ij"), "{both}");
    }

    #[test]
    fn a_mark_has_the_language_of_the_reply() {
        assert_eq!(cut("Two eggs "), "Two eggs … (cut off)");
        assert_eq!(stopped("달걀 두 개"), "달걀 두 개 … (중지함)");
        assert_eq!(cut(""), "… (cut off)");
        assert_ne!(unanswered("뭐 먹지?"), unanswered("What?"));
    }
}
