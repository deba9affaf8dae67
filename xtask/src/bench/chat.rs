//! A chat through the whole chain, compared with direct requests to the same model.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write},
    os::unix::net::UnixStream,
    process::Stdio,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Deployment, Instance};
use serde_json::json;

use super::{
    appliance::deployment,
    numbers::{median, milliseconds, round},
    reply::{Reply, Watch},
    report::{Report, row},
};
use crate::{progress::Step, stop};

/// How often each way is taken.
const ROUNDS: usize = 10;
/// Tokens of each reply.
const TOKENS: u32 = 64;
/// What is asked, on every way.
const QUESTION: &str = "In a few sentences: what is a home?";
/// The gateway's own prompt stands in these; without them every way asks the same.
const PROMPT: &str = "var/lib/maru/gateway/workspace";

/// One reply as its reader saw it, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// From before the connection or the process until the first text.
    first: f64,
    /// Between two tokens: first to last text over the tokens after the first.
    token: f64,
    /// Tokens that the model read, as it counted them.
    read: u64,
}

/// The samples of every path.
#[derive(Debug, Default)]
struct PathSamples {
    direct: Vec<Sample>,
    mesh: Vec<Sample>,
    chain: Vec<Sample>,
    /// Of starting `maru` on the laptop for nothing.
    process: Vec<f64>,
}

/// Measures all ways, one after the other in each round.
pub(super) fn run() -> Result<Report> {
    let mut deployment = deployment()?;
    let ready = milliseconds(deployment.began.elapsed());
    let laptop = deployment.member("laptop", "alice")?;
    let instance = &laptop.instance;
    let joined = deployment.began.elapsed();
    let first = chain(instance, "cold")?;
    let cold = [ready, milliseconds(joined) + first.first];
    let prompt_tokens = first.read;

    forget_prompt(&deployment)?;
    let mut ways = PathSamples::default();
    for round in 0..=ROUNDS {
        stop::check()?;
        let step = Step::new(&format!("round {round} of {ROUNDS}"));
        let session = format!("round{round}");
        let mut taken: [Option<Sample>; 3] = [None; 3];
        // Another one begins in every round: being first after a pause is not the same.
        for way in (0..3).map(|turn| (round + turn) % 3) {
            taken[way] = Some(match way {
                0 => direct(&deployment)?,
                1 => mesh(instance)?,
                _ => chain(instance, &session)?,
            });
        }
        let process = nothing(instance)?;
        step.done(&format!("round {round} of {ROUNDS}"));
        // The first one warms up.
        if let ([Some(direct), Some(mesh), Some(chain)], 1..) = (taken, round) {
            ways.direct.push(direct);
            ways.mesh.push(mesh);
            ways.chain.push(chain);
            ways.process.push(process);
        }
    }
    report(ways, cold, prompt_tokens)
}

/// Empties the gateway's own prompt.
fn forget_prompt(deployment: &Deployment) -> Result<()> {
    let folder = deployment.home.root.join(PROMPT);
    let files = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    for file in files {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::write(file.path(), "")?;
        }
    }
    Ok(())
}

impl From<Reply> for Sample {
    fn from(reply: Reply) -> Self {
        Self { first: reply.first, token: reply.token(TOKENS), read: reply.read }
    }
}

/// The engine itself, over its socket at home.
fn direct(deployment: &Deployment) -> Result<Sample> {
    let socket = deployment.home.root.join("run/maru/inference/llm.sock");
    let watch = Watch::start();
    ask(UnixStream::connect(socket)?, "localhost", watch)
}

/// The gateway over the mesh, unsealed: what the chain adds besides sealing and the process.
fn mesh(laptop: &Instance) -> Result<Sample> {
    // The first connection only tells the address: asking for it takes a process.
    let address = laptop.dial(18789)?.peer_addr()?;
    let watch = Watch::start();
    let stream = laptop.machine.in_network(|| std::net::TcpStream::connect(address))?;
    ask(stream, "chat.maru.home.arpa:18789", watch)
}

fn ask(stream: impl Read + Write, host: &str, watch: Watch) -> Result<Sample> {
    let body = json!({
        "model": "default", "stream": true, "stream_options": { "include_usage": true },
        "max_tokens": TOKENS, "ignore_eos": true, "temperature": 0,
        "messages": [{ "role": "user", "content": QUESTION }],
    });
    Ok(watch.ask(stream, host, &body)?.into())
}

/// The whole chain: a process of `maru chat` on the laptop, sealed, in a conversation of its own.
fn chain(laptop: &Instance, session: &str) -> Result<Sample> {
    let tokens = TOKENS.to_string();
    let mut command = laptop.maru(&["chat", "-o", "json", "--session", session]);
    command.args(["--max-tokens", &tokens, "--ignore-eos", "--temperature", "0"]);
    command.args(["--ask", QUESTION]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut watch = Watch::start();
    let mut child = command.spawn().context("cannot run nsenter (util-linux)")?;
    for line in BufReader::new(child.stdout.take().context("no pipe")?).lines() {
        watch.maru(&line?);
    }
    ensure!(child.wait()?.success(), "maru chat failed");
    Ok(watch.end()?.into())
}

/// How long it takes to start `maru` on the laptop and to end it.
fn nothing(laptop: &Instance) -> Result<f64> {
    let start = Instant::now();
    laptop.ok(&["--version"])?;
    Ok(milliseconds(start.elapsed()))
}

fn report(ways: PathSamples, [ready, cold]: [f64; 2], prompt_tokens: u64) -> Result<Report> {
    let process = round(median(ways.process), 1);
    let base = Medians::of(&ways.direct, &ways.direct);
    let mut table = vec![row(["median, ms", "first", "added", "ratio", "token", "added", "ratio"])];
    let mut results = json!({
        "rounds": ROUNDS, "tokens": TOKENS, "process_start": process,
        "cold": {
            "ready": round(ready, 0), "first_token": round(cold, 0),
            "prompt_tokens": prompt_tokens,
        },
    });
    let chain = [
        ("direct", "the model itself", &ways.direct),
        ("mesh", "gateway over the mesh", &ways.mesh),
        ("chain", "maru chat, sealed", &ways.chain),
    ];
    for (key, name, samples) in chain {
        let medians = Medians::of(samples, &ways.direct);
        let [added, more] = [medians.first_added, medians.token_added];
        let [ratio, slower] = [medians.first / base.first, medians.token / base.token];
        let number = |value: f64| format!("{value:.2}");
        let numbers = [medians.first, added, ratio, medians.token, more, slower].map(number);
        table.push(std::iter::once(name.to_owned()).chain(numbers).collect());
        let read = samples.last().context("no sample")?.read;
        results[key] = json!({
            "first_token": round(medians.first, 2), "first_token_added": round(added, 2),
            "first_token_ratio": round(ratio, 3), "per_token": round(medians.token, 3),
            "per_token_added": round(more, 3), "per_token_ratio": round(slower, 3),
            "first_token_range": medians.range, "prompt_tokens": read,
        });
    }
    let read: Vec<String> =
        chain.iter().map(|(key, ..)| results[key]["prompt_tokens"].to_string()).collect();
    let notes = vec![
        format!(
            "{ROUNDS} rounds of every way in turn, {TOKENS} tokens each; added: median of the \
             rounds' differences; the model read {} tokens",
            read.join(", ")
        ),
        format!(
            "maru chat: its process's start is included ({process} ms for `maru --version` in the \
             lab)"
        ),
        format!(
            "cold start on a fresh root: ready after {:.1} s, first token of a laptop that was \
             invited and approved meanwhile after {:.1} s ({prompt_tokens} tokens read)",
            ready / 1e3,
            cold / 1e3
        ),
    ];
    Ok(Report { unit: "ms", results, table, notes })
}

/// The medians of one way, and of what it added in each round to the first way.
#[derive(Debug)]
struct Medians {
    first: f64,
    first_added: f64,
    token: f64,
    token_added: f64,
    /// Least and most until the first token.
    range: [f64; 2],
}

impl Medians {
    fn of(samples: &[Sample], base: &[Sample]) -> Self {
        let all = |what: fn(&Sample) -> f64| samples.iter().map(what);
        let added = |what: fn(&Sample) -> f64| {
            median(samples.iter().zip(base).map(|(one, other)| what(one) - what(other)).collect())
        };
        Self {
            first: median(all(|sample| sample.first).collect()),
            first_added: added(|sample| sample.first),
            token: median(all(|sample| sample.token).collect()),
            token_added: added(|sample| sample.token),
            range: [
                round(all(|sample| sample.first).fold(f64::INFINITY, f64::min), 2),
                round(all(|sample| sample.first).fold(0.0, f64::max), 2),
            ],
        }
    }
}
