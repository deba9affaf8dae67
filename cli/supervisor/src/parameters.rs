//! Parameters of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use messages::Message;
use services::{Service, podman::Model};

/// Shows a sentence on the terminal.
pub type Note = fn(&Message);

/// Parameters of a run.
#[derive(Debug)]
pub struct Parameters {
    /// The instance's root.
    pub root: PathBuf,
    /// The model of all engines.
    pub model: Model,
    /// Threads of each engine.
    pub threads: u16,
    /// Where each program is.
    pub programs: BTreeMap<&'static str, PathBuf>,
}

impl Parameters {
    /// The program of a service.
    pub fn program(&self, service: &Service) -> anyhow::Result<&Path> {
        let found = self.programs.get(service.binary).map(PathBuf::as_path);
        found.with_context(|| format!("{} was not looked for", service.binary))
    }
}
