//! What a node runs, as its registers tell it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::measure::register;
use crate::binary;

/// What a node's evidence shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// What the policy names.
    TheImage,
    /// A `maru-compute` of which one byte is another.
    OneChangedByte,
    /// Nothing: all registers are zero, as in an enclave under a debugger.
    Zeros,
}

/// The registers of what the nodes run: PCR0 of `maru-compute`, PCR1 of the engine, PCR2 of the model.
#[derive(Clone, Debug)]
pub(super) struct Image {
    compute: String,
    changed: String,
    engine: String,
    model: String,
}

impl Image {
    /// Measures the files; `state` is for a copy of one.
    pub(super) fn measure(state: &Path, model: &Path) -> Result<Self> {
        let compute = binary("maru-compute")?;
        let copy = state.join("maru-compute-changed");
        let mut bytes = fs::read(&compute)?;
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).context("maru-compute is empty")? ^= 1;
        fs::write(&copy, bytes)?;
        let changed = register(&copy)?;
        fs::remove_file(copy)?;
        let (compute, engine) = (register(&compute)?, register(&binary("maru-llm")?)?);
        Ok(Self { compute, changed, engine, model: register(model)? })
    }

    /// PCR0 to PCR2 of a node that shows this.
    pub(super) fn registers(&self, shows: Shows) -> Vec<&str> {
        let rest = [self.engine.as_str(), &self.model];
        match shows {
            Shows::TheImage => [&[self.compute.as_str()][..], &rest].concat(),
            Shows::OneChangedByte => [&[self.changed.as_str()][..], &rest].concat(),
            Shows::Zeros => Vec::new(),
        }
    }
}
