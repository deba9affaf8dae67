//! A model's reply as its reader sees it.

use std::{
    io::{Read, Write},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::blocking::http;

use super::numbers::milliseconds;

/// A whole reply.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// From before the connection or the process until the first text, in milliseconds.
    pub(super) first: f64,
    /// When the first text came, and the last.
    pub(super) between: [Instant; 2],
    /// Tokens that the model read, as it counted them.
    pub(super) read: u64,
    /// Tokens that it wrote.
    pub(super) written: u64,
    /// What it wrote.
    pub(super) text: String,
}

/// Measures when text arrives.
#[derive(Debug)]
pub(super) struct Watch {
    start: Instant,
    first: Option<Instant>,
    last: Instant,
    read: u64,
    written: u64,
    text: String,
}

impl Watch {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        let text = String::new();
        Self { start: now, first: None, last: now, read: 0, written: 0, text }
    }

    /// Takes one line of what a model says in OpenAI's format.
    pub(super) fn openai(&mut self, line: &str) {
        let Some(data) = line.strip_prefix("data: ") else { return };
        let Ok(event) = serde_json::from_str::<Value>(data) else { return };
        self.text(event["choices"][0]["delta"]["content"].as_str());
        self.usage(&event["usage"]);
    }

    /// Takes one line of `maru chat -o json`.
    pub(super) fn maru(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else { return };
        self.text(event["delta"].as_str());
        self.usage(&event["usage"]);
    }

    fn text(&mut self, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.last = Instant::now();
            self.first.get_or_insert(self.last);
            self.text.push_str(text);
        }
    }

    fn usage(&mut self, usage: &Value) {
        self.read = usage["prompt_tokens"].as_u64().unwrap_or(self.read);
        self.written = usage["completion_tokens"].as_u64().unwrap_or(self.written);
    }

    /// What the model wrote until now.
    pub(super) fn text_so_far(&self) -> &str {
        &self.text
    }

    pub(super) fn end(self) -> Result<Reply> {
        let first = self.first.context("no text came")?;
        Ok(Reply {
            first: milliseconds(first - self.start),
            between: [first, self.last],
            read: self.read,
            written: self.written,
            text: self.text,
        })
    }

    /// Sends a request in OpenAI's format and takes the reply.
    pub(super) fn ask(
        mut self,
        stream: impl Read + Write,
        host: &str,
        body: &Value,
    ) -> Result<Reply> {
        let body = body.to_string();
        let path = "/v1/chat/completions";
        let mut answer = http::request(stream, "POST", path, host, &[], Some(&body))?;
        ensure!(answer.status == 200, "{host} answered {}", answer.status);
        while let Some(line) = answer.line()? {
            self.openai(&line);
        }
        self.end()
    }
}

impl Reply {
    /// Milliseconds of a token that came after `tokens - 1` others.
    pub(super) fn token(&self, tokens: u32) -> f64 {
        let [first, last] = self.between;
        milliseconds(last - first) / f64::from(tokens.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_its_text_and_its_counts() {
        let mut watch = Watch::start();
        for line in [
            r#"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            ": a comment",
            r#"data: {"choices":[{"delta":{"content":"a "}}]}"#,
            r#"data: {"choices":[{"delta":{"content":"b"}}]}"#,
            r#"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#,
            "data: [DONE]",
        ] {
            watch.openai(line);
        }
        let reply = watch.end().unwrap();
        assert_eq!((reply.text.as_str(), reply.read, reply.written), ("a b", 7, 2));
        assert!(Watch::start().end().is_err());
    }
}
