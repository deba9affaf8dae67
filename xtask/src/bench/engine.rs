//! Our engine, compared with llama.cpp's own server and Ollama: the same file, the same threads, in turns.

mod long;
mod peer;

use std::{
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::json;

use self::peer::{CONTEXT, Peer, threads};
use super::{
    numbers::{median, milliseconds, round},
    reply::Reply,
    report::{Outcome, Report},
};
use crate::{model, progress::Step, stop};

/// Arguments of `cargo xtask bench engine`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct Args {
    /// Compare the engine with this program, too: Ollama
    #[arg(long, value_name = "PATH")]
    pub(super) ollama: Option<PathBuf>,
    /// Instead of comparing the engine, send it so many requests of several people [default: 2000]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "2000", conflicts_with_all = ["ollama", "rounds"])]
    pub(super) long: Option<u32>,
}

/// Tokens of a reply whose speed is measured.
const TOKENS: u32 = 128;
/// Tokens of a reply in a conversation.
const TURN: u32 = 24;
/// Lines of a message that has about 1,500 tokens.
const LINES: usize = 48;

/// What is measured, as JSON and people name it.
const FIGURES: [(&str, &str); 7] = [
    ("tokens_per_s", "alone: tokens a second"),
    ("two_tokens_per_s", "two at once: tokens a second, both together"),
    ("read_per_s", "prompt: tokens read a second"),
    ("first_turn_ms", "first turn: first token, ms"),
    ("second_turn_ms", "second turn: first token, ms"),
    ("second_to_first", "second turn to the first"),
    ("resident_mib", "resident after all, MiB"),
];

/// What one peer came to in one round, in the order of [`FIGURES`]; the memory comes last of all rounds.
type Figures = [f64; 6];

/// Measures what is asked for.
pub(super) fn run(args: &Args, rounds: u32) -> Result<Outcome> {
    match args.long {
        Some(requests) => long::run(requests),
        None => Ok(compare(rounds, args.ollama.as_deref())?.into()),
    }
}

/// Measures the peers in turns, so many rounds.
fn compare(rounds: u32, ollama: Option<&Path>) -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let model = model::get()?;
    let threads = threads();
    let mut peers = vec![
        Peer::maru(dir.path(), &model, threads)?,
        Peer::xllamacpp(dir.path(), &model, threads)?,
    ];
    if let Some(program) = ollama {
        peers.push(Peer::ollama(program, dir.path(), &model, threads)?);
    }
    let mut all: Vec<Vec<Figures>> = vec![Vec::new(); peers.len()];
    for turn in 0..=rounds {
        let step = Step::new(&format!("round {turn} of {rounds}"));
        for offset in 0..peers.len() {
            stop::check()?;
            // Another one begins in every round.
            let at = (offset + usize::try_from(turn)?) % peers.len();
            let figures = measure(&peers[at], turn).with_context(|| peers[at].name.clone())?;
            // The first round warms up.
            if turn > 0 {
                all[at].push(figures);
            }
        }
        step.done(&format!("round {turn} of {rounds}"));
    }
    let resident = peers.iter().map(Peer::resident_mib).collect::<Result<Vec<_>>>()?;
    let names: Vec<_> = peers.iter().map(|peer| peer.name.clone()).collect();
    let mut report = report(&names, &all, &resident, rounds, threads);
    if ollama.is_none() {
        let how = "without Ollama: no registry has its program ready; build it with Go, name it with --ollama PATH";
        report.notes.push(how.to_owned());
    }
    Ok(report)
}

fn measure(peer: &Peer, turn: u32) -> Result<Figures> {
    let story = |who: &str| json!([{ "role": "user", "content": format!("{who} {turn}: tell a long story about the sea.") }]);
    let alone = peer.ask(&story("Round"), TOKENS, "alone")?;
    let [one, other] = thread::scope(|scope| {
        let ask = |who: &'static str| {
            let messages = story(who);
            scope.spawn(move || peer.ask(&messages, TOKENS, who))
        };
        let both = [ask("North"), ask("South")];
        both.map(|thread| thread.join().map_err(|_| anyhow!("a thread failed")))
    });
    let two = [one??, other??];

    let question = long_message(turn);
    let mut messages = json!([{ "role": "user", "content": question }]);
    let first = peer.ask(&messages, TURN, "reader")?;
    let turns = messages.as_array_mut().context("messages")?;
    turns.push(json!({ "role": "assistant", "content": first.text }));
    turns.push(json!({ "role": "user", "content": "And which of them was the last one?" }));
    let second = peer.ask(&messages, TURN, "reader")?;
    let read = f64::from(u32::try_from(first.read)?) / (first.first / 1e3);
    let ratio = second.first / first.first;
    Ok([speed(&[alone])?, speed(&two)?, read, first.first, second.first, ratio])
}

/// Tokens a second, from the first text of any until the last of all; first tokens are not counted.
fn speed(replies: &[Reply]) -> Result<f64> {
    let starts = replies.iter().map(|reply| reply.between[0]);
    let ends = replies.iter().map(|reply| reply.between[1]);
    let (start, end) = (starts.min().context("no reply")?, ends.max().context("no reply")?);
    let written: u64 = replies.iter().map(|reply| reply.written.saturating_sub(1)).sum();
    ensure!(written >= 8 && end > start, "a reply of {written} tokens is too short to measure");
    Ok(f64::from(u32::try_from(written)?) / (milliseconds(end - start) / 1e3))
}

/// One that no earlier round had the beginning of.
fn long_message(turn: u32) -> String {
    let mut text = format!("Log {turn} of the ferry.\n");
    for line in 0..LINES {
        let (hour, people) = (line % 24, (line * 37) % 90 + 10);
        text.push_str(&format!(
            "On day {line} the ferry left at {hour} o'clock with {people} people, and came back late.\n"
        ));
    }
    text.push_str("Which of these days had the most people?");
    text
}

fn report(
    names: &[String],
    all: &[Vec<Figures>],
    resident: &[f64],
    rounds: u32,
    threads: usize,
) -> Report {
    let at = |peer: usize, figure: usize| match figure {
        6 => resident[peer],
        _ => median(all[peer].iter().map(|round| round[figure]).collect()),
    };
    let mut head = vec![String::new()];
    head.extend(names.iter().cloned());
    head.extend(["ratio".to_owned(), "goal".to_owned()]);
    let mut table = vec![head];
    let mut results = json!({ "rounds": rounds, "threads": threads, "peers": {}, "ratios": {} });
    for (figure, (key, what)) in FIGURES.iter().enumerate() {
        let mut line = vec![(*what).to_owned()];
        for (peer, name) in names.iter().enumerate() {
            let value = round(at(peer, figure), 3);
            results["peers"][name][*key] = value.into();
            line.push(value.to_string());
        }
        let (ratio, goal) = match figure {
            0..=2 => {
                (faster(all, figure), ["at least 0.97", "at least 0.97", "at least 1"][figure])
            }
            4 => (beside(all, figure), "at most 1"),
            5 => (at(0, figure), "at most 0.2"),
            6 => (resident[0] / resident[1], "at most 1.05"),
            _ => (f64::NAN, ""),
        };
        let is_compared = !ratio.is_nan();
        if is_compared {
            results["ratios"][*key] = round(ratio, 3).into();
        }
        line.push(if is_compared { format!("{ratio:.2}") } else { String::new() });
        line.push(goal.to_owned());
        table.push(line);
    }
    let notes = vec![
        format!("{rounds} rounds of every peer in turn, {threads} threads each, {CONTEXT} tokens of context, two slots"),
        "medians; ratio: median of the rounds' ratios, to the faster of the others for speeds, else to xllamacpp; \
         the second turn's to the own first"
            .to_owned(),
        "xllamacpp's memory holds a Python interpreter, Ollama's a server beside the runner".to_owned(),
    ];
    Report { unit: "as named", results, table, notes }
}

/// The first peer's speed to that of the fastest of the others in the same round: the median.
fn faster(all: &[Vec<Figures>], figure: usize) -> f64 {
    let of = |round: usize| {
        let others = all[1..].iter().map(|peer| peer[round][figure]);
        all[0][round][figure] / others.fold(f64::NAN, f64::max)
    };
    median((0..all[0].len()).map(of).collect())
}

/// The first peer's figure to the second's in the same round: the median.
fn beside(all: &[Vec<Figures>], figure: usize) -> f64 {
    median(all[0].iter().zip(&all[1]).map(|(own, other)| own[figure] / other[figure]).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_ratio_is_to_the_faster_of_the_others_in_the_same_round() {
        let round = |speed: f64| [speed; 6];
        let all = [
            vec![round(9.0), round(6.0)],
            vec![round(10.0), round(3.0)],
            vec![round(5.0), round(6.0)],
        ];
        assert!((faster(&all, 0) - 0.95).abs() < 1e-9);
        assert!((beside(&all, 0) - 1.45).abs() < 1e-9);
    }

    #[test]
    fn the_speed_of_two_counts_both_over_the_time_of_both() {
        let begin = Instant::now();
        let reply = |first: u64, last: u64, written| Reply {
            first: 1.0,
            between: [first, last].map(|second| begin + Duration::from_secs(second)),
            read: 1,
            written,
            text: String::new(),
        };
        let two = [reply(0, 3, 11), reply(1, 4, 31)];
        assert!((speed(&two).unwrap() - 10.0).abs() < 1e-9);
        assert!(speed(&[reply(0, 1, 2)]).is_err());
    }

    #[test]
    fn no_message_begins_like_another_rounds() {
        assert_ne!(long_message(1)[..8], long_message(2)[..8]);
    }
}
