//! A streamed reply: bytes → lines → deltas.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use chat_vocabulary::{Delta, FinishReason, Json, ToolCallDelta, Usage, count};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

use super::lines::Lines;
use crate::{
    Error,
    body::{self, Pieces},
    error::REPORTED,
    refusal::{message, shorten},
    text::{PieceJoiner, TextPiece, json},
};

/// Most tool calls of one reply.
const CALLS_MAX: u32 = 128;

/// One line of `/api/chat` or `/api/generate`, or an error instead.
#[derive(Deserialize)]
struct ReplyLine {
    #[serde(default)]
    message: Option<Message>,
    /// The text of a generation, which has no message.
    #[serde(default)]
    response: Option<TextPiece>,
    /// Its thoughts.
    #[serde(default)]
    thinking: Option<TextPiece>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default, deserialize_with = "count")]
    prompt_eval_count: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    eval_count: Option<u32>,
    #[serde(default)]
    logprobs: Option<Vec<Json>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<TextPiece>,
    #[serde(default)]
    thinking: Option<TextPiece>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Option<Json>,
}

/// Turns a body into deltas. Ends after the line with `done`, or after an error.
pub(super) fn deltas(
    bytes: Pieces,
    backend: String,
) -> impl Stream<Item = Result<Delta, Error>> + Send + 'static {
    let reply = Reply { backend, ..Reply::default() };
    stream::unfold((bytes, reply), |(mut bytes, mut reply)| async move {
        loop {
            if let Some(item) = reply.ready.pop_front() {
                return Some((item, (bytes, reply)));
            }
            if reply.over {
                return None;
            }
            match bytes.next().await {
                Some(Ok(piece)) => reply.handle_bytes(&piece),
                Some(Err(broken)) => reply.end(broken.into_error(&reply.backend, reply.began)),
                None => reply.handle_end(),
            }
        }
    })
}

/// Decodes a whole reply from pieces as a network may deliver them; for tests and fuzzing.
///
/// # Errors
///
/// [`Error::Cut`] if the bytes are not one whole reply.
pub fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Delta>, Error> {
    body::in_memory(pieces, deltas)
}

/// The state of a reply.
#[derive(Default)]
struct Reply {
    backend: String,
    lines: Lines,
    content: PieceJoiner,
    thinking: PieceJoiner,
    /// Whether text, thoughts or calls have arrived.
    began: bool,
    /// Tool calls so far.
    calls: u32,
    /// Whether the reply has ended.
    over: bool,
    ready: VecDeque<Result<Delta, Error>>,
}

impl Reply {
    fn handle_bytes(&mut self, bytes: &[u8]) {
        let (lines, ended) = self.lines.push(bytes);
        for line in lines {
            if self.over {
                return;
            }
            self.handle_line(&line);
        }
        if ended.is_err() && !self.over {
            self.cut("one of its lines is too long");
        }
    }

    fn handle_line(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Some(line) = str::from_utf8(line).ok().and_then(|line| json::<ReplyLine>(line).ok())
        else {
            return self.cut("one of its lines is not in Ollama's format");
        };
        if let Some(error) = &line.error {
            let reason = format!("{REPORTED}{}", shorten(&message(error)));
            return self.cut(&reason);
        }
        let message = line.message.unwrap_or_default();
        let mut delta = Delta {
            content: self.content.join(message.content.or(line.response), line.done),
            thinking: self.thinking.join(message.thinking.or(line.thinking), line.done),
            logprobs: line.logprobs.unwrap_or_default(),
            ..Delta::default()
        };
        for call in message.tool_calls.unwrap_or_default() {
            if self.calls == CALLS_MAX {
                return self.cut("it has too many tool calls");
            }
            delta.tool_calls.push(self.call(call));
        }
        self.began |= delta.says();
        if line.done {
            self.over = true;
            delta.finish_reason = Some(self.finish(line.done_reason.as_deref()));
            delta.usage = line.eval_count.map(|completion_tokens| Usage {
                prompt_tokens: line.prompt_eval_count.unwrap_or_default(),
                completion_tokens,
            });
        }
        if delta != Delta::default() {
            self.ready.push_back(Ok(delta));
        }
    }

    /// A call; its arguments are complete.
    fn call(&mut self, call: Call) -> ToolCallDelta {
        let index = self.calls;
        self.calls += 1;
        let arguments = call.function.arguments.as_ref().map_or("{}", Json::as_str).to_owned();
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(new_id);
        ToolCallDelta { index, id: Some(id), name: Some(call.function.name), arguments }
    }

    fn finish(&self, reason: Option<&str>) -> FinishReason {
        match reason {
            Some("length") => FinishReason::Length,
            _ if self.calls > 0 => FinishReason::ToolCalls,
            None | Some("stop") => FinishReason::Stop,
            Some(_) => FinishReason::Other,
        }
    }

    /// The body has ended; the last line may lack its line feed.
    fn handle_end(&mut self) {
        let last = self.lines.finish();
        self.handle_line(&last);
        if !self.over {
            self.cut("the connection closed before the end");
        }
    }

    fn cut(&mut self, reason: &str) {
        self.end(Error::cut(&self.backend, self.began, reason, None));
    }

    fn end(&mut self, error: Error) {
        self.over = true;
        self.ready.push_back(Err(error));
    }
}

/// An id for a call if Ollama gives none; it is unique in this process.
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("call_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests;
