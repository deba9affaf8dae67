//! What verifying costs: the evidence that nodes of a running deployment show.

use std::{
    hint::black_box,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use attestation::{Challenge, EffectivePolicy, Nonce, Pin, VerifiedNode, verify};
use confidential_api::{
    evidence::{EvidenceList, EvidenceType},
    names::{media, model_tag, path},
    policy::Policy,
    routing::{ComputeManifestList, ComputeManifestRequest},
    signed::Signed,
};
use http_body_util::Full;
use hyper::{Method, Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    Failure,
    summary::{micros, percentiles},
};

/// Verifications of each node's evidence.
const ROUNDS: usize = 300;
/// Questions in a row whether one holds: one alone is below the clock's step.
const HOLDS: u32 = 1000;

/// Longest list of nodes, in bytes.
const LIST_MAX: usize = 16 << 20;
/// How long the router may take for it.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
pub(crate) struct Parameters {
    /// The router's address; it is asked as the gateway asks it.
    router: std::net::SocketAddr,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    pin: Pin,
    /// The policy as it is published.
    policy: PathBuf,
    models: Vec<String>,
}

/// Times, in microseconds, for the first node of each model.
pub(crate) async fn run(parameters: Parameters) -> Result<Value, Failure> {
    let signed: Signed<Policy> = Signed::parse(&std::fs::read(&parameters.policy)?)?;
    let policy = EffectivePolicy::new(parameters.pin.clone(), signed, None, now_ms())?;
    let mut times = Map::new();
    for model in &parameters.models {
        let list = manifests(&parameters, model).await?;
        let manifest = list.0.first().ok_or("the router knows no node of the model")?;
        let judged = || judge(manifest.id, &manifest.evidence, model, &policy);
        let fit = judged()?;
        let mut samples = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            black_box(judged()?);
            samples.push(micros(begun));
        }
        let begun = Instant::now();
        for _ in 0..HOLDS {
            black_box(black_box(&fit).holds(Duration::from_secs(60), now_ms()));
        }
        let cached = micros(begun) / f64::from(HOLDS);
        times.insert(model.clone(), percentiles(samples));
        times.insert(format!("{model}_cached"), ((cached * 1e3).round() / 1e3).into());
    }
    Ok(Value::Object(times))
}

/// Judges evidence for the nonce that it was made with, as whoever asked for it does.
fn judge(
    node: confidential_api::NodeId,
    evidence: &EvidenceList,
    model: &str,
    policy: &EffectivePolicy,
) -> Result<VerifiedNode, Failure> {
    let set = evidence.0.iter().find(|piece| piece.kind == EvidenceType::NONCE_SET);
    let nonce = set.and_then(|set| set.data.first_chunk()).ok_or("evidence without a nonce")?;
    let asked = Challenge { node, model, nonce: Nonce::from_bytes(*nonce), simulated: true };
    Ok(verify(evidence, asked, policy, now_ms())?)
}

async fn manifests(parameters: &Parameters, model: &str) -> Result<ComputeManifestList, Failure> {
    let own = chassis::tls::CertificateFiles {
        certificate: parameters.certificate.clone(),
        key: parameters.key.clone(),
    };
    let tls = chassis::tls::client(&parameters.ca, Some(&own), &[&rustls::version::TLS13])?;
    let stream = TcpStream::connect(parameters.router).await?;
    let stream =
        TlsConnector::from(Arc::clone(&tls)).connect(parameters.router.ip().into(), stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let asked = ComputeManifestRequest { tags: vec![model_tag(model)], limit: 1 };
    let request = Request::builder()
        .method(Method::POST)
        .uri(path::COMPUTE_MANIFESTS)
        .header(header::HOST, parameters.router.to_string())
        .header(header::CONTENT_TYPE, media::BINARY)
        .body(Full::new(bytes::Bytes::from(asked.encode())))?;
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(format!("the router answers {}", answer.status()).into());
    }
    let list = chassis::body::whole(answer.into_body(), LIST_MAX, PATIENCE).await?;
    Ok(ComputeManifestList::decode(&list)?)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
