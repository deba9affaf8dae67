//! `POST /api/generate`.

use super::{Common, Extras, HARMLESS, TextRequest, images};
use crate::chat::{Content, DecodeError, Message, Part, Role, decode::Fields};

pub(super) fn read(mut fields: Fields<'_>) -> Result<(TextRequest, Extras), DecodeError> {
    let mut common = Common::read(&mut fields)?;
    let prompt = fields.text("prompt")?.unwrap_or_default();
    let system = fields.text("system")?.unwrap_or_default();
    let images = images(&mut fields)?;
    let extras = Extras {
        raw: fields.flag("raw")?.unwrap_or_default(),
        suffix: fields.text("suffix")?.is_some_and(|suffix| !suffix.is_empty()),
    };
    // Clients send these two empty.
    if fields.text("template")?.is_some_and(|template| !template.is_empty()) {
        return Err(DecodeError::unknown("template"));
    }
    if fields.raw("context").is_some_and(|context| context.get() != "[]") {
        return Err(DecodeError::field(
            "context",
            "is not kept here: send the conversation to /api/chat",
        ));
    }
    fields.finish(&HARMLESS)?;
    if prompt.is_empty() && images.is_empty() && extras == Extras::default() {
        return Ok((common.idle(), extras));
    }
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
    Ok((TextRequest::Ask(Box::new(common.request)), extras))
}
