//! Renders chat templates and compares the prompts with expected ones.
//!
//! ```text
//! cargo run -p maru-llm --release --example render -- CASES.json
//! ```
//!
//! The file has `now`, `bos_token`, `eos_token`, `conversations` by name, and `cases` with `template` (the file `NAME.jinja`
//! beside it), `conversation`, and `rendered` or `error`. The exit status is 1 if a case fails.
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::{collections::BTreeMap, fs, path::Path, process::ExitCode};

use jiff::civil::DateTime;
use maru_llm::template::ChatTemplate;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct File {
    now: String,
    bos_token: String,
    eos_token: String,
    conversations: BTreeMap<String, Vec<Value>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    /// The prompt; none if the template refuses the conversation.
    rendered: Option<String>,
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("name the file of cases")?;
    let file: File = serde_json::from_slice(&fs::read(&path)?)?;
    let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
    let now: DateTime = file.now.parse()?;
    let (mut passed, mut failed) = (0, 0);
    for case in &file.cases {
        let source = fs::read_to_string(folder.join(format!("{}.jinja", case.template)))?;
        let messages = file.conversations.get(&case.conversation).ok_or("no such conversation")?;
        let prompt = ChatTemplate::new(Some(&source), &file.bos_token, &file.eos_token)
            .and_then(|template| template.render(messages, now));
        if prompt.as_ref().ok() == case.rendered.as_ref() {
            passed += 1;
        } else {
            failed += 1;
            println!("{} {}: {prompt:?}", case.template, case.conversation);
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
