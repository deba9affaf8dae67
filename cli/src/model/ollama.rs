//! Ollama's folder of models: which there are, and which file holds one.
//!
//! `manifests/HOST/NAMESPACE/MODEL/TAG` is JSON in the shape of an OCI image manifest; the layer of the media type
//! `application/vnd.ollama.image.model` is the GGUF file `blobs/sha256-DIGITS` (`manifest/manifest.go` of Ollama).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::model::{digest, folder::ENDING};

const MODEL: &str = "application/vnd.ollama.image.model";
/// Of models that Ollama names without a host and a namespace.
const LIBRARY: &str = "registry.ollama.ai/library/";
/// Longest manifest, in bytes.
const MANIFEST_MAX: u64 = 1 << 20;

/// A model in Ollama's folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// A name for it here.
    pub(super) name: String,
    /// Its file.
    pub(super) blob: PathBuf,
    /// The file's SHA-256.
    pub(super) sha256: [u8; 32],
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
}

/// Finds the model called `wanted`, or the only one.
pub(super) fn find(folder: &Path, wanted: Option<&str>) -> anyhow::Result<Found> {
    let manifests = folder.join("manifests");
    let mut all = BTreeMap::new();
    collect(&manifests, &manifests, &mut all)
        .with_context(|| format!("{} is not Ollama's folder of models", folder.display()))?;
    let names = || all.keys().cloned().collect::<Vec<_>>().join(", ");
    let (name, path) = match wanted {
        Some(wanted) => {
            let tagged =
                if wanted.contains(':') { wanted.to_owned() } else { format!("{wanted}:latest") };
            let found = all.get_key_value(&tagged);
            found.with_context(|| format!("Ollama has no model {wanted:?}; it has: {}", names()))?
        }
        None => {
            let mut each = all.iter();
            match (each.next(), each.next()) {
                (Some(only), None) => only,
                (None, _) => bail!("Ollama has no models in {}", folder.display()),
                (Some(_), Some(_)) => bail!("choose one with --model; there are: {}", names()),
            }
        }
    };
    if fs::metadata(path)?.len() > MANIFEST_MAX {
        bail!("{} is not a manifest of Ollama's", path.display());
    }
    let damaged = || format!("{} is not a manifest of Ollama's", path.display());
    let manifest: Manifest = serde_json::from_slice(&fs::read(path)?).with_context(damaged)?;
    let layer = manifest.layers.iter().find(|layer| layer.media_type == MODEL);
    let layer =
        layer.with_context(|| format!("{name} of Ollama has no model file on this machine"))?;
    let sha256 = digest(&layer.digest).map_err(anyhow::Error::msg).with_context(damaged)?;
    let blob = folder.join("blobs").join(format!("sha256-{}", hex::encode(sha256)));
    let name = name.replace([':', '/'], "-") + ENDING;
    Ok(Found { name, blob, sha256 })
}

/// Every manifest below `dir`, by the name that people use.
fn collect(top: &Path, dir: &Path, all: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(top, &path, all)?;
        } else if let Some(name) = path.strip_prefix(top).ok().and_then(Path::to_str) {
            let name = name.strip_prefix(LIBRARY).unwrap_or(name);
            if let Some((model, tag)) = name.rsplit_once('/') {
                all.insert(format!("{model}:{tag}"), path);
            }
        }
    }
    Ok(())
}
