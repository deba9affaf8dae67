//! Asks directly and through the chain, in turn.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use attestation::Pin;
use chat_vocabulary::{ChatRequest, Message, Options};
use futures_util::StreamExt as _;
use llm_backend::{
    Backend, OpenAiCompatible, Timeouts, Tls,
    confidential::{self, Confidential, InMemoryStore},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Failure,
    summary::{median, micros, percentiles},
};

/// How long the chain may take until it answers for the first time.
const START: Duration = Duration::from_secs(60);
/// Processes that a piece of a reply passes: worker, router-com, router, gateway, relay.
const HOPS: f64 = 5.0;

/// What is asked of whom.
#[derive(Deserialize)]
pub(crate) struct Parameters {
    /// The model server.
    engine: String,
    auth: String,
    relay: String,
    /// The authority of the deployment's certificates.
    ca: PathBuf,
    pin: Pin,
    model: String,
    /// Requests one after the other, each way.
    sequential: usize,
    /// At a time, and how many in all.
    parallel: usize,
    requests: usize,
    /// Pieces of a long reply, and how many of them are asked for.
    chunks: u32,
    long: usize,
}

/// When a reply began and ended, in microseconds since it was asked for.
#[derive(Clone, Copy, Debug)]
struct Timing {
    first: f64,
    total: f64,
}

pub(crate) async fn run(parameters: Parameters) -> Result<Value, Failure> {
    let direct = OpenAiCompatible::new(llm_backend::Settings::new(&parameters.engine))?;
    let chain = Arc::new(client(&parameters)?);
    ready(&chain, &parameters.model).await?;
    let model = parameters.model.as_str();

    let (mut added, mut first, mut base) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = 0;
    // What is made once is made before: connections, threads, workers.
    for number in 0..parameters.sequential + 10 {
        let without = ask(&direct, model, 16).await?;
        match ask(&*chain, model, 16).await {
            Ok(with) if number >= 10 => {
                added.push(with.first - without.first);
                first.push(with.first);
                base.push(without.first);
            }
            Ok(_) => {}
            Err(_) => failed += 1,
        }
    }
    let mut chunk = Vec::new();
    for _ in 0..parameters.long {
        let without = ask(&direct, model, parameters.chunks).await?;
        let with = ask(&*chain, model, parameters.chunks).await?;
        let streamed = |took: Timing| took.total - took.first;
        chunk.push((streamed(with) - streamed(without)) / f64::from(parameters.chunks) / HOPS);
    }
    let (seconds, totals) = at_once(&chain, &parameters).await;
    let failed_at_once = parameters.requests - totals.len();
    Ok(json!({
        "first_added_us": percentiles(added), "first_us": percentiles(first),
        "direct_first_us": percentiles(base), "failed": failed,
        "chunk_and_hop_us": median(chunk), "hops": HOPS,
        "per_second": totals.len() as f64 / seconds, "parallel": parameters.parallel,
        "parallel_us": percentiles(totals), "failed_parallel": failed_at_once,
    }))
}

fn client(parameters: &Parameters) -> Result<Confidential, Failure> {
    let way = |url: &str| {
        let tls = Tls { ca: Some(parameters.ca.clone()), ..Tls::default() };
        llm_backend::Settings { tls, ..llm_backend::Settings::new(url) }
    };
    Ok(Confidential::new(confidential::Settings {
        name: "bench".to_owned(),
        auth: way(&parameters.auth),
        relays: vec![way(&parameters.relay)],
        pin: parameters.pin.clone(),
        simulated: true,
        shared_seeds: false,
        verified_for: Duration::from_secs(60),
        timeouts: Timeouts::default(),
        memory: Arc::new(InMemoryStore::default()),
    })?)
}

/// Waits until the chain answers.
async fn ready(chain: &Confidential, model: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match ask(chain, model, 1).await {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > START => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn ask(backend: &dyn Backend, model: &str, tokens: u32) -> Result<Timing, Failure> {
    let request = ChatRequest {
        model: Some(model.to_owned()),
        messages: vec![Message::user("In a few sentences: what is a home?")],
        options: Options { max_tokens: Some(tokens), ..Options::default() },
        ..ChatRequest::default()
    };
    let begun = Instant::now();
    let mut deltas = backend.chat(request).await?;
    let (mut first, mut said) = (None, 0);
    while let Some(delta) = deltas.next().await {
        if !delta?.content.is_empty() {
            first.get_or_insert_with(|| micros(begun));
            said += 1;
        }
    }
    if said == 0 {
        return Err("a reply without a word".into());
    }
    Ok(Timing { first: first.unwrap_or_default(), total: micros(begun) })
}

/// Many at once: the seconds that all took, and the microseconds of each that was answered.
async fn at_once(chain: &Arc<Confidential>, parameters: &Parameters) -> (f64, Vec<f64>) {
    let left = Arc::new(AtomicUsize::new(parameters.requests));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..parameters.parallel {
        let (chain, left, model) = (Arc::clone(chain), Arc::clone(&left), parameters.model.clone());
        tasks.spawn(async move {
            let mut totals = Vec::new();
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                totals.extend(ask(&*chain, &model, 16).await.ok().map(|took| took.total));
            }
            totals
        });
    }
    let totals = tasks.join_all().await.concat();
    (begun.elapsed().as_secs_f64(), totals)
}
