//! Seeds: inputs made from the project's own vectors and documents, and from the policy cases beside it.
//!
//! They are written into the target folder each time, so that they never differ from what they are made of. The
//! policy cases are read where they are and are no part of the project; where they are missing, targets do without.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

mod confidential;
mod writer;

use writer::{Seeds, list};

/// Bytes that shape the network to which a case's policy is applied.
const SHAPE: usize = 48;

/// Writes all seeds below `into`, one folder for each target.
pub(super) fn write(root: &Path, into: &Path) -> Result<()> {
    if into.exists() {
        fs::remove_dir_all(into)?;
    }
    let seeds = Seeds { into };
    let protocols = root.join("docs/protocols");
    sealed_chat(&seeds, &json(&protocols.join("vectors/sealed-chat.json"))?)?;
    plugin(&seeds, &json(&protocols.join("vectors/plugin.json"))?)?;
    confidential::write(&seeds, &json(&protocols.join("vectors/confidential.json"))?)?;
    for (document, target) in
        [("local-api.md", "local_interfaces"), ("sealed-chat.md", "sealed_chat")]
    {
        let text = fs::read_to_string(protocols.join(document))?;
        let prefix = if target == "sealed_chat" { "\0" } else { "" };
        for (index, example) in examples(&text).enumerate() {
            let content = format!("{prefix}{example}");
            seeds.add(target, &format!("{document}-{index}"), content.as_bytes())?;
        }
    }
    let example = fs::read(root.join("ai-gateway/server/openclaw.example.json"))?;
    seeds.add("openclaw", "example", &example)?;
    policies(&seeds, &root.join("../shared/acl-cases"))
}

fn json(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("no {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// The blocks of JSON in a document.
fn examples(text: &str) -> impl Iterator<Item = &str> {
    text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next())
}

/// Key document, proof of a device key, requests, what is in them, and replies as they are streamed.
fn sealed_chat(seeds: &Seeds<'_>, vectors: &Value) -> Result<()> {
    let document = vectors["document"].to_string();
    seeds.add("sealed_keys", "document", document.as_bytes())?;
    seeds.add_uncut("sealed_chat", "document", document.as_bytes())?;
    seeds.add_uncut("sealed_chat", "bind", vectors["bind"].to_string().as_bytes())?;
    for case in list(vectors, "cases")? {
        let suite = case["suite"].as_str().unwrap_or_default();
        let request = case["request"].to_string();
        seeds.add_uncut("sealed_chat", &format!("request-{suite}"), request.as_bytes())?;
        let plaintext = case["plaintext"].as_str().unwrap_or_default();
        seeds.add_uncut("sealed_chat", &format!("plaintext-{suite}"), plaintext.as_bytes())?;
        let mut stream = String::new();
        for (index, part) in list(case, "reply")?.iter().enumerate() {
            let event = part["event"].as_str().unwrap_or_default();
            stream.push_str(&format!("event: {event}\ndata: {}\n\n", part["data"]));
            let plaintext = part["plaintext"].as_str().unwrap_or_default();
            let name = format!("reply-{suite}-{index}");
            seeds.add_uncut("sealed_chat", &name, plaintext.as_bytes())?;
        }
        seeds.add_uncut("sealed_chat", &format!("reply-{suite}"), stream.as_bytes())?;
    }
    Ok(())
}

/// The header before a connection, and HTTP heads as clients and servers write them.
fn plugin(seeds: &Seeds<'_>, vectors: &Value) -> Result<()> {
    let preface = hex::decode(vectors["preface"].as_str().unwrap_or_default())?;
    seeds.add_uncut("mesh_identity", "preface", &preface)?;
    for (index, exchange) in list(vectors, "exchanges")?.iter().enumerate() {
        for side in ["from_client", "from_gateway"] {
            let Some(text) = exchange[side].as_str() else { continue };
            seeds.add_uncut("relay_frames", &format!("{side}-{index}"), text.as_bytes())?;
            let host = text.lines().find_map(|line| line.strip_prefix("Host: "));
            if let Some(host) = host {
                seeds.add_uncut("mesh_identity", &format!("host-{index}"), host.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Each case's policy, with bytes that shape a network for it.
fn policies(seeds: &Seeds<'_>, folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let cases = json(&path)?;
        for (index, case) in cases.as_array().into_iter().flatten().enumerate() {
            let policy = case["policy"].as_str().unwrap_or_default();
            let shape: Vec<u8> =
                (0..SHAPE).map(|at| (index * 31 + at * 7 + at * at) as u8).collect();
            let content = [policy.as_bytes(), b"\0", &shape].concat();
            seeds.add("policy", &format!("{name}-{index}"), &content)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_make_seeds_for_each_target_that_reads_them() {
        let folder = tempfile::tempdir().unwrap();

        write(&crate::workspace::root(), folder.path()).unwrap();

        let count = |target: &str| fs::read_dir(folder.path().join(target)).unwrap().count();
        assert_eq!((count("sealed_keys"), count("openclaw")), (1, 1));
        assert!(count("sealed_chat") > 16);
        assert!(count("mesh_identity") > 2 && count("relay_frames") > 4);
        assert!(count("local_interfaces") > 1);
        assert!(count("binary_http") > 12 && count("ohttp_keys") == 4);
        assert!(count("confidential_documents") > 4 && count("worker_questions") > 1);
        let preface = fs::read(folder.path().join("mesh_identity/preface")).unwrap();
        assert!(preface.starts_with(b"\0\r\n\r\n\0\r\nQUIT\n"));
    }
}
