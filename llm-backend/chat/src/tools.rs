//! Tools that a model may call, and its calls.

use std::fmt;

use common::surrogate::replace_lone_in;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    decode::{DecodeError, Fields, is_text},
    delta::ToolCallDelta,
    json::Json,
};

/// Longest name of a tool, in bytes.
const NAME_MAX: usize = 256;

/// A tool that the model may call: a function of the client. `Debug` prints only its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its description, for the model.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub parameters: Option<Json>,
    /// Whether arguments must follow the schema exactly.
    pub strict: Option<bool>,
}

/// Which tools the model calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// None.
    None,
    /// The model decides.
    Auto,
    /// At least one.
    Required,
    /// This one.
    Function(String),
}

/// A call that the model made. `Debug` does not print the arguments.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The id to which the result refers; empty if the client gave none.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments as JSON text, which models sometimes write invalidly.
    pub arguments: String,
}

impl Tool {
    pub(crate) fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        let (outer, mut function) = function(raw, at)?;
        let name = name(&mut function)?;
        let tool = Self {
            name,
            description: function.text("description")?,
            parameters: match function.raw("parameters") {
                None => None,
                Some(raw) => Some(parameters(raw, &function.path("parameters"))?),
            },
            strict: function.flag("strict")?,
        };
        function.finish(&[])?;
        outer.finish(&["cache_control"])?;
        Ok(tool)
    }
}

fn parameters(raw: &RawValue, at: &str) -> Result<Json, DecodeError> {
    let schema = Json::from_raw(raw).map_err(|error| DecodeError::field(at, error.to_string()))?;
    if schema.is_object() {
        Ok(schema)
    } else {
        Err(DecodeError::field(at, "must be a JSON Schema object"))
    }
}

impl ToolChoice {
    pub(crate) fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        if is_text(raw) {
            return match raw.get() {
                "\"none\"" => Ok(Self::None),
                "\"auto\"" => Ok(Self::Auto),
                "\"required\"" => Ok(Self::Required),
                _ => Err(DecodeError::field(at, "must be none, auto, required or a function")),
            };
        }
        let (outer, mut function) = function(raw, at)?;
        let choice = Self::Function(name(&mut function)?);
        function.finish(&[])?;
        outer.finish(&[])?;
        Ok(choice)
    }
}

impl ToolCall {
    /// Appends a piece of a streamed call.
    pub fn append(&mut self, piece: ToolCallDelta) {
        if self.id.is_empty() {
            self.id = piece.id.unwrap_or_default();
        }
        self.name.push_str(&piece.name.unwrap_or_default());
        self.arguments.push_str(&piece.arguments);
    }

    pub(crate) fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        let (mut outer, mut function) = function(raw, at)?;
        let call = Self {
            id: outer.text("id")?.unwrap_or_default(),
            name: name(&mut function)?,
            // A backend parses this text as JSON, and the JSON may contain escaped surrogates.
            arguments: function.text("arguments")?.map(replace_lone_in).unwrap_or_default(),
        };
        function.leave_out("function");
        outer.leave_out("call");
        Ok(call)
    }
}

/// Opens `{"type": "function", "function": {…}}`.
fn function<'a>(raw: &'a RawValue, at: &str) -> Result<(Fields<'a>, Fields<'a>), DecodeError> {
    let mut outer = Fields::open(raw, at)?;
    if let Some(kind) = outer.text("type")?.filter(|kind| kind != "function") {
        return Err(DecodeError::unknown(&format!("{at}.type {kind}")));
    }
    let inner = outer.raw("function").ok_or_else(|| outer.missing("function"))?;
    let inner = Fields::open(inner, outer.path("function"))?;
    Ok((outer, inner))
}

fn name(function: &mut Fields<'_>) -> Result<String, DecodeError> {
    let name = function.text("name")?.ok_or_else(|| function.missing("name"))?;
    if name.is_empty() || name.len() > NAME_MAX {
        let reason = format!("must have 1 to {NAME_MAX} bytes");
        return Err(DecodeError::field(function.path("name"), reason));
    }
    Ok(name)
}

/// `{"type": "function", "function": …}`.
#[derive(Serialize)]
struct Wrapped<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    r#type: &'static str,
    function: T,
}

impl<T> Wrapped<'_, T> {
    const fn new(function: T) -> Self {
        Self { id: None, r#type: "function", function }
    }
}

impl Serialize for Tool {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            parameters: Option<&'a Json>,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
        }
        Wrapped::new(Function {
            name: &self.name,
            description: self.description.as_deref(),
            parameters: self.parameters.as_ref(),
            strict: self.strict,
        })
        .serialize(to)
    }
}

impl Serialize for ToolChoice {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Name<'a> {
            name: &'a str,
        }
        match self {
            Self::None => to.serialize_str("none"),
            Self::Auto => to.serialize_str("auto"),
            Self::Required => to.serialize_str("required"),
            Self::Function(name) => Wrapped::new(Name { name }).serialize(to),
        }
    }
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        let function = Function { name: &self.name, arguments: &self.arguments };
        Wrapped { id: Some(&self.id), ..Wrapped::new(function) }.serialize(to)
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCall")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
