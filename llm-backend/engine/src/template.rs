//! The chat template of a model: Jinja, as transformers sets it up for templates that stand in model files.
//!
//! A template comes with the model and may be hostile: it can only produce text from the conversation, in a bounded number
//! of steps. One that fails is an error; another template is never tried in its place.

use std::{borrow::Cow, sync::LazyLock};

use jiff::civil::DateTime;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Value,
    syntax::SyntaxConfig,
    value::{Serde, ValueKind},
};
use serde::Serialize;

use crate::thinking::Thinking;

mod json;

/// Most steps of one rendering.
const STEPS: u64 = 10_000_000;
/// Longest reason of a refusal that is passed on, in characters.
const REASON_MAX: usize = 200;

/// For models without a template: what most models support.
const CHATML: &str = "\
{% for message in messages %}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{%- endif %}";

/// A template that can be rendered.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
    /// Whether what stands in a system message reaches the prompt.
    takes_system: bool,
    thinking: Thinking,
}

/// A message, as a template reads it.
#[derive(Clone, Debug, Serialize)]
pub struct PromptMessage<'a> {
    /// `system`, `user` or `assistant`.
    pub role: &'a str,
    /// Its text.
    pub content: Cow<'a, str>,
    /// What the model thought before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
}

/// Why a conversation has no prompt. The text repeats nothing of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not a template.
    #[error("the model's chat template is damaged in line {line}: {what}")]
    Syntax {
        /// Where.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It refuses these messages.
    #[error("the model's chat template refuses these messages: {0}")]
    Refused(String),
    /// It cannot be rendered.
    #[error("the model's chat template fails in line {line}: {what}")]
    Failed {
        /// Where.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

impl TemplateError {
    /// A template that is not UTF-8.
    #[must_use]
    pub fn not_text() -> Self {
        Self::Syntax { line: 0, what: "it is not UTF-8".to_owned() }
    }
}

impl ChatTemplate {
    /// Reads a template; [`None`]: the model has none, and gets `ChatML`.
    ///
    /// # Errors
    ///
    /// It is not a template, or fails even with the simplest conversation.
    pub fn new(source: Option<&str>, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        let source = without_generation_marks(source.unwrap_or(CHATML));
        let mut environment = environment();
        environment.add_template_owned("chat", source.clone()).map_err(|error| {
            TemplateError::Syntax { line: error.line().unwrap_or(0), what: what(&error) }
        })?;
        let (bos, eos) = (bos.to_owned(), eos.to_owned());
        let mut template =
            Self { environment, source, bos, eos, takes_system: true, thinking: Thinking::Never };
        let turn = |role, content| PromptMessage {
            role,
            content: Cow::Borrowed(content),
            reasoning_content: None,
        };
        let now = DateTime::constant(2026, 1, 1, 0, 0, 0, 0);
        let prompt = template.render(&[turn("user", "Hi")], now)?;
        template.thinking = Thinking::of(&template.source, &prompt);
        let with_system = template.render(&[turn("system", "Be kind"), turn("user", "Hi")], now);
        template.takes_system = with_system.is_ok_and(|text| text.contains("Be kind"));
        Ok(template)
    }

    /// How the model's replies begin.
    #[must_use]
    pub const fn thinking(&self) -> Thinking {
        self.thinking
    }

    /// The prompt for the next message of a conversation. Where the template takes no system message, its text stands
    /// before the person's first.
    ///
    /// # Errors
    ///
    /// The template refuses the conversation, or fails.
    pub fn prompt(
        &self,
        turns: Vec<PromptMessage<'_>>,
        now: DateTime,
    ) -> Result<String, TemplateError> {
        let turns = if self.takes_system { turns } else { without_system(turns) };
        self.render(&turns, now)
    }

    /// Renders messages as they are.
    ///
    /// # Errors
    ///
    /// As [`Self::prompt`].
    pub fn render<M: Serialize>(
        &self,
        messages: &[M],
        now: DateTime,
    ) -> Result<String, TemplateError> {
        let context = minijinja::context! {
            messages => Value::from(Serde(messages)),
            add_generation_prompt => true,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            tools => (),
            documents => (),
            strftime_now => Value::from_function(move |format: String| {
                jiff::fmt::strtime::format(format, now).map_err(|_| {
                    Error::new(ErrorKind::InvalidOperation, "not a format of a time")
                })
            }),
        };
        let template = self.environment.get_template("chat").and_then(|it| it.render(context));
        template.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &Error) -> TemplateError {
        // A refusal may quote the conversation; one that stands in the template does not.
        let own = |reason: &&str| self.source.contains(*reason);
        match error.detail() {
            Some(reason) if error.kind() == ErrorKind::InvalidOperation && own(&reason) => {
                let shown = reason.chars().filter(|character| !character.is_control());
                TemplateError::Refused(shown.take(REASON_MAX).collect())
            }
            _ => TemplateError::Failed { line: error.line().unwrap_or(0), what: what(error) },
        }
    }
}

/// What is wrong, without the text that was rendered.
fn what(error: &Error) -> String {
    error.kind().to_string()
}

fn environment() -> Environment<'static> {
    static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        syntax.unwrap_or_default()
    });
    let mut environment = Environment::new();
    environment.set_syntax(SYNTAX.clone());
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(STEPS));
    environment.set_formatter(|out, state, value| {
        // As Python writes them.
        match (value.kind(), value.is_true()) {
            (ValueKind::None, _) => out.write_str("None").map_err(Error::from),
            (ValueKind::Bool, true) => out.write_str("True").map_err(Error::from),
            (ValueKind::Bool, false) => out.write_str("False").map_err(Error::from),
            _ => minijinja::escape_formatter(out, state, value),
        }
    });
    environment.add_filter("tojson", json::tojson);
    environment.add_function("raise_exception", |reason: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, reason))
    });
    environment
}

/// Replaces the marks by which transformers finds the model's own words while it trains: they print nothing.
fn without_generation_marks(source: &str) -> String {
    let mut source = source.to_owned();
    for (mark, same) in [(" generation ", " if true "), (" endgeneration ", " endif ")] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            source = source.replace(&[open, mark, close].concat(), &[open, same, close].concat());
        }
    }
    source
}

/// Puts the text of system messages before the first message of the person.
fn without_system(turns: Vec<PromptMessage<'_>>) -> Vec<PromptMessage<'_>> {
    let (system, mut turns): (Vec<_>, Vec<_>) =
        turns.into_iter().partition(|turn| turn.role == "system");
    let mut words: Vec<&str> =
        system.iter().map(|turn| &*turn.content).filter(|it| !it.is_empty()).collect();
    if words.is_empty() {
        return turns;
    }
    match turns.iter_mut().find(|turn| turn.role == "user") {
        Some(first) => {
            words.push(&first.content);
            first.content = Cow::Owned(words.join("\n\n"));
        }
        None => {
            let content = Cow::Owned(words.join("\n\n"));
            turns.insert(0, PromptMessage { role: "user", content, reasoning_content: None });
        }
    }
    turns
}

#[cfg(test)]
mod tests;
