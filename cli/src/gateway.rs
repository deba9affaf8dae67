//! What the gateway works with, for `maru doctor` and `maru audit`: the servers that it asks, the pages and the apps that may ask
//! it, and the workspace. All but the apps is read from files, so that it is known also while nothing runs.

use std::{fs, io::ErrorKind, path::Path};

use ai_gateway_api::settings::gateway::{self, Settings};
use chassis::settings;
use common::mesh;
use messages::message;

use crate::{exits::exits, finding::Finding, openclaw, up::config};

mod app_keys;
mod backends;
mod near;
mod origins;
mod workspace;

/// Every check.
pub(crate) async fn check(root: &Path) -> Vec<Finding> {
    let settings: Settings = match settings::load(None, &root.join(gateway::FILE), Ok) {
        Ok(settings) => settings,
        Err(error) => {
            let id = "gateway-settings";
            return vec![Finding::error(id, error.to_string(), message!("fix-file"))];
        }
    };
    let network = config::coordinator(root).map(|it| it.network);
    let network = network.unwrap_or_else(|_| mesh::DOMAIN.to_owned());
    let openclaw = match fs::read_to_string(root.join(&settings.openclaw)) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        // Null stands for what cannot be read.
        read => Some(read.ok().and_then(|text| openclaw::read(&text)).unwrap_or_default()),
    };
    // The agent reports an unreadable file of its own.
    let exits = config::agent(root).map(|agent| exits(&agent, &settings)).unwrap_or_default();
    let mut findings = backends::check(&exits, openclaw.as_ref(), &network);
    findings.push(origins::check(&settings.origins, &network));
    findings.extend(workspace::check(root, &settings, openclaw.as_ref()));
    findings.extend(app_keys::check(root).await);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pattern_among_the_origins_is_named_with_its_file() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(gateway::FILE);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "origins = [\"*\"]\n").unwrap();
        let [found] = &check(root.path()).await[..] else { panic!("one") };
        assert_eq!(
            (found.id, found.severity),
            ("gateway-settings", crate::finding::Severity::Error)
        );
        let text = found.text.to_string();
        assert!(text.contains("\"*\" is not an origin") && text.contains("gateway.toml"), "{text}");
    }
}
