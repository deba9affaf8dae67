//! telmeet's settings.

use std::path::Path;

use chassis::settings::{self, SettingsError};
use telmeet_api::settings::{FILE, Settings};

/// Loads the settings that were named, or those below the root, which may be missing.
///
/// # Errors
///
/// Fails if the file cannot be read, is not TOML, or has a wrong or unknown key.
pub(crate) fn load(root: &Path, named: Option<&Path>) -> Result<Settings, SettingsError> {
    settings::load(named, &root.join(FILE), Ok)
}
