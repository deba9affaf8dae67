//! The image of one static program as an OCI archive: a tar file with an image layout
//! (OCI image specification 1.1, `image-layout.md`, `manifest.md`, `config.md`).

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::package::archive::{File, TIME_TEXT, tar};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A label of every image of ours: by it the package removes those of a former version.
const LABEL: &str = "maru";

/// The files of a layout, by their path.
#[derive(Default)]
struct Layout(BTreeMap<String, File>);

impl Layout {
    /// Adds a blob; returns its descriptor.
    fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let sum = hex::encode(Sha256::digest(&bytes));
        let descriptor = json!({
            "mediaType": media_type, "digest": format!("sha256:{sum}"), "size": bytes.len(),
        });
        self.0.insert(format!("blobs/sha256/{sum}"), File { bytes, runs: false });
        descriptor
    }
}

/// An archive of the image `name` with the program `binary` and nothing else, as `podman::containerfile` describes it.
pub(super) fn archive(
    name: &str,
    binary: &str,
    program: &File,
    architecture: &str,
) -> Result<Vec<u8>> {
    let mut layout = Layout::default();
    let layer = layout.add(LAYER, tar([(binary, Some(program))])?);
    let config = json!({
        "created": TIME_TEXT,
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": [format!("/{binary}")], "Labels": { LABEL: binary } },
        // The layer is not compressed: this sum is that of its descriptor.
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        "history": [{ "created": TIME_TEXT }],
    });
    let config = layout.add(CONFIG, serde_json::to_vec(&config)?);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    let mut manifest = layout.add(MANIFEST, serde_json::to_vec(&manifest)?);
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    layout.0.insert("index.json".to_owned(), File::text(index.to_string()));
    layout.0.insert("oci-layout".to_owned(), File::text(version.to_string()));
    tar(layout.0.iter().map(|(path, file)| (path.as_str(), Some(file))))
}
