//! What Ollama answers. It is another machine's program: of what it says, only names that it could have given are used,
//! texts are short, and numbers are numbers.

use chat_vocabulary::ollama::is_cloud;
use common::foreign;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ollama::name::is_name;

/// Most models that are listed.
pub(crate) const MODELS_MAX: usize = 200;
/// Longest text that is shown, in characters.
const TEXT_MAX: usize = 300;
/// Longest word of a description, in characters.
const WORD_MAX: usize = 32;
/// What a model for chats can do.
const COMPLETION: &str = "completion";
/// Most capabilities that are shown.
const CAPABILITIES_MAX: usize = 16;
/// Longest line of a pull, in bytes; Ollama's have some 150.
const LINE_MAX: usize = 64 << 10;

/// A model that Ollama runs itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Model {
    /// Its name there.
    pub(crate) name: String,
    /// Its size; 0 if it is unknown.
    pub(crate) bytes: u64,
    /// Family, parameters and quantization, such as `llama 3.2B Q4_K_M`.
    pub(crate) kind: String,
}

/// The models of an Ollama, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Models {
    /// Those that it runs itself.
    pub(crate) here: Vec<Model>,
    /// How many were left out: they run elsewhere, or have a name that Ollama gives to none.
    pub(crate) left_out: usize,
}

/// What is known of one model beside its entry in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// Tokens that the model was trained for.
    pub(crate) context_tokens: Option<u64>,
    /// What it can do, such as `tools`.
    pub(crate) capabilities: Vec<String>,
}

impl Description {
    /// Whether it answers chats; one that is for embeddings does not. An old Ollama says of no model what it can do.
    pub(crate) fn chats(&self) -> bool {
        self.capabilities.is_empty() || self.capabilities.iter().any(|it| it == COMPLETION)
    }
}

/// A line of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// What it does, and how many bytes of how many of one file it has.
    Going(String, Option<(u64, u64)>),
    /// The model is there.
    Done,
    /// Why it failed.
    Failed(String),
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    size: Value,
    #[serde(default)]
    details: Value,
    #[serde(default)]
    remote_model: String,
    #[serde(default)]
    remote_host: String,
}

impl Tag {
    /// Whether it runs on that machine and not in a cloud.
    fn is_local(&self) -> bool {
        self.remote_model.is_empty() && self.remote_host.is_empty() && !is_cloud(&self.name)
    }

    fn model(self) -> Model {
        let words = ["family", "parameter_size", "quantization_level"];
        let words = words.into_iter().filter_map(|key| self.details.get(key)?.as_str());
        let kind: Vec<_> = words.map(|word| foreign::short(word, WORD_MAX)).collect();
        let bytes = self.size.as_u64().unwrap_or_default();
        Model { name: self.name, bytes, kind: kind.join(" ").trim().to_owned() }
    }
}

/// Reads an answer to `/api/tags`; nothing if it is no such answer.
pub(crate) fn models(answer: &[u8]) -> Option<Models> {
    let Tags { models } = serde_json::from_slice(answer).ok()?;
    let all = models.len();
    let usable = models.into_iter().filter(|tag| tag.is_local() && is_name(&tag.name));
    let mut here: Vec<_> = usable.map(Tag::model).take(MODELS_MAX).collect();
    here.sort_by(|one, other| one.name.cmp(&other.name));
    here.dedup_by(|one, other| one.name == other.name);
    let left_out = all - here.len();
    Some(Models { here, left_out })
}

/// Reads an answer to `/api/show`; nothing if it is no such answer.
pub(crate) fn description(answer: &[u8]) -> Option<Description> {
    #[derive(Deserialize)]
    struct Show {
        #[serde(default)]
        model_info: Map<String, Value>,
        #[serde(default)]
        capabilities: Vec<Value>,
    }
    let Show { model_info, capabilities } = serde_json::from_slice(answer).ok()?;
    let found = model_info.iter().find(|(key, _)| key.ends_with(".context_length"));
    let context_tokens = found.and_then(|found| found.1.as_u64()).filter(|tokens| *tokens > 0);
    let words = capabilities.iter().filter_map(Value::as_str).take(CAPABILITIES_MAX);
    let capabilities = words.map(|word| foreign::short(word, WORD_MAX)).collect();
    Some(Description { context_tokens, capabilities })
}

/// The reason in the body of an error; nothing if it names none.
pub(crate) fn reason(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Failure {
        error: String,
    }
    let Failure { error } = serde_json::from_slice(body).ok()?;
    Some(foreign::short(error.trim(), TEXT_MAX))
}

/// Reads the stream of a pull, cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct PullReader {
    rest: Vec<u8>,
}

impl PullReader {
    /// The steps that are whole with this piece, or with the end if there is none; nothing if a line is no step, or longer
    /// than any of Ollama's.
    pub(crate) fn add(&mut self, piece: Option<&[u8]>) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        for part in piece.unwrap_or(b"\n").split_inclusive(|byte| *byte == b'\n') {
            if self.rest.len() + part.len() > LINE_MAX {
                return None;
            }
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.rest);
                if !line.trim_ascii().is_empty() {
                    steps.push(step(&line)?);
                }
            }
        }
        Some(steps)
    }
}

/// Reads a line of a pull; nothing if it is none.
fn step(line: &[u8]) -> Option<Step> {
    #[derive(Deserialize)]
    struct Line {
        status: String,
        #[serde(default)]
        total: Value,
        #[serde(default)]
        completed: Value,
    }
    if let Some(error) = reason(line) {
        return Some(Step::Failed(error));
    }
    let Line { status, total, completed } = serde_json::from_slice(line).ok()?;
    if status == "success" {
        return Some(Step::Done);
    }
    let total = total.as_u64().filter(|total| *total > 0);
    let bytes = total.map(|total| (completed.as_u64().unwrap_or_default().min(total), total));
    Some(Step::Going(foreign::short(&status, TEXT_MAX), bytes))
}
