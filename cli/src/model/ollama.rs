//! Ollama's folder of models: which there are, and which file holds one.
//!
//! `manifests/HOST/NAMESPACE/MODEL/TAG` is JSON in the shape of an OCI image manifest; the layer of the media type
//! `application/vnd.ollama.image.model` is the GGUF file `blobs/sha256-DIGITS` (`manifest/manifest.go` of Ollama).

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use messages::message;
use serde::Deserialize;

use crate::model::{args::digest, folder::ENDING};

const MODEL: &str = "application/vnd.ollama.image.model";
/// Of models that Ollama names without a host and a namespace.
const LIBRARY: &str = "registry.ollama.ai/library/";
/// Longest manifest, in bytes.
const MANIFEST_MAX: u64 = 1 << 20;
/// Most models that are looked at.
const MODELS_MAX: usize = 4096;
/// Folders below `manifests`: host, namespace, model.
const DEPTH: u32 = 3;

/// A model in Ollama's folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OllamaModel {
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
pub(super) fn find(folder: &Path, wanted: Option<&str>) -> anyhow::Result<OllamaModel> {
    let manifests = folder.join("manifests");
    let mut all = BTreeMap::new();
    collect(&manifests, &manifests, DEPTH, &mut all)
        .with_context(|| message!("not-ollama-folder", path = folder.display()))?;
    let names = || all.keys().cloned().collect::<Vec<_>>().join(", ");
    let (name, path) = match wanted {
        Some(wanted) => {
            let tagged =
                if wanted.contains(':') { wanted.to_owned() } else { format!("{wanted}:latest") };
            let found = all.get_key_value(&tagged);
            found.with_context(|| {
                message!("ollama-no-such-model", wanted = format!("{wanted:?}"), names = names())
            })?
        }
        None => {
            let mut each = all.iter();
            match (each.next(), each.next()) {
                (Some(only), None) => only,
                (None, _) => bail!(message!("ollama-no-models", path = folder.display())),
                (Some(_), Some(_)) => bail!(message!("ollama-choose", names = names())),
            }
        }
    };
    let sha256 = match read(path)?.as_deref().and_then(manifest) {
        Some(Some(sha256)) => sha256,
        Some(None) => bail!(message!("ollama-no-model-file", name)),
        None => bail!(message!("not-a-manifest", path = path.display())),
    };
    let blob = folder.join("blobs").join(format!("sha256-{}", hex::encode(sha256)));
    let name = name.replace([':', '/'], "-") + ENDING;
    Ok(OllamaModel { name, blob, sha256 })
}

/// The file, unless it is longer than any manifest.
fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MANIFEST_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MANIFEST_MAX).then_some(bytes))
}

/// The SHA-256 of the model file that a manifest names, if it names one; nothing if it is no manifest.
pub(crate) fn manifest(bytes: &[u8]) -> Option<Option<[u8; 32]>> {
    let Manifest { layers } = serde_json::from_slice(bytes).ok()?;
    let Some(layer) = layers.iter().find(|layer| layer.media_type == MODEL) else {
        return Some(None);
    };
    digest(&layer.digest).ok().map(Some)
}

/// Every manifest, by the name that people use. Links are not followed, and other names are not Ollama's.
fn collect(
    top: &Path,
    dir: &Path,
    depth: u32,
    all: &mut BTreeMap<String, PathBuf>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() && depth > 0 {
            collect(top, &path, depth - 1, all)?;
        } else if kind.is_file()
            && let Some(name) = path.strip_prefix(top).ok().and_then(Path::to_str)
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && all.len() < MODELS_MAX
        {
            let name = name.strip_prefix(LIBRARY).unwrap_or(name);
            if let Some((model, tag)) = name.rsplit_once('/') {
                all.insert(format!("{model}:{tag}"), path);
            }
        }
    }
    Ok(())
}
