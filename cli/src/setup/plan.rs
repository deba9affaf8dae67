//! What `maru setup` writes: decided and checked before anything is changed.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::bail;
use messages::{Message, message};
use supervisor::directories;

use super::{
    args::SetupArgs,
    questions::{Answers, model_path},
};
use crate::{
    backup::kept::BackupFolder,
    error::Usage,
    machine_key::{self, MachineKey},
    model::{
        self,
        folder::{Folder, is_name},
        size::size,
    },
    passphrase,
    up::{
        checks,
        config::{self, ConfigPlan},
        saved_options::SavedOptions,
    },
};

/// What is compared at once, in bytes.
const PIECE: usize = 1 << 20;

/// A checked plan.
#[derive(Debug)]
pub(super) struct Plan {
    root: PathBuf,
    /// The configuration.
    pub(super) config: ConfigPlan,
    /// Person to create and invite.
    pub(super) user: Option<String>,
    /// The options as they will be; their model is the one in the folder.
    pub(super) options: SavedOptions,
    /// A model outside of the folder, which is copied.
    copied: Option<PathBuf>,
    model_bytes: u64,
    /// Whether running services are told something new.
    pub(super) changes: bool,
    machine_key: Option<MachineKey>,
}

impl Plan {
    /// Plans, and checks everything; changes nothing. `is_running` tells whether the services hold their ports already.
    pub(super) fn make(
        root: &Path,
        answers: &Answers,
        args: &SetupArgs,
        is_running: bool,
    ) -> anyhow::Result<Self> {
        let was_there = config::is_there(root);
        let mut config = config::plan(root, answers.reach.clone(), answers.network.as_deref())?;
        let known = &config.coordinator.network;
        if let Some(network) = answers.network.as_ref().filter(|network| *network != known) {
            return Err(Usage(message!("setup-network-stays", network, known)).into());
        }
        let mut changes = false;
        if let Some(reach) = answers.reach.as_ref().filter(|_| was_there) {
            changes |= config.readdress(root, reach)?;
        }
        if !is_running {
            checks::ports_free(&config::ports(root)?)?;
        }
        let before = SavedOptions::load(root)?;
        let (path, copied, model_bytes) = find_model(root, answers.model.as_deref(), &before)?;
        changes |= before.model.as_ref() != Some(&path);
        let mut options = SavedOptions {
            model: Some(path.clone()),
            backups: answers.backups.clone().or(before.backups),
            keep_backups: args.keep_backups.or(before.keep_backups),
            ..before
        };
        changes |= args.engine.keep(&mut options, &path)?;
        BackupFolder::of(root, &options).can_be_made()?;
        Ok(Self {
            root: root.to_owned(),
            config,
            user: answers.user.clone(),
            options,
            copied,
            model_bytes,
            changes,
            machine_key: machine_key::open(root, || args.passphrase.read())?,
        })
    }

    /// A warning if other programs leave too little memory for the model now.
    pub(super) fn warning(&self) -> anyhow::Result<Option<Message>> {
        let Some(model) = &self.options.model else { return Ok(None) };
        let name = model.file_name().unwrap_or_default().to_string_lossy();
        Folder::of(&self.root).crowded(&name, self.copied.as_ref().unwrap_or(model))
    }

    /// Rows of what will be, for [`crate::output::one`].
    pub(super) fn rows(&self) -> Vec<String> {
        let coordinator = &self.config.coordinator;
        let model = self.options.model.as_deref().unwrap_or(Path::new("")).display();
        let model = format!("{model} ({})", size(self.model_bytes));
        let from = self.copied.as_ref().map(|path| path.display().to_string());
        let backups = BackupFolder::of(&self.root, &self.options).folder;
        let mut rows = vec![
            coordinator.network.clone(),
            coordinator.server_url(),
            self.user.clone().unwrap_or_default(),
            model,
            from.unwrap_or_default(),
            backups.display().to_string(),
        ];
        rows.extend(self.config.writes(&self.root));
        rows
    }

    /// Makes directories, copies the model, makes keys, and writes missing and changed files. A run that was interrupted here is
    /// continued by the next.
    pub(super) async fn write(&mut self) -> anyhow::Result<()> {
        let root = &self.root;
        // First: nothing is written into a folder that somebody else could replace.
        directories::all(root)?;
        if let Some(path) = &self.copied {
            model::copy(root, path).await?;
        }
        self.config.write(root)?;
        BackupFolder::of(root, &self.options).make()?;
        self.options.store(root)?;
        let key = match self.machine_key.take() {
            Some(key) => key,
            None => {
                let (key, made) = machine_key::begin_sealed(root)?;
                passphrase::say_sealed(root, made.as_ref())?;
                key
            }
        };
        machine_key::hand_over(root, &key)
    }
}

/// Where the model will lie, where it is copied from, and its size.
fn find_model(
    root: &Path,
    answer: Option<&str>,
    before: &SavedOptions,
) -> anyhow::Result<(PathBuf, Option<PathBuf>, u64)> {
    let folder = Folder::of(root);
    let path = match (answer, &before.model) {
        (Some(answer), _) => model_path(answer, &folder.list()?, &folder.path),
        (None, Some(path)) => path.clone(),
        (None, None) => checks::only_model(root)?,
    };
    let found = checks::model(&path)?;
    let name = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !is_name(&name) {
        bail!(message!("setup-model-name", path = found.path.display()));
    }
    folder.fits(&name, &found.path)?;
    let there = folder.path.join(&name);
    if std::fs::canonicalize(&there).is_ok_and(|there| there == found.path) {
        return Ok((found.path, None, found.size));
    }
    if folder.get(&name)?.is_none() {
        return Ok((there, Some(found.path), found.size));
    }
    // An earlier run, which was interrupted, may have copied it.
    if !are_equal(&found.path, &there)? {
        bail!(message!("setup-model-exists", name));
    }
    Ok((std::fs::canonicalize(there)?, None, found.size))
}

/// Whether two files have the same content.
fn are_equal(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let mut readers = [one, other].map(|file| BufReader::with_capacity(PIECE, file));
    loop {
        let [one, other] = readers.each_mut().map(BufRead::fill_buf);
        let (one, other) = (one?, other?);
        let count = one.len().min(other.len());
        if one[..count] != other[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
        readers.iter_mut().for_each(|reader| reader.consume(count));
    }
}
