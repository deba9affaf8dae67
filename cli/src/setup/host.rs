//! Whether this machine can run the units.

use std::path::Path;

use anyhow::bail;
use messages::{Message, message};

use crate::units::systemctl;

/// Describes the system (`os-release(5)`).
const RELEASE: &str = "/etc/os-release";
/// Ids of the systems for which the packages are made, and their oldest versions: older ones have a Podman without Quadlets.
const SUPPORTED: &[(&str, &str)] = &[("debian", "13"), ("ubuntu", "24.04")];

/// What is known of a system, with its name.
#[derive(Debug, PartialEq, Eq)]
enum Release {
    Supported,
    TooOld(String),
    Unknown(String),
}

/// Fails where systemd does not run, the units are not installed, or the system is too old for them.
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
    if let Release::TooOld(name) = release() {
        bail!(message!("setup-old-release", name));
    }
    Ok(())
}

/// A warning if this system is none for which the packages are made.
pub(super) fn warning() -> Option<Message> {
    match release() {
        Release::Unknown(name) => Some(message!("setup-unknown-release", name)),
        Release::Supported | Release::TooOld(_) => None,
    }
}

fn release() -> Release {
    judge(&std::fs::read_to_string(RELEASE).unwrap_or_default())
}

/// What is known of the system that a text describes.
fn judge(text: &str) -> Release {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let (id, version) = (value("ID"), value("VERSION_ID"));
    let named = [value("PRETTY_NAME"), format!("{id} {version}").trim().to_owned()];
    let name = named.into_iter().find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| RELEASE.to_owned());
    match SUPPORTED.iter().find(|known| known.0 == id) {
        Some((_, oldest)) if *oldest == version => Release::Supported,
        // Debian's next release has no version before it comes out.
        Some((_, oldest)) if numbers(&version).is_some_and(|it| Some(it) < numbers(oldest)) => {
            Release::TooOld(name)
        }
        Some(_) | None => Release::Unknown(name),
    }
}

/// A version's numbers, to compare.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Release, judge};

    #[test]
    fn a_system_is_judged_by_its_id_and_version() {
        let supported = [
            "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"13\"\n",
            "ID='ubuntu'\nVERSION_ID=\"24.04\"\n",
        ];
        for text in supported {
            assert_eq!(judge(text), Release::Supported, "{text}");
        }
        let old = |name: &str| Release::TooOld(name.to_owned());
        let text = "ID_LIKE=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=12";
        assert_eq!(judge(text), old("Debian GNU/Linux 12"));
        assert_eq!(judge("ID=debian\nVERSION_ID=\"9\"\n"), old("debian 9"));
        assert_eq!(judge("ID=ubuntu\nVERSION_ID=\"22.10\"\n"), old("ubuntu 22.10"));
        let unknown = |name: &str| Release::Unknown(name.to_owned());
        assert_eq!(judge("ID=arch\n"), unknown("arch"));
        assert_eq!(judge("ID=debian\nVERSION_ID=14\n"), unknown("debian 14"));
        assert_eq!(judge("ID=debian\nPRETTY_NAME=sid\n"), unknown("sid"));
        assert_eq!(judge(""), unknown("/etc/os-release"));
    }
}
