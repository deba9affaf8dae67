//! What this run starts: decided and checked before anything is started.

use std::{net::SocketAddr, path::Path};

use services::{Kind, RELAY_SERVICE, SERVICES, Service};
use supervisor::{Parameters, binaries, directories};

use crate::{
    machine_key::{self, MachineKey},
    ollama::is_mesh,
    up::{
        args::UpArgs,
        checks,
        config::{self, Reach},
        ollama::{self, OllamaServer},
        saved_options::SavedOptions,
    },
};

/// A checked plan.
#[derive(Debug)]
pub(super) struct Plan {
    /// What services are started with.
    pub(super) parameters: Parameters,
    /// The options of this and earlier runs.
    told: SavedOptions,
    /// Person to create.
    pub(super) user: Option<String>,
    /// Whether the coordinator relays itself, so that there is no relay to start.
    relays_itself: bool,
    /// The configuration.
    pub(super) config: config::ConfigPlan,
    /// The machine's key, if there is one.
    machine_key: Option<MachineKey>,
    /// An Ollama to ask once there is a mesh.
    pub(super) ollama: Option<SocketAddr>,
    /// Whether an `openclaw.json` may change that Maru did not write.
    pub(super) write: bool,
    /// The options, if this run changes them.
    news: Option<SavedOptions>,
}

impl Plan {
    /// Plans, and checks everything; creates nothing. `found` is an Ollama on this machine.
    pub(super) fn make(
        args: &UpArgs,
        root: &Path,
        found: Option<&OllamaServer>,
    ) -> anyhow::Result<Self> {
        let before = SavedOptions::load(root)?;
        let path = match args.model.clone().or_else(|| before.model.clone()) {
            Some(path) => path,
            None => checks::only_model(root)?,
        };
        let model = checks::model(&path)?;
        // One that was found and not named is remembered, too: `maru model remove` must know that it runs.
        let mut after = SavedOptions { model: Some(model.path.clone()), ..before.clone() };
        args.engine.keep(&mut after, &model.path)?;
        let spare_model = after.spare_model.as_deref().map(checks::model).transpose()?;
        let find = |service: &Service| Ok((service.binary, binaries::find(service.binary)?));
        let programs = SERVICES.iter().map(find).collect::<anyhow::Result<_>>()?;
        config::remark_unused(root, args.address.as_deref(), args.network.as_deref())?;
        let reach = args.address.clone().map(Reach::Plain);
        let mut config = config::plan(root, reach, args.network.as_deref())?;
        checks::ports_free(&config::ports(root)?)?;
        if let Some(found) = found {
            ollama::connect(found, &mut config, root, args.write)?;
        }
        Ok(Self {
            parameters: Parameters {
                root: root.to_owned(),
                model,
                spare_model,
                engine: after.engine(),
                programs,
            },
            told: after.clone(),
            user: args.user.clone(),
            relays_itself: config::coordinator(root)?.relay.embedded,
            config,
            machine_key: machine_key::open(root, || args.passphrase.read())?,
            ollama: args.ollama.filter(|at| is_mesh(*at)),
            write: args.write,
            news: (after != before).then_some(after),
        })
    }

    /// Makes directories and missing configuration.
    pub(super) fn lay_out(&mut self) -> anyhow::Result<()> {
        let root = &self.parameters.root;
        directories::all(root)?;
        self.config.write(root)?;
        for service in SERVICES.iter().filter(|service| service.kind == Kind::Child) {
            let program = binaries::for_everyone(self.parameters.program(service)?, root)?;
            self.parameters.programs.insert(service.binary, program);
        }
        let key = match self.machine_key.take() {
            Some(key) => key,
            None => machine_key::begin(root)?,
        };
        machine_key::hand_over(root, &key)
    }

    /// The services that run, in the order in which they start.
    pub(super) fn services(&self) -> impl Iterator<Item = &'static Service> {
        let runs = |service: &&Service| {
            self.told.runs(service) && !(self.relays_itself && service.name == RELAY_SERVICE.name)
        };
        SERVICES.iter().filter(runs)
    }

    /// Saves the options of this run, once it works.
    pub(super) fn remember(&self) -> anyhow::Result<()> {
        self.news.as_ref().map_or(Ok(()), |news| news.store(&self.parameters.root))
    }
}
