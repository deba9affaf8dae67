//! Messages of a conversation.
//!
//! Unknown fields of a message, a part or a call are ignored: SDKs and agents send back fields that they received, and
//! add their own to messages. The log names each such field once.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

use crate::{
    decode::{DecodeError, Fields, List, is_text},
    image::{Detail, Image},
    tools::ToolCall,
};

/// Most parts of one message.
const PARTS_MAX: usize = 256;
/// Most calls in one message.
const CALLS_MAX: usize = 128;

/// The author of a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the conversation.
    #[serde(alias = "developer")]
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool that the model called.
    Tool,
}

impl Role {
    /// The role's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a conversation. `Debug` does not print its text.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its author.
    pub role: Role,
    /// Its content.
    pub content: Content,
    /// The model's thoughts before the message; empty if there are none or they are unknown.
    #[serde(rename = "reasoning_content", skip_serializing_if = "String::is_empty")]
    pub thinking: String,
    /// Tools that the model called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call whose result this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Name of the tool whose result this is, or of the author among several people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The content of a message. Decodes from a string, from null (empty), or from a list of parts; parts that are all text
/// are joined.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Text only.
    Text(String),
    /// Text and images, in this order.
    Parts(Vec<Part>),
}

/// A part of a message.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(String),
    /// An image.
    Image(Image),
}

impl Message {
    /// Makes a message.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role,
            content: content.into(),
            thinking: String::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        }
    }

    /// A message of the person.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Instructions for the conversation.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// Its approximate size in bytes: text, images, calls.
    #[must_use]
    pub fn size(&self) -> usize {
        let calls = self.tool_calls.iter().map(|call| call.name.len() + call.arguments.len());
        self.content.size() + self.thinking.len() + calls.sum::<usize>()
    }

    pub(crate) fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(raw, at)?;
        let role = fields.take("role", "system, developer, user, assistant or tool")?;
        let role = role.ok_or_else(|| fields.missing("role"))?;
        let content = fields.raw("content");
        let content = content.map(|raw| Content::read(raw, &fields.path("content")));
        let thinking = fields.text("reasoning_content")?;
        let calls = fields.list::<CALLS_MAX>("tool_calls")?;
        let calls = calls.iter().map(|(at, raw)| ToolCall::read(raw, at));
        let message = Self {
            role,
            content: content.transpose()?.unwrap_or_default(),
            // The field's name in vLLM and OpenRouter.
            thinking: thinking.or(fields.text("reasoning")?).unwrap_or_default(),
            tool_calls: calls.collect::<Result<_, _>>()?,
            tool_call_id: fields.text("tool_call_id")?,
            name: fields.text("name")?,
        };
        fields.leave_out("message");
        Ok(message)
    }
}

impl Content {
    /// The text of all parts.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => Cow::Owned(
                parts
                    .iter()
                    .filter_map(|part| match part {
                        Part::Text(text) => Some(text.as_str()),
                        Part::Image(_) => None,
                    })
                    .collect(),
            ),
        }
    }

    /// The images, in their order.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        let parts = match self {
            Self::Text(_) => &[],
            Self::Parts(parts) => parts.as_slice(),
        };
        parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Image(image) => Some(image),
        })
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Bytes of its text and of its images' base64.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.len(),
                    Part::Image(image) => image.base64().len(),
                })
                .sum(),
        }
    }

    fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        let reason = || format!("must be a string, or a list of at most {PARTS_MAX} parts");
        let wrong = |_| DecodeError::field(at, reason());
        if is_text(raw) {
            return serde_json::from_str(raw.get()).map(Self::Text).map_err(wrong);
        }
        let List::<PARTS_MAX>(parts) = serde_json::from_str(raw.get()).map_err(wrong)?;
        let parts = parts.iter().enumerate();
        let parts = parts.map(|(index, raw)| Part::read(raw, &format!("{at}[{index}]")));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let content = Self::Parts(parts);
        if content.images().next().is_some() {
            return Ok(content);
        }
        Ok(Self::Text(content.text().into_owned()))
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Part {
    fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(raw, at)?;
        let kind = fields.text("type")?.ok_or_else(|| fields.missing("type"))?;
        let part = match kind.as_str() {
            "text" => Self::Text(fields.text("text")?.ok_or_else(|| fields.missing("text"))?),
            "image_url" => Self::Image(image(&mut fields)?),
            other => return Err(DecodeError::unknown(&format!("{at}.type {other}"))),
        };
        fields.leave_out("part");
        Ok(part)
    }
}

/// `{"url": "data:…", "detail": "low"}`, or only the URL.
fn image(part: &mut Fields<'_>) -> Result<Image, DecodeError> {
    let raw = part.raw("image_url").ok_or_else(|| part.missing("image_url"))?;
    let at = part.path("image_url");
    if is_text(raw) {
        let url = serde_json::from_str(raw.get()).map_err(DecodeError::Json)?;
        return Image::from_data_url(url).map_err(|why| DecodeError::field(at, why.to_string()));
    }
    let mut fields = Fields::open(raw, at)?;
    let url = fields.text("url")?.ok_or_else(|| fields.missing("url"))?;
    let wrong = |reason: &str| DecodeError::field(fields.path("url"), reason);
    let mut image = Image::from_data_url(url).map_err(|why| wrong(&why.to_string()))?;
    if let Some(word) = fields.text("detail")? {
        let detail = Detail::parse(&word);
        image.detail = Some(detail.ok_or_else(|| {
            DecodeError::field(fields.path("detail"), "must be auto, low or high")
        })?);
    }
    fields.leave_out("image");
    Ok(image)
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Parts(parts) => parts.serialize(to),
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Wire<'a> {
            Text { text: &'a str },
            ImageUrl { image_url: Url },
        }
        #[derive(Serialize)]
        struct Url {
            url: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'static str>,
        }
        let wire = match self {
            Self::Text(text) => Wire::Text { text },
            Self::Image(image) => {
                let detail = image.detail.map(Detail::as_str);
                Wire::ImageUrl { image_url: Url { url: image.to_data_url(), detail } }
            }
        };
        wire.serialize(to)
    }
}

/// From text in memory only, because it borrows the JSON.
impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        Self::read(raw, "message").map_err(D::Error::custom)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role)
            .field("content", &self.content)
            .field("tool_calls", &self.tool_calls)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("[redacted]"),
            Self::Parts(parts) => parts.fmt(f),
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("[redacted]"),
            Self::Image(image) => image.fmt(f),
        }
    }
}
