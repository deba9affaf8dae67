//! What a node runs, as its registers tell it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use sha2::{Sha256, Sha384};

use super::measure::{Hashes, register};
use crate::binary;

/// The model that the nodes answer as, and what a home calls the deployment.
pub const MODEL: &str = "smollm2";

/// The measurement in a node's evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// The image in the policy.
    TheImage,
    /// A `maru-compute` of which one byte is another.
    OneChangedByte,
    /// Nothing: all registers are zero, as in an enclave under a debugger, or where a TPM was told nothing.
    Zeros,
}

/// The holder of a node's key, which makes its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// An enclave's memory and its security module, for which `maru-attester` stands in.
    Enclave,
    /// A TPM, for which `swtpm` stands in.
    Tpm,
}

/// What the nodes run: an enclave has PCR0 of `maru-compute`, PCR1 of the engine, PCR2 of the model; a TPM has PCR8 of both
/// programs and PCR12 of the model.
#[derive(Clone, Debug)]
pub(super) struct Image {
    compute: Hashes,
    changed: Hashes,
    engine: Hashes,
    model: Hashes,
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
        let changed = Hashes::of(&copy)?;
        fs::remove_file(copy)?;
        let (compute, engine) = (Hashes::of(&compute)?, Hashes::of(&binary("maru-llm")?)?);
        Ok(Self { compute, changed, engine, model: Hashes::of(model)? })
    }

    /// The registers of a node that shows this.
    pub(super) fn registers(&self, holder: Holder, shows: Measurement) -> Vec<(u8, String)> {
        let measured = self.measured(shows);
        match holder {
            Holder::Enclave => {
                let register = |hashes: &Hashes| register::<Sha384>(&[&hashes.sha384]);
                (0..).zip(measured.into_iter().flatten().map(register)).collect()
            }
            Holder::Tpm => {
                let of = |register: u8| {
                    let told = self.told(shows).into_iter();
                    told.filter(move |(at, _)| *at == register).map(|(_, hash)| hash)
                };
                let value = |at: u8| {
                    let hashes: Vec<_> = of(at).collect();
                    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
                    (at, register::<Sha256>(&hashes))
                };
                vec![value(8), value(12)]
            }
        }
    }

    /// The measurements that extend a TPM while such a node starts: registers and hashes, in order.
    pub(super) fn told(&self, shows: Measurement) -> Vec<(u8, [u8; 32])> {
        let Some([compute, engine, model]) = self.measured(shows) else { return Vec::new() };
        vec![(8, compute.sha256), (8, engine.sha256), (12, model.sha256)]
    }

    fn measured(&self, shows: Measurement) -> Option<[&Hashes; 3]> {
        match shows {
            Measurement::TheImage => Some([&self.compute, &self.engine, &self.model]),
            Measurement::OneChangedByte => Some([&self.changed, &self.engine, &self.model]),
            Measurement::Zeros => None,
        }
    }
}
