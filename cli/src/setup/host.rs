//! Whether this machine can run the units.

use std::path::Path;

use anyhow::bail;
use messages::{Message, message};

use crate::units::systemctl;

/// Describes the system (`os-release(5)`).
const RELEASE: &str = "/etc/os-release";
/// Ids and versions of the systems for which the packages are made.
const KNOWN: &[(&str, &str)] = &[("debian", "12"), ("debian", "13"), ("ubuntu", "24.04")];

/// Fails where systemd does not run, or the units are not installed.
pub(super) async fn check(root: &Path) -> anyhow::Result<()> {
    if root != Path::new("/") {
        bail!(message!("setup-other-root", root = root.display()));
    }
    if !systemctl::is_booted() {
        bail!(message!("setup-no-systemd"));
    }
    if !systemctl::is_installed(systemctl::TARGET).await {
        bail!(message!("setup-not-installed", target = systemctl::TARGET));
    }
    Ok(())
}

/// A warning if this system is none for which the packages are made.
pub(super) fn warning() -> Option<Message> {
    let text = std::fs::read_to_string(RELEASE).unwrap_or_default();
    unknown(&text).map(|name| message!("setup-unknown-release", name))
}

/// The name of a system that is not known.
fn unknown(text: &str) -> Option<String> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let (id, version) = (value("ID"), value("VERSION_ID"));
    if KNOWN.contains(&(id.as_str(), version.as_str())) {
        return None;
    }
    let named = [value("PRETTY_NAME"), format!("{id} {version}").trim().to_owned()];
    Some(named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| RELEASE.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn a_system_is_known_by_its_id_and_version() {
        assert_eq!(unknown("PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"13\"\n"), None);
        assert_eq!(unknown("ID='ubuntu'\nVERSION_ID=\"24.04\"\n"), None);
        let text = "ID_LIKE=debian\nPRETTY_NAME=\"Debian GNU/Linux 11\"\nID=debian\nVERSION_ID=11";
        assert_eq!(unknown(text).as_deref(), Some("Debian GNU/Linux 11"));
        assert_eq!(unknown("ID=arch\n").as_deref(), Some("arch"));
        assert_eq!(unknown("").as_deref(), Some("/etc/os-release"));
    }
}
