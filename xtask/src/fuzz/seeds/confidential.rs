//! Of the confidential chain: messages of Binary HTTP, key configurations, signed documents.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::writer::{Seeds, list};

/// Writes them.
pub(super) fn write(seeds: &Seeds<'_>, vectors: &Value) -> Result<()> {
    for (at, key) in list(vectors, "gateway_keys")?.iter().enumerate() {
        seeds.add("ohttp_keys", &format!("key-{at}"), &bytes(&key["key_config"])?)?;
    }
    seeds.add("ohttp_keys", "list", &bytes(&vectors["ohttp_keys"])?)?;
    for (at, case) in list(vectors, "outer")?.iter().enumerate() {
        for name in ["request", "response"] {
            message(seeds, &format!("outer-{name}-{at}"), &case[name])?;
        }
    }
    for (at, case) in list(vectors, "inner")?.iter().enumerate() {
        message(seeds, &format!("inner-request-{at}"), &case["request"])?;
        let question = bytes(&case["request"]["plaintext"])?;
        seeds.add("worker_questions", &format!("inner-{at}"), &question)?;
        for (node, candidate) in list(case, "candidates")?.iter().enumerate() {
            message(seeds, &format!("inner-response-{at}-{node}"), &candidate["response"])?;
        }
    }
    let documents = &vectors["documents"];
    for name in ["certificate", "policy", "bundle"] {
        let signed = &documents[name]["document"];
        let payload = signed["payload"].as_str().unwrap_or_default();
        document(seeds, &format!("{name}-signed"), &signed.to_string())?;
        document(seeds, &format!("{name}-payload"), payload)?;
    }
    document(seeds, "config", documents["config"]["body"].as_str().unwrap_or_default())
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    Ok(hex::decode(value.as_str().context("the vectors have no such bytes")?)?)
}

fn message(seeds: &Seeds<'_>, name: &str, message: &Value) -> Result<()> {
    seeds.add_uncut("binary_http", name, &bytes(&message["plaintext"])?)
}

fn document(seeds: &Seeds<'_>, name: &str, text: &str) -> Result<()> {
    seeds.add("confidential_documents", &format!("vectors-{name}"), text.as_bytes())
}
