//! Parameters of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use messages::Message;
use services::{EngineOptions, Service, podman::Model};

/// Shows a sentence on the terminal.
pub type Note = fn(&Message);

/// Parameters of a run.
#[derive(Debug)]
pub struct Parameters {
    /// The instance's root.
    pub root: PathBuf,
    /// The model of all engines, or of all but the spare one.
    pub model: Model,
    /// The model of the spare engine, if it has one of its own.
    pub spare_model: Option<Model>,
    /// Options of each engine.
    pub engine: EngineOptions,
    /// Where each program is.
    pub programs: BTreeMap<&'static str, PathBuf>,
}

impl Parameters {
    /// The model that a service would use.
    #[must_use]
    pub fn model_of(&self, service: &Service) -> &Model {
        self.spare_model.as_ref().filter(|_| service.is_spare()).unwrap_or(&self.model)
    }

    /// The program of a service.
    pub fn program(&self, service: &Service) -> anyhow::Result<&Path> {
        let found = self.programs.get(service.binary).map(PathBuf::as_path);
        found.with_context(|| format!("{} was not looked for", service.binary))
    }
}
