//! Where a model comes from.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use messages::message;
use reqwest::Url;

use crate::{
    error::Usage,
    model::{
        args::PullArgs,
        folder::{ENDING, ended, is_name},
        ollama,
    },
};

/// The source of a model, and its name here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The place.
    pub(super) place: Location,
    /// The model's name here.
    pub(super) name: String,
    /// What its SHA-256 must be, if anyone said.
    pub(super) sha256: Option<[u8; 32]>,
}

/// The location of a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// Over the network.
    Url(Url),
    /// From this machine.
    File(PathBuf),
}

impl Source {
    /// Parses the source; looks into Ollama's folder if it is one.
    pub(super) fn of(args: &PullArgs) -> anyhow::Result<Self> {
        let (place, own_name, sha256) = if args.source.contains("://") {
            let url = url(args)?;
            let last = url.path_segments().and_then(|mut all| all.next_back()).unwrap_or_default();
            let name = last.to_owned();
            (Location::Url(url), name, args.sha256)
        } else {
            file(args)?
        };
        let name = match &args.name {
            Some(name) => ended(name),
            None => own_name,
        };
        if !is_name(&name) {
            return Err(Usage(message!(
                "not-a-model-name",
                name = format!("{name:?}"),
                ending = ENDING
            ))
            .into());
        }
        Ok(Self { place, name, sha256 })
    }
}

fn url(args: &PullArgs) -> anyhow::Result<Url> {
    let url: Url = args
        .source
        .parse()
        .map_err(|_| Usage(message!("not-a-url", source = format!("{:?}", args.source))))?;
    if args.model.is_some() {
        return Err(Usage(message!("model-option-for-ollama")).into());
    }
    match url.scheme() {
        "https" => {}
        "http" if args.sha256.is_some() => {}
        "http" => {
            return Err(Usage(message!("http-needs-sha256")).into());
        }
        other => {
            return Err(Usage(message!("scheme-unknown", other)).into());
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Usage(message!("url-has-password")).into());
    }
    Ok(url)
}

fn file(args: &PullArgs) -> anyhow::Result<(Location, String, Option<[u8; 32]>)> {
    let path = PathBuf::from(&args.source);
    let meta =
        std::fs::metadata(&path).with_context(|| message!("no-model-at", path = path.display()))?;
    if meta.is_dir() {
        let found = ollama::find(&path, args.model.as_deref())?;
        if args.sha256.is_some_and(|wanted| wanted != found.sha256) {
            bail!(message!("other-sha256", name = found.name));
        }
        return Ok((Location::File(found.blob), found.name, Some(found.sha256)));
    }
    if args.model.is_some() {
        return Err(Usage(message!("model-option-for-ollama")).into());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Location::File(path), name, args.sha256))
}
