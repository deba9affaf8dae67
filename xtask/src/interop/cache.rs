//! What a real engine's cache of prompts makes of a conversation: it counts the tokens that it had read before.
//!
//! A later prompt of a conversation has to begin, to the byte, as the one before. Another conversation's prompt has to differ
//! before the question, so that the time of an answer tells nobody what was asked elsewhere.

use std::fs;

use anyhow::{Result, ensure};

use super::{house::TestDeployment, outcome::Outcome, steps, tokens::Tokens};
use crate::progress::Step;

/// This part, as it is printed.
pub(super) const NAME: &str = "llama.cpp's cache of prompts";
const STEPS: [&str; 2] = ["next turn", "other session"];
/// The model that answers at first, and the one behind llama.cpp's server.
const PRIMARY: [&str; 2] = [
    r#"model: { primary: "llamacpp/default", fallbacks: ["spare/default"] }"#,
    r#"model: "cached/smollm2""#,
];
const QUESTION: &str = "Which animals live beside a pond in the woods?";

/// Has a person chat with llama.cpp's server. From then on it is the household's AI there.
pub(super) fn run(house: &TestDeployment) -> Result<Outcome> {
    let step = Step::new("the household's AI gets another engine");
    let settings = house.openclaw();
    let text = fs::read_to_string(&settings)?;
    ensure!(text.contains(PRIMARY[0]), "openclaw.json has unexpected contents");
    fs::write(settings, text.replace(PRIMARY[0], PRIMARY[1]))?;
    // The gateway reads it again by itself.
    house.until("another engine answers", || {
        Ok(house.say("cache", "/model")?.trim_start().starts_with("cached/smollm2 "))
    })?;
    step.done("the household's AI has another engine");

    let first = turn(house, "cache", QUESTION)?;
    let next = turn(house, "cache", "And in winter?")?;
    let other = turn(house, "another", QUESTION)?;
    let whole = first.read + first.cached;
    println!(
        "{NAME:32} {whole} tokens; of the next prompt's {} were cached, of the other session's {}",
        next.cached, other.cached
    );
    // The last token of a prompt may be one with the beginning of the reply.
    let begins_alike = (next.cached + 1 >= whole)
        .then_some(())
        .ok_or_else(|| format!("{} tokens of {whole} were cached", next.cached));
    let differs = (other.cached + tokens_of_question() < whole)
        .then_some(())
        .ok_or_else(|| format!("{} tokens of {whole} were cached", other.cached));
    let said = STEPS.into_iter().map(str::to_owned).zip([begins_alike.err(), differs.err()]);
    Ok(steps::judge(NAME, &STEPS, &said.collect()))
}

/// Tokens that the question has at least: a word has one.
fn tokens_of_question() -> u64 {
    QUESTION.split(' ').map(|_| 1).sum()
}

/// The tokens of the prompt of a question.
fn turn(house: &TestDeployment, session: &str, text: &str) -> Result<Tokens> {
    let before = house.tokens()?;
    house.say(session, text)?;
    let after = house.tokens()?;
    Ok(Tokens { read: after.read - before.read, cached: after.cached - before.cached })
}
