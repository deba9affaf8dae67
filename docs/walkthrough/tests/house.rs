//! Rules of this workspace that neither rustc nor clippy can state.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

/// Crates by layer; see `docs/architecture.md`.
const LAYERS: &[(&str, u8)] = &[
    ("acl", 0),
    ("control-protocol", 0),
    ("coordinator-api", 0),
    ("node-agent-api", 0),
    ("mesh-identity", 0),
    ("ai-gateway-api", 0),
    ("coordinator-core", 1),
    ("node-agent-core", 1),
    ("hpke-envelope", 1),
    ("derp", 1),
    ("control-stream", 2),
    ("mesh-listener", 2),
    ("wireguard-device", 2),
    ("llm-backend", 2),
    ("coordinator", 3),
    ("node-agent", 3),
    ("ai-gateway", 3),
    ("telmeet", 3),
    ("maru-llm", 3),
    ("cli", 4),
    ("xtask", 4),
    ("lab", 4),
    ("walkthrough", 4),
];

/// What a crate that says or decides must do without.
const IO: &[&str] = &["axum", "hyper", "mio", "reqwest", "socket2", "sqlx", "tokio"];

fn metadata(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

/// Names of what a package depends on, tests and build scripts left out.
fn dependencies(package: &Value) -> Vec<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    let normal = all.filter(|dependency| dependency["kind"].is_null());
    normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn dependencies_point_down() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let own = layer(name).unwrap_or_else(|| panic!("{name} has no layer in this test"));
        for dependency in dependencies(package) {
            let Some(below) = layer(&dependency) else { continue };
            let allowed = match (own, below) {
                (4, _) => name != "cli" || below <= 1,
                (3, 3) => false,
                _ => below < own || (below == own && own < 3),
            };
            assert!(allowed, "{name} (layer {own}) depends on {dependency} (layer {below})");
        }
    }
}

#[test]
fn crates_that_say_or_decide_do_no_io() {
    let metadata = metadata(&[]);
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let name = |id: &str| -> String {
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["id"] == id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let normal: BTreeMap<&str, Vec<&str>> = nodes
        .iter()
        .map(|node| {
            let all = node["deps"].as_array().unwrap().iter();
            let normal = all.filter(|dep| {
                dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            let ids = normal.map(|dep| dep["pkg"].as_str().unwrap()).collect();
            (node["id"].as_str().unwrap(), ids)
        })
        .collect();
    for id in normal.keys() {
        let own = name(id);
        if layer(&own).is_none_or(|layer| layer > 1) {
            continue;
        }
        let (mut seen, mut next) = (Vec::new(), vec![*id]);
        while let Some(id) = next.pop() {
            for dependency in &normal[id] {
                if !seen.contains(dependency) {
                    seen.push(dependency);
                    next.push(dependency);
                }
            }
        }
        for dependency in seen {
            let dependency = name(dependency);
            assert!(!IO.contains(&dependency.as_str()), "{own} depends on {dependency}");
        }
    }
}

#[test]
fn every_crate_inherits_the_workspace_lints() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let path = package["manifest_path"].as_str().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{path} sets its own lints");
    }
}

#[test]
fn crates_that_say_or_decide_forbid_unsafe_code() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if layer(name).is_none_or(|layer| layer > 1) {
            continue;
        }
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let text = std::fs::read_to_string(manifest.with_file_name("src/lib.rs")).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name} may be unsafe");
    }
}

#[test]
fn a_daemons_main_is_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in [
        "coordinator/server",
        "node-agent/daemon",
        "ai-gateway/server",
        "messaging-plugin",
        "llm-backend/engine",
        "cli",
    ] {
        let text = std::fs::read_to_string(root.join(folder).join("src/main.rs")).unwrap();
        assert!(text.lines().count() <= 50, "{folder}: a daemon is a library and a short main");
    }
}
