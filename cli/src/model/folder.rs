//! The folder of models.

use std::{
    fs::{self, File},
    io::{BufReader, ErrorKind},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Serialize;

use gguf::{self, CacheType, Header};
use messages::{Message, message};
use services::MODELS;

use crate::{
    error::Usage,
    model::{memory, part::Part, size::size},
    up::saved_options::SavedOptions,
};

/// What every model's name ends with.
pub(super) const ENDING: &str = ".gguf";
/// Longest name, in bytes.
const NAME_MAX: usize = 128;

/// The folder of models of one instance.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// Its file's name.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Family and size, such as `llama 135M`.
    pub(crate) kind: Option<String>,
    /// Tokens that a conversation may hold.
    pub(crate) context_tokens: Option<u64>,
    /// Whether `maru up` starts it.
    pub(crate) in_use: bool,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// The file's SHA-256, once it was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// A model, and what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Details {
    #[serde(flatten)]
    pub(crate) entry: Entry,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Memory that this machine's engines need for it.
    pub(crate) memory_bytes: Option<u64>,
    /// Whether this machine has so much.
    pub(crate) fits: Option<bool>,
}

impl Folder {
    /// The one of the instance at `root`.
    pub(crate) fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), path: root.join(MODELS) }
    }

    /// Makes it, if it is missing, for everyone to read.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.path)
            .with_context(|| message!("folder-not-made", path = self.path.display()))
    }

    /// Every model, by name.
    pub(crate) fn list(&self) -> anyhow::Result<Vec<Entry>> {
        let found = match fs::read_dir(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error)
                    .with_context(|| message!("file-not-read", path = self.path.display()));
            }
        };
        let used = self.used()?;
        let mut entries = Vec::new();
        for found in found {
            let name = found?.file_name().to_string_lossy().into_owned();
            if is_name(&name) {
                entries.extend(self.entry(&name, used.as_deref())?);
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// What is known of one model; `None` if it is gone.
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<Option<Entry>> {
        let used = self.used()?;
        self.entry(name, used.as_deref())
    }

    fn entry(&self, name: &str, used: Option<&Path>) -> anyhow::Result<Option<Entry>> {
        let path = self.path.join(name);
        let Some((bytes, header)) = inspect(&path)? else { return Ok(None) };
        let (header, problem) = match header {
            Ok(header) => (header, None),
            Err(problem) => (Header::default(), Some(problem)),
        };
        let words: Vec<_> =
            [header.architecture, header.size_label].into_iter().flatten().collect();
        let kind = (!words.is_empty()).then(|| words.join(" "));
        let in_use =
            used.is_some_and(|used| fs::canonicalize(&path).is_ok_and(|path| path == used));
        let context_tokens = header.context_tokens;
        let name = name.to_owned();
        Ok(Some(Entry { name, bytes, kind, context_tokens, in_use, problem, sha256: None }))
    }

    /// The model that `maru up` starts.
    fn used(&self) -> anyhow::Result<Option<PathBuf>> {
        Ok(SavedOptions::load(&self.root)?.model)
    }

    fn known(&self, name: &str) -> anyhow::Result<Entry> {
        let found = if is_name(name) { self.get(name)? } else { None };
        let Some(entry) = found else {
            let names: Vec<_> = self.list()?.into_iter().map(|entry| entry.name).collect();
            if names.is_empty() {
                bail!(message!("no-models"));
            }
            bail!(message!("no-such-model", name = format!("{name:?}"), names = names.join(", ")));
        };
        Ok(entry)
    }

    /// What is known of a model, and what it needs.
    pub(super) fn details(&self, name: &str) -> anyhow::Result<Details> {
        let entry = self.known(name)?;
        let path = self.path.join(name);
        let needed = self.needed(&path)?;
        let fits = needed.map(|needed| Ok::<_, anyhow::Error>(needed <= memory::total()?));
        Ok(Details { entry, path, memory_bytes: needed, fits: fits.transpose()? })
    }

    /// Memory that the engines need for the model at `path`; nothing if it is no model.
    fn needed(&self, path: &Path) -> anyhow::Result<Option<u64>> {
        let (engines, kind) = self.engines()?;
        let found = inspect(path)?;
        let needed = |(bytes, header): (u64, Result<Header, String>)| {
            Some(memory::needed(bytes, &header.ok()?, engines, kind))
        };
        Ok(found.and_then(needed))
    }

    /// Gives a model another name, beside its own. Both are one file, so that takes no room.
    pub(super) fn copy(&self, name: &str, new: &str) -> anyhow::Result<Entry> {
        let entry = self.known(name)?;
        let new = ended(new);
        if !is_name(&new) {
            let name = format!("{new:?}");
            return Err(Usage(message!("not-a-model-name", name, ending = ENDING)).into());
        }
        let path = self.path.join(&new);
        match fs::hard_link(self.path.join(name), &path) {
            Ok(()) => Ok(Entry { name: new, in_use: false, ..entry }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!(message!("model-name-taken", name = new))
            }
            Err(error) => {
                Err(error).with_context(|| message!("file-not-written", path = path.display()))
            }
        }
    }

    /// Models that were not fetched to their end.
    pub(super) fn unfinished(&self) -> anyhow::Result<Vec<Entry>> {
        let found = match Part::list(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            found => {
                found.with_context(|| message!("file-not-read", path = self.path.display()))?
            }
        };
        let found = found.into_iter().filter(|(name, _)| is_name(name));
        let mut entries: Vec<_> = found
            .map(|(name, bytes)| Entry {
                name,
                bytes,
                kind: None,
                context_tokens: None,
                in_use: false,
                problem: Some(message!("model-unfinished").to_string()),
                sha256: None,
            })
            .collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Removes a model, or what was fetched of it.
    pub(super) fn remove(&self, name: &str) -> anyhow::Result<Entry> {
        if let Some(entry) = self.unfinished()?.into_iter().find(|entry| entry.name == name) {
            Part::take(&self.path, name)?.discard();
            if self.get(name)?.is_none() {
                return Ok(entry);
            }
        }
        let entry = self.known(name)?;
        let path = self.path.join(name);
        let spare = SavedOptions::load(&self.root)?.spare_model;
        let is_spare = spare.is_some_and(|it| fs::canonicalize(&path).is_ok_and(|path| path == it));
        if entry.in_use || is_spare {
            bail!(message!("model-in-use", name));
        }
        fs::remove_file(&path)
            .with_context(|| message!("file-not-removed", path = path.display()))?;
        Ok(entry)
    }

    /// The model of that name, if engines could use it: it is whole and fits into memory.
    pub(crate) fn usable(&self, name: &str) -> anyhow::Result<Entry> {
        let entry = self.known(name)?;
        if let Some(problem) = &entry.problem {
            bail!(message!("model-unusable", name, problem));
        }
        self.fits(name, &self.path.join(name))?;
        Ok(entry)
    }

    /// Fails if the model at `path` does not fit into memory; says which one here does, or of which size one would.
    pub(crate) fn fits(&self, name: &str, path: &Path) -> anyhow::Result<()> {
        let has = memory::total()?;
        if self.needed(path)?.is_some_and(|needed| needed <= has) {
            return Ok(());
        }
        let mut fits = Vec::new();
        for other in self.list()? {
            if self.needed(&self.path.join(&other.name))?.is_some_and(|needed| needed <= has) {
                fits.push(other.name);
            }
        }
        let others = if fits.is_empty() {
            message!("none-fits", parameters = memory::largest(has))
        } else {
            message!("these-fit", names = fits.join(", "))
        };
        bail!(message!("model-does-not-fit", name, others))
    }

    /// A warning if other programs leave too little memory for the model at `path` now.
    pub(crate) fn crowded(&self, name: &str, path: &Path) -> anyhow::Result<Option<Message>> {
        let Some((bytes, Ok(header))) = inspect(path)? else { return Ok(None) };
        let (engines, kind) = self.engines()?;
        let (needed, free) = (memory::needed(bytes, &header, engines, kind), memory::free()?);
        Ok((needed > free)
            .then(|| message!("model-crowded", name, needed = size(needed), free = size(free))))
    }

    /// How many engines this machine runs, and of what their conversations are made.
    fn engines(&self) -> anyhow::Result<(u64, CacheType)> {
        let told = SavedOptions::load(&self.root)?;
        Ok((told.engines() as u64, told.cache_type.unwrap_or_default()))
    }

    /// Fails if the model does not fit into memory beside the one in use, which a spare engine keeps until the other engine has
    /// loaded the new one.
    pub(super) fn fits_beside(&self, entry: &Entry) -> anyhow::Result<()> {
        let told = SavedOptions::load(&self.root)?;
        let (engines, kind) = self.engines()?;
        let spare = engines > 1;
        let Some(used) = told.model.filter(|_| spare && !entry.in_use) else { return Ok(()) };
        let Some((bytes, Ok(header))) = inspect(&self.path.join(&entry.name))? else {
            return Ok(());
        };
        let held = fs::metadata(&used).map_or(0, |meta| meta.len());
        if memory::needed(bytes, &header, engines, kind).saturating_add(held) > memory::total()? {
            bail!(message!("model-does-not-fit-beside", name = entry.name, used = used.display()));
        }
        Ok(())
    }

    /// Where a model lies, without links in the path.
    pub(crate) fn path(&self, entry: &Entry) -> anyhow::Result<PathBuf> {
        Ok(fs::canonicalize(self.path.join(&entry.name))?)
    }

    /// Makes `maru up` start a model from now on.
    pub(super) fn choose(&self, name: &str) -> anyhow::Result<Entry> {
        let entry = self.usable(name)?;
        let mut remembered = SavedOptions::load(&self.root)?;
        remembered.model = Some(self.path(&entry)?);
        remembered.store(&self.root)?;
        Ok(Entry { in_use: true, ..entry })
    }
}

/// Size and header of a file, or why it is no model; `None` if there is no such file.
fn inspect(path: &Path) -> anyhow::Result<Option<(u64, Result<Header, String>)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| message!("file-not-read", path = path.display()));
        }
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(None);
    }
    let header =
        gguf::read_file(BufReader::new(file), meta.len()).map_err(|error| error.to_string());
    Ok(Some((meta.len(), header)))
}

/// The name with what every model's ends with.
pub(super) fn ended(name: &str) -> String {
    if name.ends_with(ENDING) { name.to_owned() } else { format!("{name}{ENDING}") }
}

/// Whether a file may have this name here: a plain one, without folders, that ends as models do.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    name.len() <= NAME_MAX
        && name.len() > ENDING.len()
        && name.ends_with(ENDING)
        && !name.starts_with(['.', '-'])
        && name.bytes().all(is_plain)
}
