//! The owner of private data in a service.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The owner of private data in a service. As text, also in JSON: `user:<id>`, `node:<stable id>`, `app:<name>`
/// or `room:<id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Person {
    /// A user of the network, by a number that is never reused.
    User(u64),
    /// A tagged node, by its stable id.
    Node(String),
    /// A program that the service authenticates by an API key. No header contains one, so it never equals a member.
    App(String),
    /// A room of several people, by its id. No header contains one.
    Room(String),
}

/// The text is not a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a person: that is `user:<number>`, `node:<stable id>`, `app:<name>` or `room:<id>`")]
pub struct NotAPerson;

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Node(id) => write!(f, "node:{id}"),
            Self::App(name) => write!(f, "app:{name}"),
            Self::Room(id) => write!(f, "room:{id}"),
        }
    }
}

impl FromStr for Person {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let person = match text.split_once(':').ok_or(NotAPerson)? {
            ("user", id) => Self::User(id.parse().map_err(|_| NotAPerson)?),
            ("node", id) if !id.is_empty() => Self::Node(id.to_owned()),
            ("app", name) if !name.is_empty() => Self::App(name.to_owned()),
            ("room", id) if !id.is_empty() => Self::Room(id.to_owned()),
            _ => return Err(NotAPerson),
        };
        // The form is unique: `user:07` is invalid.
        if person.to_string() == text { Ok(person) } else { Err(NotAPerson) }
    }
}

impl Serialize for Person {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Person {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
