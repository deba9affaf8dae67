//! The gateway's own settings. Models and agents are in `openclaw.json`.

use std::path::Path;

use ai_gateway_api::settings::gateway::{FILE, Keys, Settings};
use chassis::settings::{self, SettingsError};
use hpke_envelope::gateway;

/// Loads the settings that were named, or those below the root, which may be missing.
///
/// # Errors
///
/// Fails if the file cannot be read, is not TOML, or has a wrong or unknown key.
pub fn load(root: &Path, named: Option<&Path>) -> Result<Settings, SettingsError> {
    settings::load(named, &root.join(FILE), Ok)
}

/// How the keys are made.
pub(crate) fn keys(keys: Keys) -> gateway::Settings {
    let ms = |hours: u32| u64::from(hours.max(1)) * 3_600_000;
    gateway::Settings {
        lifetime_ms: ms(keys.lifetime_hours),
        overlap_ms: ms(keys.overlap_hours),
        replay: gateway::Limits { total: keys.remembered, per_device: keys.remembered_per_device },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_example_says_the_defaults() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.example.toml"));
        assert_eq!(load(Path::new("/"), Some(file)).unwrap(), Settings::default());
    }

    /// The defaults stand in two crates.
    #[test]
    fn keys_are_made_as_the_envelope_makes_them() {
        assert_eq!(keys(Keys::default()), gateway::Settings::default());
    }

    #[test]
    fn unknown_keys_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path(), None).unwrap(), Settings::default());
        let file = dir.path().join("gateway.toml");
        std::fs::write(&file, "[limits]\nburts = 3\n").unwrap();
        let text = load(dir.path(), Some(&file)).unwrap_err().to_string();
        assert!(text.contains("line 2, column 1: unknown field `burts`"), "{text}");
    }
}
