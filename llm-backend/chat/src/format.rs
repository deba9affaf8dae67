//! The required format of a reply.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    decode::{DecodeError, Fields},
    json::Json,
};

/// The required format of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseFormat {
    /// Any text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// The schema's name; `response` if the client gave none.
        name: String,
        /// Its purpose, for the model.
        description: Option<String>,
        /// Whether the reply must follow it exactly.
        strict: Option<bool>,
        /// The JSON Schema.
        schema: Json,
    },
}

impl ResponseFormat {
    /// JSON of this schema, without name and description.
    #[must_use]
    pub fn schema(schema: Json) -> Self {
        Self::JsonSchema { name: "response".to_owned(), description: None, strict: None, schema }
    }

    pub(crate) fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(raw, at)?;
        let kind = fields.text("type")?.ok_or_else(|| fields.missing("type"))?;
        let format = match kind.as_str() {
            "text" => Self::Text,
            // llama-server allows a schema here.
            "json_object" => schema_of(&mut fields, false)?.map_or(Self::JsonObject, Self::schema),
            "json_schema" => {
                let inner =
                    fields.raw("json_schema").ok_or_else(|| fields.missing("json_schema"))?;
                let mut inner = Fields::open(inner, fields.path("json_schema"))?;
                let format = Self::JsonSchema {
                    name: inner.text("name")?.unwrap_or_else(|| "response".to_owned()),
                    description: inner.text("description")?,
                    strict: inner.flag("strict")?,
                    schema: schema_of(&mut inner, true)?.ok_or_else(|| inner.missing("schema"))?,
                };
                inner.finish(&[])?;
                format
            }
            other => return Err(DecodeError::unknown(&format!("{at}.type {other}"))),
        };
        fields.finish(&[])?;
        Ok(format)
    }
}

/// The schema, an object.
fn schema_of(fields: &mut Fields<'_>, required: bool) -> Result<Option<Json>, DecodeError> {
    let Some(raw) = fields.raw("schema") else {
        return if required { Err(fields.missing("schema")) } else { Ok(None) };
    };
    let wrong = |reason: &str| DecodeError::field(fields.path("schema"), reason);
    let schema = Json::from_raw(raw).map_err(|error| wrong(&error.to_string()))?;
    if schema.is_object() { Ok(Some(schema)) } else { Err(wrong("must be an object")) }
}

impl Serialize for ResponseFormat {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Format<'a> {
            r#type: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            json_schema: Option<Schema<'a>>,
        }
        #[derive(Serialize)]
        struct Schema<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
            schema: &'a Json,
        }
        let format = match self {
            Self::Text => Format { r#type: "text", json_schema: None },
            Self::JsonObject => Format { r#type: "json_object", json_schema: None },
            Self::JsonSchema { name, description, strict, schema } => Format {
                r#type: "json_schema",
                json_schema: Some(Schema {
                    name,
                    description: description.as_deref(),
                    strict: *strict,
                    schema,
                }),
            },
        };
        format.serialize(to)
    }
}
