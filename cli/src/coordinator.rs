//! The coordinator that an administrator's command uses: the one on this machine, or one over HTTPS.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use coordinator_api::{API_KEY_PREFIX, Secret, invitation::ServerUrl};
use messages::message;
use reqwest::Certificate;

use crate::{
    client::{Client, Remote},
    secret_file,
};

/// The variable that may hold the key.
const KEY_VARIABLE: &str = "MARU_API_KEY";

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CoordinatorArgs {
    /// Address of the coordinator, https://… [default: $MARU_SERVER, then the one on this machine, for root]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "MARU_SERVER",
        hide_env = true,
        value_parser = secure,
        help_heading = "Another machine's coordinator"
    )]
    pub(crate) server: Option<ServerUrl>,
    /// File with an API key for it [default: $MARU_API_KEY, then ~/.config/maru/api-key]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Another machine's coordinator"
    )]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Certificate of the authority behind it [default: this machine's]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Another machine's coordinator"
    )]
    pub(crate) ca: Option<PathBuf>,
}

/// Parses an https:// address: over plain HTTP the key could be read in transit.
fn secure(text: &str) -> Result<ServerUrl, String> {
    let url = ServerUrl::parse(text).map_err(|error| error.to_string())?;
    if url.is_plain() {
        return Err(message!("api-key-over-http").to_string());
    }
    Ok(url)
}

impl CoordinatorArgs {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Fails if the key or the authority's certificate cannot be used.
    pub(crate) fn client(&self, root: &Path) -> anyhow::Result<Client> {
        let Some(server) = &self.server else {
            ensure!(
                self.api_key_file.is_none() && self.ca.is_none(),
                crate::error::Usage(message!("needs-server"))
            );
            return Ok(Client::coordinator(root));
        };
        let authorities = self.ca.as_deref().map(certificates).transpose()?;
        let variable = |name: &str| env::var_os(name).map(PathBuf::from);
        let usual = usual_file(root, rustix::process::geteuid().is_root(), variable);
        let key = self.key(usual.as_deref(), env::var(KEY_VARIABLE).ok())?;
        Client::over_https(Remote { server: server.clone(), key, authorities })
    }

    fn key(&self, usual: Option<&Path>, variable: Option<String>) -> anyhow::Result<Secret> {
        if let Some(file) = &self.api_key_file {
            return read(file);
        }
        if let Some(text) = variable {
            return checked(&text)
                .with_context(|| message!("key-variable-unusable", key_variable = KEY_VARIABLE));
        }
        let Some(usual) = usual else {
            bail!(message!("no-api-key-file"));
        };
        ensure!(usual.exists(), message!("no-api-key", path = usual.display()));
        read(usual)
    }
}

/// The default file of the key.
fn usual_file(
    root: &Path,
    superuser: bool,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Option<PathBuf> {
    if superuser || root != Path::new("/") {
        return Some(root.join("etc/maru/api-key"));
    }
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let config =
        absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("maru/api-key"))
}

/// Reads a key from a file that only its owner may read.
fn read(path: &Path) -> anyhow::Result<Secret> {
    let text = secret_file::read(path, &message!("api-key"))?;
    checked(&text).with_context(|| message!("file-unusable", path = path.display()))
}

fn checked(text: &str) -> anyhow::Result<Secret> {
    let text = text.trim();
    let is_key =
        text.starts_with(API_KEY_PREFIX) && text.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_key, message!("not-an-api-key", prefix = API_KEY_PREFIX));
    Ok(Secret::new(text.to_owned()))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<Certificate>> {
    let bytes = chassis::pem::contents(path)?;
    chassis::pem::certificates(path)?;
    Certificate::from_pem_bundle(&bytes)
        .with_context(|| message!("file-unusable", path = path.display()))
}

/// Shows no key.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    const KEY: &str = "maru-api-00";

    fn args(file: Option<PathBuf>) -> CoordinatorArgs {
        CoordinatorArgs { api_key_file: file, ..CoordinatorArgs::default() }
    }

    #[test]
    fn the_key_is_that_of_the_named_file_then_the_variables_then_the_usual_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let (named, usual) = (file("named", "maru-api-1\n"), file("usual", "maru-api-2"));
        let variable = || Some("maru-api-3".to_owned());
        let key = |file, usual, variable| args(file).key(usual, variable).unwrap();

        assert_eq!(key(Some(named), Some(&usual), variable()).reveal(), "maru-api-1");
        assert_eq!(key(None, Some(&usual), variable()).reveal(), "maru-api-3");
        assert_eq!(key(None, Some(&usual), None).reveal(), "maru-api-2");
        let none = args(None).key(Some(&folder.path().join("none")), None).unwrap_err();
        assert!(none.to_string().contains("maru api-key create"), "{none}");
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, KEY).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("chmod 600") && !error.contains(KEY), "{error}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().reveal(), KEY);
        for wrong in ["", "marukey-00", "maru-api-0 0", "maru-api-\u{1b}[2J"] {
            fs::write(&path, wrong).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(error.contains("holds no API key"), "{error}");
        }
    }

    #[test]
    fn the_address_is_https() {
        assert!(secure("https://maru.example.org:8443/").is_ok());
        for plain in ["http://127.0.0.1:8443", "http://maru.example.org", "maru://a", "a"] {
            assert!(secure(plain).is_err(), "{plain}");
        }
    }

    #[test]
    fn the_usual_file_is_the_persons_or_the_instances() {
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/mina"));
        let usual = |root: &str, superuser| usual_file(Path::new(root), superuser, home).unwrap();

        assert_eq!(usual("/", false), Path::new("/home/mina/.config/maru/api-key"));
        assert_eq!(usual("/", true), Path::new("/etc/maru/api-key"));
        assert_eq!(usual("/lab", false), Path::new("/lab/etc/maru/api-key"));
    }
}
