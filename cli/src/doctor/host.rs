//! Checks of the machine.

use std::{fs::File, os::unix::fs::DirBuilderExt as _, path::Path, process::Stdio};

use anyhow::Context as _;
use chassis::{
    confine::{self, Enforcement},
    process::as_user,
};
use messages::message;
use rustix::process::geteuid;
use services::{AGENT_GID, AGENT_UID};

use supervisor::{
    Podman, binaries,
    limits::{self, MissingLimits},
    memory,
};
use tokio::process::Command;

use crate::{doctor::read::read, finding::Finding, up, upgrade};

/// The device that makes network interfaces.
const TUN: &str = "/dev/net/tun";

/// Every check of the machine.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let mut findings = vec![
        tools(),
        tun(),
        landlock(confine::enforcement()),
        swap(&read("/proc/swaps")),
        core_dumps(),
        clock().await,
    ];
    findings.push(podman_version().await);
    findings.extend(container_limits(root).await);
    findings.extend(upgrade::found(root));
    findings
}

fn tools() -> Finding {
    let missing = up::missing_tools();
    if missing.is_empty() {
        return Finding::ok("tools", message!("tools-there"));
    }
    let names: Vec<_> = missing.iter().map(|tool| tool.0).collect();
    let packages: Vec<_> = missing.iter().map(|tool| tool.1).collect();
    Finding::error(
        "tools",
        message!("missing", names = names.join(", ")),
        format!("sudo apt-get install {}", packages.join(" ")),
    )
}

/// Root opens the device for an agent that it starts; another agent opens it itself.
fn tun() -> Finding {
    let opens = || File::options().read(true).write(true).open(TUN).map(drop);
    match opens() {
        Ok(()) if !geteuid().is_root() => Finding::ok("tun", message!("tun-opens")),
        Ok(()) => match as_user(AGENT_UID, AGENT_GID, opens) {
            Some(Ok(())) => Finding::ok("tun", message!("tun-opens-for-agent")),
            Some(Err(_)) | None => {
                Finding::ok("tun", message!("tun-opens-for-root", uid = AGENT_UID))
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Finding::warning("tun", message!("tun-root-only"), "sudo maru doctor")
        }
        Err(error) => Finding::error("tun", message!("tun-fails", error), message!("fix-tun")),
    }
}

/// Landlock confines a compromised service to its own files, in addition to its user.
fn landlock(enforcement: Enforcement) -> Finding {
    let (text, fix) = match enforcement {
        Enforcement::Full => return Finding::ok("landlock", message!("landlock-full")),
        Enforcement::Partial => (message!("landlock-partial"), message!("fix-kernel")),
        Enforcement::None => (message!("landlock-none"), message!("fix-landlock")),
    };
    Finding::warning("landlock", text, fix)
}

/// Swapped memory stays on the disk.
fn swap(swaps: &str) -> Finding {
    let on: Vec<_> =
        swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let encrypted = |name: &&str| name.starts_with("/dev/dm-") || name.starts_with("/dev/zram");
    if on.is_empty() {
        Finding::ok("swap", message!("swap-off"))
    } else if on.iter().all(encrypted) {
        Finding::ok("swap", message!("swap-encrypted", names = on.join(" ")))
    } else {
        Finding::warning("swap", message!("swap-on", names = on.join(" ")), message!("fix-swap"))
    }
}

/// Maru's own processes never dump core; a pattern with a pipe passes other dumps to a program.
fn core_dumps() -> Finding {
    let pattern = read("/proc/sys/kernel/core_pattern");
    let text = message!("core-pattern", pattern = pattern.trim());
    Finding::ok("core-dumps", text)
}

/// Sealed requests are valid for a minute, and keys expire.
async fn clock() -> Finding {
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .output()
        .await;
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match said.as_deref() {
        Ok("yes") => Finding::ok("clock", message!("clock-synchronised")),
        Ok("no") => Finding::warning(
            "clock",
            message!("clock-unsynchronised"),
            "sudo timedatectl set-ntp true",
        ),
        Ok(_) | Err(_) => Finding::ok("clock", message!("clock-unknown")),
    }
}

async fn podman_version() -> Finding {
    let asked = Command::new("podman").arg("--version").stdin(Stdio::null()).output().await;
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match said {
        Ok(version) if major(&version).is_some_and(|major| major >= 4) => {
            Finding::ok("podman", version)
        }
        Ok(version) => {
            Finding::error("podman", message!("podman-old", version), message!("fix-podman"))
        }
        Err(_) => Finding::error("podman", message!("podman-fails"), "sudo apt-get install podman"),
    }
}

fn major(version: &str) -> Option<u32> {
    version.split_whitespace().last()?.split('.').next()?.parse().ok()
}

/// How the memory of services is limited, and which limits of containers work: as the last `maru up` found, or by a trial now.
async fn container_limits(root: &Path) -> Vec<Finding> {
    let known: Option<MissingLimits> = serde_json::from_str(&read(root.join(limits::FILE))).ok();
    let holder = known.as_ref().map_or_else(memory::likely, |known| known.children);
    let mut findings = vec![Finding::ok("memory", holder.message())];
    findings.extend(limits_of(known).await);
    findings
}

async fn limits_of(known: Option<MissingLimits>) -> Vec<Finding> {
    let refused = match known {
        Some(refused) => Ok(refused),
        None if !geteuid().is_root() => {
            return vec![Finding::warning(
                "container-limits",
                message!("limits-root-only"),
                "sudo maru doctor",
            )];
        }
        None => try_limits().await,
    };
    match refused {
        Err(error) => {
            vec![Finding::error("container-limits", format!("{error:#}"), message!("fix-cgroup"))]
        }
        Ok(refused) if refused.limits.is_empty() => {
            vec![Finding::ok("container-limits", message!("limits-work"))]
        }
        Ok(refused) => refused.limits.iter().map(refusal).collect(),
    }
}

fn refusal(limit: &limits::Limit) -> Finding {
    let fix = match limit.name.as_str() {
        "swap" => message!("fix-swap-limit"),
        "memory" => message!("fix-memory-limit"),
        _ => message!("fix-controller"),
    };
    Finding::warning("container-limits", limit.message(), fix)
}

/// Starts a container in a storage of its own, which is removed afterwards.
async fn try_limits() -> anyhow::Result<MissingLimits> {
    let folder = std::env::temp_dir().join(format!("maru-doctor-{}", std::process::id()));
    // Made here and now, for root alone: nobody else may have put it there, or anything into it.
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| message!("folder-in-the-way", path = folder.display()))?;
    let podman = Podman::at(&folder);
    let tried = async {
        podman.prepare()?;
        let program = binaries::find(limits::TRIED.binary)?;
        let image = podman.image(&program).await?;
        Ok(limits::detect(&podman, &image).await?.1)
    };
    let refused = tried.await;
    let _ = podman.remove_containers().await;
    podman.unmount().await;
    let _ = std::fs::remove_dir_all(&folder);
    refused
}

#[cfg(test)]
mod tests {
    use messages::message;

    use std::{
        fs::{File, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use chassis::confine::Enforcement;
    use supervisor::limits::Limit;

    use super::{AGENT_GID, AGENT_UID, Finding, as_user, landlock, major, refusal, swap};

    use crate::finding::Severity;

    #[test]
    fn swap_on_a_disk_is_a_warning() {
        let header = "Filename\tType\tSize\tUsed\tPriority\n";

        assert_eq!(swap(header), Finding::ok("swap", message!("swap-off")));
        let disk = swap(&format!("{header}/dev/sda2 partition 8388604 0 -2\n"));
        assert_eq!(disk.severity, Severity::Warning);
        assert!(disk.fix_text().contains("swapoff"));
        let zram = swap(&format!("{header}/dev/zram0 partition 8388604 0 100\n"));
        assert_eq!(zram.severity, Severity::Ok);
    }

    #[test]
    fn a_host_that_does_not_confine_is_named_with_what_to_do() {
        assert_eq!(landlock(Enforcement::Full).severity, Severity::Ok);
        for (enforcement, word) in [(Enforcement::Partial, "6.2"), (Enforcement::None, "lsm=")] {
            let finding = landlock(enforcement);
            assert_eq!(finding.severity, Severity::Warning);
            assert!(
                finding.text.to_string().contains("Landlock") && finding.fix_text().contains(word),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn a_refused_limit_is_named_with_the_hosts_words() {
        let limit = Limit { name: "pids".to_owned(), reason: Some("discarded".to_owned()) };

        let finding = refusal(&limit);

        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding.text.to_string().contains("pids")
                && finding.text.to_string().contains("discarded")
        );
    }

    #[test]
    #[ignore = "needs: root"]
    fn what_only_root_may_open_does_not_open_for_the_agents_user() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("device");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for (mode, expected) in [(0o600, false), (0o666, true)] {
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let opens = || File::open(&file).is_ok();
            assert_eq!(as_user(AGENT_UID, AGENT_GID, opens), Some(expected), "{mode:o}");
            assert!(opens(), "this thread is root");
        }
    }

    #[test]
    fn the_version_of_podman_is_read() {
        assert_eq!(major("podman version 4.3.1"), Some(4));
        assert_eq!(major("podman version 5.4.2"), Some(5));
        assert_eq!(major(""), None);
    }
}
