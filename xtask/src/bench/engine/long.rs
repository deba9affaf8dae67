//! Many people at the engine for long: what it keeps, and whether anything of one comes to another.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use testkit::blocking::http;

use super::peer::{Peer, request, threads};
use crate::{
    bench::{
        numbers::round,
        reply::Watch,
        report::{Outcome, Report, row},
    },
    model,
    progress::Step,
    stop,
};

/// People, each with a word of their own.
const PEOPLE: u64 = 12;
/// Requests at once: more than the engine has slots.
const AT_ONCE: u32 = 6;
/// Requests until memory is looked at first.
const FIRST: u32 = 100;
/// Most that memory may grow after them.
const GROWTH: f64 = 1.05;
/// How long slots may take to be free on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The engine's options: little memory for conversations, so that it is full after the first requests.
const OPTIONS: [&str; 8] = ["--ctx", "1024", "--slots", "2", "--queue", "16", "--cache-mib", "16"];

/// One request, chosen by its number.
#[derive(Debug)]
struct Plan {
    person: u64,
    /// Lines of the message.
    lines: u64,
    /// The reply can only be the person's word.
    is_bound: bool,
    /// After how many lines of the reply the client leaves.
    leaves_after: Option<u64>,
}

/// What came of the requests.
#[derive(Debug, Default)]
struct Counts {
    next: AtomicU32,
    whole: AtomicU32,
    left: AtomicU32,
}

/// Sends so many requests, some of which are given up.
pub(super) fn run(requests: u32) -> Result<Outcome> {
    ensure!(requests > FIRST, "--long takes more than {FIRST} requests");
    let dir = tempfile::tempdir()?;
    let threads = threads().to_string();
    let args = [&OPTIONS[..], &["--threads", &threads]].concat();
    let engine = Peer::engine(dir.path(), &model::get()?, &args)?;
    let counts = Counts::default();
    let until = |end: u32| -> Result<f64> {
        let step = Step::new(&format!("requests until {end}"));
        together(&engine, &counts, end)?;
        free(&engine)?;
        step.done(&format!("{end} requests"));
        engine.resident_mib()
    };
    let first = until(FIRST)?;
    let end = until(requests)?;
    let grown = end / first;
    let [whole, left] = [&counts.whole, &counts.left].map(|count| count.load(Ordering::Relaxed));
    let table = vec![
        row(["requests answered whole", &whole.to_string(), ""]),
        row(["given up by the client", &left.to_string(), ""]),
        row([&format!("resident after {FIRST}, MiB"), &format!("{first:.1}"), ""]),
        row(["at the end, MiB", &format!("{end:.1}"), ""]),
        row(["ratio", &format!("{grown:.3}"), &format!("at most {GROWTH}")]),
    ];
    let results = json!({
        "requests": requests, "whole": whole, "left": left, "resident_first_mib": round(first, 1),
        "resident_end_mib": round(end, 1), "ratio": round(grown, 3),
    });
    let notes = vec![
        format!("{PEOPLE} people, {AT_ONCE} requests at once; engine: {}", args.join(" ")),
        "a person's word in another's reply, or a slot that stays busy, would have ended this with an error".to_owned(),
    ];
    let missing = if grown <= GROWTH {
        Vec::new()
    } else {
        vec![format!("memory grew by more than {GROWTH}: {grown:.3}")]
    };
    Ok(Outcome { report: Report { unit: "as named", results, table, notes }, missing })
}

/// Sends requests until the number `end`, several at once.
fn together(engine: &Peer, counts: &Counts, end: u32) -> Result<()> {
    let work = || -> Result<()> {
        loop {
            stop::check()?;
            let taken = counts
                .next
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < end).then_some(n + 1));
            let Ok(number) = taken else { return Ok(()) };
            let is_whole = one(engine, &Plan::new(number))
                .with_context(|| format!("request {number} of the long run"))?;
            let count = if is_whole { &counts.whole } else { &counts.left };
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("a thread failed"))?)
    })
}

/// Sends one request; whether its reply was read to its end.
fn one(engine: &Peer, plan: &Plan) -> Result<bool> {
    let text = plan.message();
    let max_tokens = if plan.is_bound { 48 } else { 12 };
    let mut body = request(
        &json!([{ "role": "user", "content": text }]),
        max_tokens,
        &format!("person-{}", plan.person),
    );
    if plan.is_bound {
        let schema = json!({ "const": word(plan.person) });
        body["response_format"] =
            json!({ "type": "json_schema", "json_schema": { "name": "word", "schema": schema } });
    }
    let (path, body) = ("/v1/chat/completions", body.to_string());
    let mut answer = http::request(engine.stream()?, "POST", path, "localhost", &[], Some(&body))?;
    ensure!(answer.status == 200, "the engine answered {}", answer.status);
    let mut watch = Watch::start();
    let (mut lines, mut is_whole) = (0, true);
    while let Some(line) = answer.line()? {
        watch.openai(&line);
        lines += 1;
        if plan.leaves_after.is_some_and(|most| lines > most) {
            is_whole = false;
            break;
        }
    }
    match wrong(plan, watch.text_so_far(), is_whole) {
        None => Ok(is_whole),
        Some(what) => bail!("{what}"),
    }
}

/// What is wrong with a reply, or with the beginning of one.
fn wrong(plan: &Plan, reply: &str, is_whole: bool) -> Option<String> {
    let mut others = (0..PEOPLE).filter(|person| *person != plan.person);
    if let Some(other) = others.find(|other| reply.contains(&word(*other))) {
        return Some(format!("person {} got the word of person {other}", plan.person));
    }
    let own = json!(word(plan.person)).to_string();
    let is_own = if is_whole { reply == own } else { own.starts_with(reply) };
    (plan.is_bound && !is_own).then(|| format!("the reply is not the person's word: {reply:?}"))
}

/// Waits until no slot is busy; all must be there.
fn free(engine: &Peer) -> Result<()> {
    let begin = Instant::now();
    loop {
        let slots: Value = engine.get("/slots")?.json()?;
        let slots = slots.as_array().context("the engine lists no slots")?;
        ensure!(slots.len() == 2, "{} slots are left of 2", slots.len());
        let busy = slots.iter().filter(|slot| slot["is_processing"] != false).count();
        if busy == 0 {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < PATIENCE,
            "{busy} slots are lost: nobody waits for their replies"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// A word that only this person's messages have.
fn word(person: u64) -> String {
    format!("{:012x}", mixed(person ^ 0x6d61_7275) >> 16)
}

/// A number that looks random, the same for the same number (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Plan {
    fn new(number: u32) -> Self {
        let random = mixed(u64::from(number));
        let part = |shift: u32, end: u64| ((random >> shift) & 0xffff) % end;
        Self {
            person: part(0, PEOPLE),
            lines: part(16, 10),
            is_bound: part(32, 2) == 0,
            leaves_after: (part(40, 10) < 3).then(|| part(48, 12)),
        }
    }

    /// The same beginning for the same person, of a length of its own.
    fn message(&self) -> String {
        let word = word(self.person);
        let mut text = format!("My word is {word}.\n");
        for line in 0..self.lines {
            text.push_str(&format!(
                "Line {line} of my notes: the ferry left, and came back late.\n"
            ));
        }
        text.push_str("Say my word again.");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anothers_word_and_another_reply_than_the_own_word_are_wrong() {
        let plan = |is_bound| Plan { person: 3, lines: 0, is_bound, leaves_after: None };
        let own = format!("\"{}\"", word(3));
        assert_eq!(wrong(&plan(true), &own, true), None);
        assert_eq!(wrong(&plan(true), &own[..5], false), None);
        assert_eq!(wrong(&plan(false), "Hello.", true), None);
        assert!(wrong(&plan(true), &own[..5], true).is_some());
        assert!(wrong(&plan(true), "\"x", false).is_some());
        let leaked = format!("The word is {}.", word(4));
        assert!(wrong(&plan(false), &leaked, false).is_some_and(|what| what.contains("person 4")));
    }

    #[test]
    fn the_requests_are_of_every_kind() {
        let plans: Vec<_> = (0..2_000).map(Plan::new).collect();
        for person in 0..PEOPLE {
            assert!(plans.iter().any(|plan| plan.person == person));
        }
        for is_bound in [true, false] {
            let some = || plans.iter().filter(|plan| plan.is_bound == is_bound);
            assert!(some().any(|plan| plan.leaves_after.is_some()));
            assert!(some().any(|plan| plan.leaves_after.is_none()));
        }
    }
}
