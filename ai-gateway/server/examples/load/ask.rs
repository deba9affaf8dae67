//! Many callers at once.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    Failure,
    caller::{Caller, Outcome},
    sealed::{self, Operations},
    summary::summary,
};

/// Where the callers connect, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// A UNIX socket
    #[arg(long)]
    pub(crate) unix: Option<PathBuf>,
    /// A port of 127.0.0.1
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Say who calls, as the agent does
    #[arg(long)]
    pub(crate) identity: bool,
    /// Host that is asked for
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
}

/// What is asked, how often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Model to ask
    #[arg(long, default_value = "fast")]
    pub(crate) model: String,
    /// A further header, as `Name: value`
    #[arg(long)]
    header: Vec<String>,
    /// Ask for a streamed answer
    #[arg(long)]
    stream: bool,
    /// Ask under the seal
    #[arg(long)]
    sealed: bool,
    /// What is asked under the seal
    #[arg(long, value_enum, default_value_t = Operations::Chat)]
    pub(crate) operation: Operations,
    /// Keep chats under the seal, in sessions whose names begin so
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// The question
    #[arg(long, default_value = "In a few sentences: what is a home?")]
    pub(crate) text: String,
    /// Connections
    #[arg(long, default_value_t = 1)]
    parallel: usize,
    /// Requests in all
    #[arg(long)]
    requests: usize,
    /// End after so many seconds, though not all was asked
    #[arg(long, default_value_t = 120)]
    seconds: u64,
}

/// How long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) f64);

impl Target {
    /// The head of a request to this place.
    pub(crate) fn head(
        &self,
        method: &str,
        path: &str,
        headers: &[String],
        length: usize,
    ) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for header in headers {
            head.push_str(&format!("{header}\r\n"));
        }
        if length > 0 {
            head.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        head + "\r\n"
    }
}

/// Requests that are written out, for one caller.
enum Requests {
    /// The same again and again.
    Same(Arc<[u8]>),
    /// Each one once.
    Once(std::vec::IntoIter<Vec<u8>>),
}

/// Asks.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let each = args.requests.div_ceil(args.parallel);
    let left = Arc::new(AtomicUsize::new(args.requests));
    let end = match (args.sealed, args.stream) {
        (true, _) => "event: final",
        (false, true) => "[DONE]",
        (false, false) => "",
    };
    let mut callers = Vec::new();
    for number in 0..args.parallel {
        let mut caller = Caller::connect(&args.target, number).await?;
        let requests = if args.sealed {
            Requests::Once(sealed::requests(&args, &mut caller, number, each).await?.into_iter())
        } else {
            Requests::Same(plain(&args).into())
        };
        callers.push((caller, requests));
    }
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(args.seconds);
    let mut tasks = JoinSet::new();
    for (caller, requests) in callers {
        tasks.spawn(work(caller, requests, Arc::clone(&left), end, deadline));
    }
    let (mut outcomes, mut failed) = (Vec::new(), 0);
    while let Some(task) = tasks.join_next().await {
        let (mut own, broke) = task?;
        outcomes.append(&mut own);
        failed += usize::from(broke);
    }
    let seconds = Seconds(begun.elapsed().as_secs_f64());
    println!("{}", summary(&outcomes, failed, seconds));
    Ok(())
}

/// Asks on one connection until nothing is left; whether the connection broke.
async fn work(
    mut caller: Caller,
    mut requests: Requests,
    left: Arc<AtomicUsize>,
    end: &str,
    deadline: Instant,
) -> (Vec<Outcome>, bool) {
    let mut outcomes = Vec::new();
    loop {
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if taken.is_err() || Instant::now() >= deadline {
            return (outcomes, false);
        }
        let asked = match &mut requests {
            Requests::Same(request) => caller.ask(request, end).await,
            Requests::Once(once) => match once.next() {
                Some(request) => caller.ask(&request, end).await,
                None => return (outcomes, false),
            },
        };
        match asked {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => return (outcomes, true),
        }
    }
}

fn plain(args: &Args) -> Vec<u8> {
    let body = serde_json::json!({
        "model": args.model, "stream": args.stream, "max_tokens": 64,
        "messages": [{ "role": "user", "content": args.text }],
    });
    let body = body.to_string();
    let head = args.target.head("POST", "/v1/chat/completions", &args.header, body.len());
    (head + &body).into_bytes()
}

/// Asks the model server what it was asked last.
pub(crate) async fn last(target: &Target) -> Result<(), Failure> {
    let request = target.head("GET", "/last", &[], 0);
    let (_, body) = Caller::connect(target, 0).await?.text(request.as_bytes()).await?;
    println!("{}", String::from_utf8(body)?);
    Ok(())
}

/// Waits until the place is ready.
pub(crate) async fn ready(target: &Target) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let request = target.head("GET", "/healthz", &[], 0);
    while Instant::now() < deadline {
        if let Ok(mut caller) = Caller::connect(target, 0).await
            // Not everybody knows the path; whoever says so is ready.
            && caller.text(request.as_bytes()).await.is_ok()
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err("it is not ready after a minute".into())
}
