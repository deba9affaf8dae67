//! Where a model comes from.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use reqwest::Url;

use crate::{
    error::Usage,
    model::{
        args::PullArgs,
        folder::{ENDING, is_name},
        ollama,
    },
};

/// A place to take a model from, and what it will be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The place.
    pub(super) place: Place,
    /// The model's name here.
    pub(super) name: String,
    /// What its SHA-256 must be, if anyone said.
    pub(super) sha256: Option<[u8; 32]>,
}

/// A place to take a model from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Over the network.
    Url(Url),
    /// From this machine.
    File(PathBuf),
}

impl Source {
    /// Understands what was typed; looks into Ollama's folder if it is one.
    pub(super) fn of(args: &PullArgs) -> anyhow::Result<Self> {
        let (place, own_name, sha256) = if args.source.contains("://") {
            let url = url(args)?;
            let last = url.path_segments().and_then(|mut all| all.next_back()).unwrap_or_default();
            let name = last.to_owned();
            (Place::Url(url), name, args.sha256)
        } else {
            file(args)?
        };
        let name = match &args.name {
            Some(name) if name.ends_with(ENDING) => name.clone(),
            Some(name) => format!("{name}{ENDING}"),
            None => own_name,
        };
        if !is_name(&name) {
            return Err(Usage(format!(
                "{name:?} cannot be a model's name here; give one with --name, of letters, digits, \
                 dots, dashes and underlines, that ends with {ENDING}"
            ))
            .into());
        }
        Ok(Self { place, name, sha256 })
    }
}

fn url(args: &PullArgs) -> anyhow::Result<Url> {
    let url: Url = args.source.parse().map_err(|_| {
        Usage(format!("{:?} is no URL; write https://HOST/PATH/NAME.gguf", args.source))
    })?;
    if args.model.is_some() {
        return Err(Usage("--model is for Ollama's folder of models alone".to_owned()).into());
    }
    match url.scheme() {
        "https" => {}
        "http" if args.sha256.is_some() => {}
        "http" => {
            return Err(Usage(
                "over http:// anyone on the way could exchange the model; use https://, or say with \
                 --sha256 what it must be"
                    .to_owned(),
            )
            .into());
        }
        other => {
            return Err(
                Usage(format!("{other}:// is not understood; write https:// or a file")).into()
            );
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Usage("take the user and password out of the URL".to_owned()).into());
    }
    Ok(url)
}

fn file(args: &PullArgs) -> anyhow::Result<(Place, String, Option<[u8; 32]>)> {
    let path = PathBuf::from(&args.source);
    let meta = std::fs::metadata(&path)
        .with_context(|| format!("there is no model at {}", path.display()))?;
    if meta.is_dir() {
        let found = ollama::find(&path, args.model.as_deref())?;
        if args.sha256.is_some_and(|wanted| wanted != found.sha256) {
            bail!("{} has another SHA-256 than --sha256 says", found.name);
        }
        return Ok((Place::File(found.blob), found.name, Some(found.sha256)));
    }
    if args.model.is_some() {
        return Err(Usage("--model is for Ollama's folder of models alone".to_owned()).into());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Place::File(path), name, args.sha256))
}
