//! `maru confidential verify`: evidence of a node, check by check.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use anyhow::{Context as _, anyhow, ensure};
use attestation::{Check, Expectations, MAX_EVIDENCE, Nonce, Outcome, Pin, Report};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use confidential_api::{
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::Policy,
    signed::Signed,
};
use jiff::Timestamp;
use messages::message;
use serde::Serialize;

use crate::output::{self, Format, OutputArgs};

/// Longest file that is read: evidence as base64, and its line breaks.
const MAX_FILE: usize = 2 * MAX_EVIDENCE;

#[derive(Clone, Debug, Args)]
pub(crate) struct VerifyArgs {
    /// File with the evidence, as the node gave it, or with a Nitro document alone; base64 of either
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File with the deployment's signed policy (JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// File with what the home pinned of the deployment (JSON); without it the policy's signature is not checked
    #[arg(long, value_name = "FILE")]
    pub(crate) pin: Option<PathBuf>,
    /// Nonce that the node was asked with: 64 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = nonce)]
    pub(crate) nonce: Option<[u8; Nonce::LEN]>,
    /// Model that the node must serve
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Accept simulated evidence if the policy does
    #[arg(long)]
    pub(crate) simulated: bool,
    /// Check as of this time, such as 2026-11-23T08:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<SystemTime>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Reads a time of RFC 3339; without an offset it is UTC.
fn time(text: &str) -> Result<SystemTime, String> {
    let time: Result<Timestamp, _> = text.parse().or_else(|_| format!("{text}Z").parse());
    let time = time.ok().filter(|time| *time >= Timestamp::UNIX_EPOCH);
    time.map(SystemTime::from).ok_or_else(|| message!("not-a-time").to_string())
}

fn nonce(text: &str) -> Result<[u8; Nonce::LEN], String> {
    let mut bytes = [0; Nonce::LEN];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| message!("not-a-nonce").to_string())?;
    Ok(bytes)
}

/// Prints the result of each check.
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let evidence = evidence(&args.file)?;
    let policy: Signed<Policy> = Signed::parse(&read(&args.policy)?)?;
    let pin = args.pin.as_deref().map(pin).transpose()?;
    let known = Expectations {
        model: args.model.as_deref(),
        nonce: args.nonce.map(Nonce::from_bytes),
        simulated: Some(args.simulated),
    };
    let at = args.at.unwrap_or_else(SystemTime::now);
    let at = at.duration_since(SystemTime::UNIX_EPOCH).context(message!("time-before-1970"))?;
    let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    let report = attestation::report(&evidence, &known, &policy, pin.as_ref(), at)?;
    show(args.output.output, &report)
}

/// Reads a file of limited size.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let file = File::open(path).with_context(|| message!("file-not-read", path = name))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .with_context(|| message!("file-not-read", path = name))?;
    ensure!(bytes.len() <= MAX_FILE, message!("evidence-too-large", path = name));
    Ok(bytes)
}

fn pin(path: &Path) -> anyhow::Result<Pin> {
    let name = path.display();
    serde_json::from_slice(&read(path)?).with_context(|| message!("not-a-pin", path = name))
}

fn evidence(path: &Path) -> anyhow::Result<EvidenceList> {
    let bytes = read(path)?;
    decode(&bytes).or_else(|| decode(&base64(&bytes)?)).ok_or_else(|| {
        let name = path.display();
        anyhow!(message!("not-evidence", path = name))
    })
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}

/// A document is an array of four in CBOR; a list of pieces begins with the first piece's field.
fn decode(bytes: &[u8]) -> Option<EvidenceList> {
    match bytes.first()? {
        0x84 => {
            let kind = EvidenceType::NITRO_DOCUMENT;
            let piece = EvidencePiece { kind, data: bytes.to_vec(), signature: Vec::new() };
            Some(EvidenceList(vec![piece]))
        }
        _ => EvidenceList::decode(bytes).ok().filter(|list| !list.0.is_empty()),
    }
}

/// One check, as it is printed.
#[derive(Serialize)]
struct Row {
    check: Check,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    says: &'static str,
}

fn show(format: Format, report: &Report) -> anyhow::Result<ExitCode> {
    let row = |(check, outcome): (Check, Outcome)| {
        let (code, says) = match outcome {
            Outcome::Failed(code) => (Some(code.as_str()), code.sentence()),
            Outcome::Passed | Outcome::NotChecked => (None, check.sentence()),
        };
        Row { check, outcome, code, says }
    };
    let rows: Vec<Row> = report.iter().map(row).collect();
    output::list(format, &rows, &message!("verify-heads"), |row| {
        let [check, outcome] = [output::word(&row.check), output::word(&row.outcome)];
        vec![check, outcome, row.code.unwrap_or("").to_owned(), row.says.to_owned()]
    })?;
    let failed = rows.iter().filter(|row| row.code.is_some()).count();
    if format == Format::Table {
        output::note(&match (failed, report.is_fit()) {
            (0, true) => message!("verify-passed").to_string(),
            (0, false) => unproved(&rows),
            (_, _) => message!("verify-refused", failed, count = rows.len()).to_string(),
        });
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// The note where no check failed and some were not made.
fn unproved(rows: &[Row]) -> String {
    let open = rows.iter().filter(|row| row.outcome == Outcome::NotChecked);
    let open: Vec<_> = open.map(|row| output::word(&row.check)).collect();
    message!("verify-unproved", open = open.join(", ")).to_string()
}
