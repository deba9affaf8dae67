//! Finds the real document that the crate `nitro_attest` carries for its own tests.
#![allow(clippy::expect_used, reason = "nothing to do but fail")]

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let [cargo, target] = ["CARGO", "TARGET"].map(|name| env::var(name).expect("cargo sets it"));
    let out = Command::new(cargo)
        // Not offline: what only other programs of this workspace need may not be downloaded yet.
        .args(["metadata", "--format-version", "1", "--locked"])
        // What other systems need is not.
        .args(["--filter-platform", &target])
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).expect("metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "nitro_attest");
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let folder = manifest.map(Path::new).and_then(Path::parent).expect("nitro_attest is there");
    let document = folder.join("tests/fixtures/attestation.cose");
    println!("cargo::rustc-env=NITRO_ATTEST_DOCUMENT={}", document.display());
}
