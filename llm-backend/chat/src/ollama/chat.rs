//! `POST /api/chat`.

use serde_json::value::RawValue;

use super::request::{Common, HARMLESS, TextRequest, images};
use crate::{
    decode::{DecodeError, Fields},
    json::Json,
    message::{Content, Message, Part, Role},
    tools::{Tool, ToolCall},
};

/// Most messages of a conversation.
const MESSAGES_MAX: usize = 10_000;
/// Most tools.
const TOOLS_MAX: usize = 256;
/// Most tool calls of one message.
const CALLS_MAX: usize = 128;

pub(super) fn read(mut fields: Fields<'_>) -> Result<TextRequest, DecodeError> {
    let mut common = Common::read(&mut fields)?;
    let tools = fields.list::<TOOLS_MAX>("tools")?;
    let tools = tools.iter().map(|(at, raw)| Tool::read(raw, at));
    common.request.tools = tools.collect::<Result<_, _>>()?;
    let mut calls = Calls::default();
    for (at, raw) in fields.list::<MESSAGES_MAX>("messages")? {
        common.request.messages.push(message(raw, &at, &mut calls)?);
    }
    fields.finish(&HARMLESS)?;
    if common.request.messages.is_empty() {
        return Ok(common.idle());
    }
    Ok(TextRequest::Ask(Box::new(common.request)))
}

/// Tool calls without a result so far. Results of Ollama's clients name the tool, but other servers need the call's id.
#[derive(Default)]
struct Calls {
    /// Ids and names.
    open: Vec<(String, String)>,
    made: usize,
}

impl Calls {
    /// An id for a call that has none; unique in the conversation.
    fn new_id(&mut self) -> String {
        self.made += 1;
        format!("call_{}", self.made)
    }

    /// The call of a result: the one with this id, or else the first open one with this name.
    fn answer(&mut self, id: Option<String>, name: Option<&str>) -> Option<(String, String)> {
        let fits = |(its_id, its_name): &(String, String)| match (&id, name) {
            (Some(id), _) => its_id == id,
            (None, Some(name)) => its_name == name,
            (None, None) => true,
        };
        let found = self.open.iter().position(fits);
        found.map(|at| self.open.remove(at)).or_else(|| Some((id?, String::new())))
    }
}

fn message(raw: &RawValue, at: &str, calls: &mut Calls) -> Result<Message, DecodeError> {
    let mut fields = Fields::open(raw, at)?;
    let role: Option<Role> = fields.take("role", "system, user, assistant or tool")?;
    let role = role.ok_or_else(|| fields.missing("role"))?;
    let text = fields.text("content")?.unwrap_or_default();
    let images = images(&mut fields)?;
    let content = if images.is_empty() {
        Content::Text(text)
    } else {
        let text = Some(text).filter(|text| !text.is_empty()).map(Part::Text);
        Content::Parts(text.into_iter().chain(images.into_iter().map(Part::Image)).collect())
    };
    let mut message = Message::new(role, content);
    message.thinking = fields.text("thinking")?.unwrap_or_default();
    for (at, raw) in fields.list::<CALLS_MAX>("tool_calls")? {
        let call = call(raw, &at, calls)?;
        calls.open.push((call.id.clone(), call.name.clone()));
        message.tool_calls.push(call);
    }
    let older = fields.text("name")?;
    let name = fields.text("tool_name")?.or(older);
    let id = fields.text("tool_call_id")?;
    if role == Role::Tool
        && let Some((id, called)) = calls.answer(id, name.as_deref())
    {
        message.tool_call_id = Some(id);
        message.name = Some(called).filter(|called| !called.is_empty());
    }
    message.name = name.or(message.name);
    fields.leave_out("message");
    Ok(message)
}

/// A call; its arguments are an object.
fn call(raw: &RawValue, at: &str, calls: &mut Calls) -> Result<ToolCall, DecodeError> {
    let mut outer = Fields::open(raw, at)?;
    let id = outer.text("id")?.filter(|id| !id.is_empty());
    let function = outer.raw("function").ok_or_else(|| outer.missing("function"))?;
    let mut function = Fields::open(function, format!("{at}.function"))?;
    let name = function.text("name")?.filter(|name| (1..=256).contains(&name.len()));
    let name =
        name.ok_or_else(|| DecodeError::field(function.path("name"), "must have 1 to 256 bytes"))?;
    let arguments = match function.raw("arguments") {
        None => "{}".to_owned(),
        Some(raw) => {
            let wrong = |why: String| DecodeError::field(function.path("arguments"), why);
            let object = Json::from_raw(raw).map_err(|why| wrong(why.to_string()))?;
            if !object.is_object() {
                return Err(wrong("must be an object".to_owned()));
            }
            object.as_str().to_owned()
        }
    };
    function.leave_out("function");
    outer.leave_out("call");
    Ok(ToolCall { id: id.unwrap_or_else(|| calls.new_id()), name, arguments })
}
