//! The catalogue of messages: what Maru says to people, in English and Korean.
//!
//! The texts are in `en/*.ftl` and `ko/*.ftl`, in the format of Project Fluent. A message is made with [`message!`]. The test
//! `catalogue` compares both languages, and every use in the workspace's sources with the catalogue.
#![forbid(unsafe_code)]

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

mod catalogue;
mod language;

pub use catalogue::{help, problem};
pub use language::Language;

/// A message of the catalogue with its arguments, or a text that is the same in every language.
///
/// It is shown in the [current language](Language::current), and serialized in English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Content);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Catalogue { id: Cow<'static, str>, arguments: Vec<(Cow<'static, str>, String)> },
    Verbatim(String),
}

/// Makes a [`Message`]: the id, then each argument as `name = value`, or `name` for a variable of that name.
#[macro_export]
macro_rules! message {
    (@ $name:ident) => { $name.to_string() };
    (@ $name:ident $value:expr) => { ($value).to_string() };
    ($id:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::Message::new(
            $id,
            vec![$((stringify!($name).into(), $crate::message!(@ $name $($value)?))),*],
        )
    };
}

impl Message {
    /// What [`message!`] calls: it alone is compared with the catalogue.
    #[doc(hidden)]
    #[must_use]
    pub fn new(id: &'static str, arguments: Vec<(Cow<'static, str>, String)>) -> Self {
        Self(Content::Catalogue { id: id.into(), arguments })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self, language: Language) -> Cow<'_, str> {
        match &self.0 {
            Content::Catalogue { id, arguments } => {
                catalogue::format(language, id, None, arguments).unwrap_or_default().into()
            }
            Content::Verbatim(text) => text.into(),
        }
    }

    /// The text of one of its attributes, if it has that.
    #[must_use]
    pub fn attribute(&self, name: &str, language: Language) -> Option<String> {
        match &self.0 {
            Content::Catalogue { id, arguments } => {
                catalogue::format(language, id, Some(name), arguments)
            }
            Content::Verbatim(_) => None,
        }
    }

    /// Its id and arguments, if it is of the catalogue.
    #[must_use]
    pub fn into_parts(self) -> Option<(String, BTreeMap<String, String>)> {
        match self.0 {
            Content::Catalogue { id, arguments } => {
                let arguments = arguments.into_iter().map(|(name, value)| (name.into(), value));
                Some((id.into(), arguments.collect()))
            }
            Content::Verbatim(_) => None,
        }
    }

    /// The parts of a text that has several, such as the heads of a table, in the current language.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        self.text(Language::current()).split('|').map(|part| part.trim().to_owned()).collect()
    }
}

/// A text that is not in the catalogue, such as another program's.
impl<T: Into<String>> From<T> for Message {
    fn from(text: T) -> Self {
        Self(Content::Verbatim(text.into()))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text(Language::current()))
    }
}

impl std::error::Error for Message {}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text(Language::English))
    }
}
