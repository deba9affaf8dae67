//! Chat templates, which come with model files.
#![no_main]

use libfuzzer_sys::fuzz_target;

use maru_llm::template::{ChatTemplate, PromptMessage};

const NOW: jiff::civil::DateTime = jiff::civil::DateTime::constant(2026, 1, 1, 0, 0, 0, 0);

fn turn(role: &'static str, content: &'static str) -> PromptMessage<'static> {
    PromptMessage { role, content: content.into(), reasoning_content: None }
}

fuzz_target!(|source: &str| {
    // Text that a template repeats is bounded by the engine's memory alone.
    if source.contains('*') || source.contains("indent") {
        return;
    }
    let Ok(template) = ChatTemplate::new(Some(source), "<s>", "</s>") else { return };
    let turns = vec![turn("system", "kindly"), turn("user", "xylophone")];
    match template.prompt(turns.clone(), NOW) {
        Ok(prompt) => assert_eq!(template.prompt(turns, NOW), Ok(prompt)),
        Err(error) => {
            let text = error.to_string();
            assert!(source.contains("xylo") || !text.contains("xylo"), "{text}");
            assert_eq!(text.lines().count().max(1), 1, "{text}");
        }
    }
});
