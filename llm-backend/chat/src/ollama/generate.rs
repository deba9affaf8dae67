//! `POST /api/generate`.

use super::request::{Common, HARMLESS, TextRequest, images};
use crate::{
    completion::Completion,
    decode::{DecodeError, Fields},
    message::{Content, Message, Part, Role},
};

pub(super) fn read(mut fields: Fields<'_>) -> Result<TextRequest, DecodeError> {
    let mut common = Common::read(&mut fields)?;
    let prompt = fields.text("prompt")?.unwrap_or_default();
    let system = fields.text("system")?.unwrap_or_default();
    let images = images(&mut fields)?;
    let raw = fields.flag("raw")?.unwrap_or_default();
    let suffix = fields.text("suffix")?.filter(|suffix| !suffix.is_empty());
    // Ollama would silently ignore these.
    for (name, refused, beside) in [
        ("system", !system.is_empty() && raw, "a raw prompt"),
        ("suffix", suffix.is_some() && raw, "a raw prompt"),
        ("system", !system.is_empty() && suffix.is_some(), "a suffix"),
        ("images", !images.is_empty() && suffix.is_some(), "a suffix"),
    ] {
        if refused {
            return Err(DecodeError::field(name, format!("must not be combined with {beside}")));
        }
    }
    // Clients send these two empty.
    if fields.text("template")?.is_some_and(|template| !template.is_empty()) {
        return Err(DecodeError::unknown("template"));
    }
    if fields.raw("context").is_some_and(|context| context.get() != "[]") {
        return Err(DecodeError::field(
            "context",
            "is not supported: send the conversation to /api/chat",
        ));
    }
    fields.finish(&HARMLESS)?;
    if prompt.is_empty() && images.is_empty() && suffix.is_none() {
        return Ok(common.idle());
    }
    common.request.completion =
        if raw { Some(Completion::Raw) } else { suffix.map(Completion::Insert) };
    if !system.is_empty() {
        common.request.messages.push(Message::system(system));
    }
    let content = if images.is_empty() {
        Content::Text(prompt)
    } else {
        let images = images.into_iter().map(Part::Image);
        Content::Parts([Part::Text(prompt)].into_iter().chain(images).collect())
    };
    common.request.messages.push(Message::new(Role::User, content));
    Ok(TextRequest::Ask(Box::new(common.request)))
}
