//! A chat request in Ollama's format.

use chat_vocabulary::{
    ChatRequest, Effort, Image, Json, Message, Options, ResponseFormat, Role, Tool, ToolChoice,
};
use serde::Serialize;

/// The body of `POST /api/chat`.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "<[Tool]>::is_empty")]
    tools: &'a [Tool],
}

/// Fields that the bodies of a chat and a generation have in common.
#[derive(Serialize)]
pub(super) struct Common<'a> {
    model: &'a str,
    stream: bool,
    /// A prompt that does not fit is an error.
    truncate: bool,
    /// A reply that does not fit ends with the reason `length`.
    shift: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u32>,
    options: WireOptions,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: Role,
    content: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: Json,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Word(&'static str),
    Schema(&'a Json),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think {
    Off(bool),
    Level(&'static str),
}

/// Ollama's `options`: most have the same names as OpenAI's.
#[derive(Serialize)]
struct WireOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    num_ctx: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
    #[serde(flatten)]
    sampling: Options,
}

/// The request in Ollama's format; the error names a part that Ollama does not support.
pub(super) fn body(request: &ChatRequest, num_ctx: Option<u32>) -> Result<Body<'_>, String> {
    let common = common(request, num_ctx)?;
    let message = |at: usize| wire_message(&request.messages, at);
    Ok(Body {
        common,
        messages: (0..request.messages.len()).map(message).collect::<Result<_, _>>()?,
        tools: if request.may_call() { &request.tools } else { &[] },
    })
}

/// The part that a generation has, too; the error names a part that Ollama does not support.
pub(super) fn common(request: &ChatRequest, num_ctx: Option<u32>) -> Result<Common<'_>, String> {
    let model = request.model.as_deref().unwrap_or_default();
    if let Some(name) = lacking(request) {
        return Err(format!(
            "{model} does not support {name} (Ollama does not have it): leave it out"
        ));
    }
    let options = &request.options;
    Ok(Common {
        model,
        stream: true,
        truncate: false,
        shift: false,
        format: request.response_format.as_ref().and_then(format),
        think: request.reasoning_effort.map(think),
        logprobs: options.wants_logprobs().then_some(true),
        top_logprobs: options.top_logprobs,
        options: wire_options(options, num_ctx),
    })
}

/// The first field that would change the answer and that Ollama lacks.
fn lacking(request: &ChatRequest) -> Option<&'static str> {
    let choice = &request.tool_choice;
    if matches!(choice, Some(ToolChoice::Required | ToolChoice::Function(_))) {
        return Some("tool_choice");
    }
    if !request.options.logit_bias.is_empty() {
        return Some("logit_bias");
    }
    request.options.ignore_eos.then_some("ignore_eos")
}

fn wire_message(messages: &[Message], at: usize) -> Result<WireMessage<'_>, String> {
    let message = &messages[at];
    let call = |call: &'_ chat_vocabulary::ToolCall| -> Result<Json, String> {
        let text = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        let arguments = text.parse::<Json>().ok().filter(Json::is_object);
        arguments.ok_or_else(|| {
            format!("messages[{at}]: the arguments of a tool call must be a JSON object")
        })
    };
    let calls = message.tool_calls.iter().map(|it| {
        let function = Function { name: &it.name, arguments: call(it)? };
        Ok(Call { id: &it.id, function })
    });
    let tool = (message.role == Role::Tool).then_some(message);
    Ok(WireMessage {
        role: message.role,
        content: message.content.text(),
        thinking: &message.thinking,
        images: message.content.images().map(Image::base64).collect(),
        tool_calls: calls.collect::<Result<_, String>>()?,
        tool_name: tool.and_then(|tool| tool_name(&messages[..at], tool)),
        tool_call_id: tool.and_then(|tool| tool.tool_call_id.as_deref()),
    })
}

/// The name of the tool that gave this result: its own `name`, or that of the call that it answers.
fn tool_name<'a>(before: &'a [Message], tool: &'a Message) -> Option<&'a str> {
    let id = tool.tool_call_id.as_deref();
    let mut calls = before.iter().rev().flat_map(|message| &message.tool_calls);
    tool.name
        .as_deref()
        .or_else(|| calls.find(|call| Some(call.id.as_str()) == id).map(|call| call.name.as_str()))
}

fn format(format: &ResponseFormat) -> Option<Format<'_>> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(Format::Word("json")),
        ResponseFormat::JsonSchema { schema, .. } => Some(Format::Schema(schema)),
    }
}

fn think(effort: Effort) -> Think {
    match effort {
        Effort::None => Think::Off(false),
        Effort::Minimal | Effort::Low => Think::Level("low"),
        Effort::Medium => Think::Level("medium"),
        Effort::High => Think::Level("high"),
        Effort::Xhigh => Think::Level("max"),
    }
}

/// The options that Ollama has; [`lacking`] refuses the others.
fn wire_options(options: &Options, num_ctx: Option<u32>) -> WireOptions {
    let mut sampling = options.clone();
    let num_predict = sampling.max_tokens.take();
    (sampling.logprobs, sampling.top_logprobs) = (None, None);
    WireOptions { num_ctx, num_predict, sampling }
}

#[cfg(test)]
mod tests;
