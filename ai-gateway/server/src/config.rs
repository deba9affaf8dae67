//! The gateway's own settings. Models and agents are in `openclaw.json`.

use std::path::{Path, PathBuf};

use ai_gateway_api::settings::gateway::{FILE, Keys, Settings};
use chassis::settings::{self, SettingsError};
use hpke_envelope::gateway;

/// Most days that counts are kept: ten years.
const DAYS_MAX: u16 = 3660;

/// Loads the named file, or the one below the root, which may be missing.
pub(crate) fn load(root: &Path, named: Option<&Path>) -> Result<Settings, SettingsError> {
    settings::load(named, &root.join(FILE), check)
}

/// Checks values that their types do not check.
fn check(settings: Settings) -> Result<Settings, String> {
    if settings.usage.days > DAYS_MAX {
        return Err(format!("usage.days is {}; the maximum is {DAYS_MAX}", settings.usage.days));
    }
    Ok(settings)
}

/// A path of a configuration file, below the root.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    if path.starts_with(root) && path.is_absolute() {
        return path.to_owned();
    }
    root.join(path.strip_prefix("/").unwrap_or(path))
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

    /// Key and default of each line of the example that says one, as `[line] slots` and `2`.
    fn keys_of_the_example() -> Vec<(String, String)> {
        let text = include_str!("../gateway.example.toml");
        let mut section = String::new();
        let mut keys = Vec::new();
        for line in text.lines() {
            if line.starts_with('[') {
                section = format!("{} ", line.split_whitespace().next().unwrap());
            } else if let Some((key, value)) = line.split_once(" = ") {
                let value = value.split(" #").next().unwrap().trim().trim_matches('"');
                let is_number = value.starts_with(|c: char| c.is_ascii_digit());
                let value = if is_number { value.replace('_', "") } else { value.to_owned() };
                keys.push((format!("{section}{key}"), value));
            }
        }
        keys
    }

    #[test]
    fn the_table_of_the_docs_has_the_keys_and_defaults_of_the_example() {
        let docs = include_str!("../../../docs/configuration.md");
        let part = docs.split("\n## ").find(|part| part.starts_with("gateway.toml\n")).unwrap();
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let rows = rows.map(|(key, rest)| {
            let default = rest.split(" | ").next().unwrap().trim_matches('`');
            (key.to_owned(), default.to_owned())
        });
        // The example has no deployment, and an empty table could not be extended by `[confidential.NAME]`. Nor has it a key
        // that has no default.
        let rows = rows.filter(|(key, default)| key != "confidential" && default != "–");
        assert_eq!(rows.collect::<Vec<_>>(), keys_of_the_example());
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

    #[test]
    fn values_that_cannot_be_are_named_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gateway.toml");
        for (text, said) in [
            ("[line]\nslots = 0\n", "line 2, column 9: invalid value: integer `0`"),
            ("[line]\nseconds = -1\n", "line 2, column 11: invalid value: integer `-1`"),
            ("[line.providers]\nvllm = 0\n", "line 2, column 8: invalid value: integer `0`"),
            ("[breaker]\nfaults = 0\n", "line 2, column 10: invalid value: integer `0`"),
            ("[breaker]\nreset_seconds = 0.5\n", "line 2, column 17: invalid type"),
            ("[limits]\nchats_per_minute = 0\n", "line 2, column 20: invalid value: integer `0`"),
            ("[limits]\nconcurrent_chats = 16\n", "unknown field `concurrent_chats`"),
            ("[usage]\ndays = 9999\n", "usage.days is 9999; the maximum is 3660"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = load(dir.path(), Some(&file)).unwrap_err().to_string();
            assert!(error.contains("gateway.toml") && error.contains(said), "{text}: {error}");
        }
    }
}
