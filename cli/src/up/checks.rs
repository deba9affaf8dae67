//! What must be true of the machine and the model before anything is started.

use std::{
    fs::File,
    io::BufReader,
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use coordinator_core::name;
use messages::message;
use services::{MODELS, podman::Model};

use supervisor::{binaries, ports};

use crate::error::Usage;

/// Programs of the system that `maru up` uses, with the Debian package of each.
const TOOLS: &[(&str, &str)] =
    &[("podman", "podman"), ("nft", "nftables"), ("setpriv", "util-linux")];

/// The device that makes network interfaces.
const TUN: &str = "/dev/net/tun";

/// The programs that are missing, with their Debian packages.
pub(crate) fn missing_tools() -> Vec<(&'static str, &'static str)> {
    TOOLS.iter().copied().filter(|tool| binaries::in_path(tool.0).is_none()).collect()
}

/// Checks options that will be written into the configuration.
pub(crate) fn options(
    address: Option<&str>,
    network: Option<&str>,
    user: Option<&str>,
) -> Result<(), Usage> {
    if let Some(address) = address.filter(|address| !is_host(address)) {
        return Err(Usage(message!("not-an-address", address = format!("{address:?}"))));
    }
    if let Some(network) = network.filter(|network| !name::is_domain(network)) {
        return Err(Usage(message!("not-a-domain", network = format!("{network:?}"))));
    }
    if let Some(user) = user {
        name::check_user(user)
            .map_err(|error| Usage(message!("option-wrong", user = format!("{user:?}"), error)))?;
    }
    Ok(())
}

/// Whether devices could reach this machine by `text`.
fn is_host(text: &str) -> bool {
    if let Some(inside) = text.strip_prefix('[') {
        return inside.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    }
    match text.parse::<IpAddr>() {
        Ok(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        Err(_) => {
            let labels: Vec<_> = text.split('.').map(str::to_ascii_lowercase).collect();
            // A host that ends in digits is parsed as an address (WHATWG URL, section 3.5), which this is not.
            let is_number = |label: &String| label.bytes().all(|byte| byte.is_ascii_digit());
            labels.iter().all(|label| name::is_label(label))
                && !labels.last().is_some_and(is_number)
        }
    }
}

/// Checks the machine.
pub(crate) fn machine() -> anyhow::Result<()> {
    let missing = missing_tools();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|tool| tool.0).collect();
        let packages: Vec<_> = missing.iter().map(|tool| tool.1).collect();
        bail!(message!("tools-missing", names = names.join(", "), packages = packages.join(" ")));
    }
    // Opened, since the device node can exist without its driver.
    if let Err(error) = File::options().read(true).write(true).open(TUN) {
        bail!(message!("tun-closed", device = TUN, error));
    }
    Ok(())
}

/// Checks that the ports are free.
pub(crate) fn ports_free(wanted: &[ports::Port]) -> anyhow::Result<()> {
    let taken = ports::taken(wanted)?;
    if taken.is_empty() {
        return Ok(());
    }
    let texts: Vec<_> = taken.iter().map(|taken| taken.message().to_string()).collect();
    bail!(message!("ports-taken", ports = texts.join(", "), advice = ports::advice(&taken)))
}

/// Checks that the file at `path` is a model that the engine can open.
pub(crate) fn model(path: &Path) -> anyhow::Result<Model> {
    let path = std::fs::canonicalize(path)
        .with_context(|| message!("no-model-at", path = path.display()))?;
    let shown = path.display();
    let file = File::open(&path).with_context(|| message!("file-not-read", path = shown))?;
    let meta = file.metadata().with_context(|| message!("file-not-read", path = shown))?;
    if !meta.is_file() {
        bail!(message!("not-a-file", path = shown));
    }
    if let Err(error) = gguf::read_file(BufReader::new(file), meta.len()) {
        bail!(message!("model-unusable-here", path = shown, error));
    }
    if meta.mode() & 0o004 == 0 && meta.uid() != services::ENGINE {
        bail!(message!("model-unreadable", path = shown));
    }
    Ok(Model { path, size: meta.len() })
}

/// The one model in the folder of models.
pub(crate) fn only_model(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join(MODELS);
    let mut models = Vec::new();
    if let Ok(entries) = std::fs::read_dir(&folder) {
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "gguf") {
                models.push(path);
            }
        }
    }
    match models.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!(message!("no-model-yet", path = folder.display())),
        [..] => bail!(message!("several-models", path = folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use services::MODELS;

    use super::{model, only_model, options};

    #[test]
    fn what_would_be_written_down_for_good_is_checked_first() {
        let address = |text| options(Some(text), None, None).is_ok();
        let network = |text| options(None, Some(text), None).is_ok();
        for good in ["192.0.2.7", "2001:db8::7", "[2001:db8::7]", "home", "Home.example.org"] {
            assert!(address(good), "{good}");
        }
        let wrong =
            ["", "home:8443", "http://home", "a b", "a_b", "1.2.3", "0.0.0.0", "[::1", "a."];
        for wrong in wrong {
            assert!(!address(wrong), "{wrong}");
        }
        assert!(network("maru.home.arpa"));
        for wrong in ["", "home", "Maru.internal", "maru..internal", "maru.home.arpa.", "a b.c"] {
            assert!(!network(wrong), "{wrong}");
        }
        let error = options(None, None, Some("Jane Doe")).unwrap_err();
        assert!(error.to_string().starts_with("--user \"Jane Doe\": a user's name is"), "{error}");
    }

    #[test]
    fn only_a_gguf_file_that_the_engine_may_read_is_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let error = || model(&path).unwrap_err().to_string();

        assert!(error().contains("no model at"));
        std::fs::write(&path, b"GGU").unwrap();
        assert!(error().contains("the file was cut"));
        std::fs::write(&path, b"\x80\x02}q\0\0\0\0").unwrap();
        assert!(error().contains("not a GGUF model"));
        let whole = model_sample::tiny().bytes();
        std::fs::write(&path, &whole[..9000]).unwrap();
        assert!(error().contains("the file was cut"));
        std::fs::write(&path, &whole).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(error().contains("chmod o+r"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(model(&path).unwrap().size, whole.len() as u64);
    }

    #[test]
    fn one_model_in_the_folder_is_taken_and_two_are_a_question() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(MODELS);
        std::fs::create_dir_all(&folder).unwrap();

        assert!(only_model(root.path()).unwrap_err().to_string().contains("--model"));
        std::fs::write(folder.join("a.gguf"), "").unwrap();
        std::fs::write(folder.join("README"), "").unwrap();
        assert_eq!(only_model(root.path()).unwrap(), folder.join("a.gguf"));
        std::fs::write(folder.join("b.gguf"), "").unwrap();
        assert!(only_model(root.path()).unwrap_err().to_string().contains("several"));
    }
}
