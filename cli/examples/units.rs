//! Writes `podman/` and `systemd/` from the service table.

use std::path::Path;

use services::{quadlet, systemd};

fn main() -> std::io::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (folder, files) in [("podman", quadlet::files()), ("systemd", systemd::files())] {
        for (name, text) in files {
            std::fs::write(repository.join(folder).join(name), text)?;
        }
    }
    Ok(())
}
