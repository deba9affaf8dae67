//! Detects which limits this host supports: all are tried first, then all without each that may fail.

use std::path::{Path, PathBuf};

use anyhow::bail;
use messages::{Message, message};
use serde::{Deserialize, Serialize};
use services::{
    Service, TELMEET_SERVICE,
    podman::{Limits, Settings, isolation},
};

use crate::{
    engine::{Podman, RuntimeOptions, last_line, runtime_options},
    memory::MemoryEnforcement,
};

/// The result of `up`'s detection, for `doctor`; below the root.
pub const FILE: &str = "run/maru/host.json";

/// The service whose program is tried: the smallest one.
pub const TRIED: Service = TELMEET_SERVICE;

/// The limits that a host does not enforce.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingLimits {
    /// Each limit by name, with the host's error message.
    pub limits: Vec<Limit>,
    /// How the memory of the services outside containers is limited.
    #[serde(default)]
    pub children: MemoryEnforcement,
}

/// A limit that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// `memory`, `swap` or `pids`.
    pub name: String,
    /// The host's error message; `None` if it gave none.
    pub reason: Option<String>,
}

impl Limit {
    /// What is missing, for people.
    #[must_use]
    pub fn message(&self) -> Message {
        let limit = &self.name;
        match &self.reason {
            Some(reason) => message!("not-limited", limit, reason),
            None => message!("not-limited-silently", limit),
        }
    }
}

/// Finds a configuration that works, and configures `podman` with it.
pub async fn detect(podman: &Podman, image: &str) -> anyhow::Result<(Limits, MissingLimits)> {
    let full = Limits::full(open_files());
    let fewer = |change: fn(&mut Limits)| {
        let mut limits = full;
        change(&mut limits);
        limits
    };
    let attempts = [
        full,
        fewer(|limits| limits.swap = false),
        fewer(|limits| limits.pids = false),
        fewer(|limits| (limits.memory, limits.swap) = (false, false)),
        fewer(|limits| (limits.memory, limits.swap, limits.pids) = (false, false, false)),
        Limits { cgroups: false, memory: false, swap: false, pids: false, ..full },
    ];
    let mut first_error: Option<String> = None;
    for limits in attempts {
        for options in runtime_options() {
            match attempt(podman, image, limits, &options).await? {
                Ok(warnings) => {
                    let reason = first_error.unwrap_or_default();
                    return Ok(judge(limits, &reason, &warnings));
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
    }
    let has_groups =
        Path::new("/sys/fs/cgroup").read_dir().is_ok_and(|mut dir| dir.next().is_some());
    let advice =
        if has_groups { message!("fix-see-doctor") } else { message!("no-control-groups") };
    bail!(message!("no-container-starts", reason = first_error.unwrap_or_default(), advice))
}

/// Runs the smallest program under `limits`. Returns Podman's warnings, or why it failed.
async fn attempt(
    podman: &Podman,
    image: &str,
    limits: Limits,
    options: &RuntimeOptions,
) -> anyhow::Result<Result<String, String>> {
    podman.use_options(options)?;
    let settings = Settings {
        root: PathBuf::from("/"),
        image: image.to_owned(),
        model: None,
        seccomp: podman.seccomp(),
        engine: None,
        limits,
    };
    let mut args: Vec<String> = ["run", "--rm", "--pull=never"].map(str::to_owned).to_vec();
    args.extend(isolation(&TRIED, &settings));
    args.extend([image.to_owned(), "--help".to_owned()]);
    let said = podman.call(&args).await?;
    Ok(if said.success { Ok(said.stderr) } else { Err(last_line(&said.stderr)) })
}

/// The limits in force: those that Podman accepted without a warning.
fn judge(mut limits: Limits, error: &str, warnings: &str) -> (Limits, MissingLimits) {
    let mut refused = MissingLimits::default();
    let flags: [(&str, &str, &mut bool); 3] = [
        ("memory", "support memory limit", &mut limits.memory),
        ("swap", "support swap limit", &mut limits.swap),
        ("pids", "support pids limit", &mut limits.pids),
    ];
    for (name, words, in_force) in flags {
        let warning = warnings.lines().find(|line| line.to_lowercase().contains(words));
        if let Some(warning) = warning {
            *in_force = false;
            let reason = Some(warning.trim().to_owned());
            refused.limits.push(Limit { name: name.to_owned(), reason });
        } else if !*in_force {
            refused.limits.push(Limit { name: name.to_owned(), reason: Some(error.to_owned()) });
        }
    }
    (limits, refused)
}

/// The limits that the control groups of a running process lack.
pub(crate) fn not_in_force(pid: u32, memory_mib: u64, pids: u32) -> Vec<Limit> {
    let Ok(groups) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else {
        return Vec::new();
    };
    let missing = |name: &str| Limit { name: name.to_owned(), reason: None };
    let mut limits = Vec::new();
    let memory = read_limit(&groups, "memory", &["memory.max", "memory.limit_in_bytes"]);
    if memory.is_none_or(|bytes| bytes > memory_mib << 20) {
        limits.push(missing("memory"));
    }
    let tasks = read_limit(&groups, "pids", &["pids.max"]);
    if tasks.is_none_or(|tasks| tasks > u64::from(pids)) {
        limits.push(missing("pids"));
    }
    limits
}

/// Reads a limit from version 1 or 2 of control groups (cgroups(7)).
fn read_limit(groups: &str, controller: &str, files: &[&str]) -> Option<u64> {
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let base = match controllers {
            "" => PathBuf::from("/sys/fs/cgroup"),
            list if list.split(',').any(|name| name == controller) => {
                Path::new("/sys/fs/cgroup").join(controller)
            }
            _ => continue,
        };
        let folder = base.join(path.trim_start_matches('/'));
        for file in files {
            if let Ok(text) = std::fs::read_to_string(folder.join(file)) {
                return text.trim().parse().ok();
            }
        }
    }
    None
}

/// The hard limit of open files, which children inherit.
fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Limits, judge};

    #[test]
    fn what_the_host_drops_is_named_in_its_words() {
        let warnings = "Your kernel does not support swap limit capabilities or the cgroup is not \
                        mounted. Memory limited without swap.";

        let (limits, refused) = judge(Limits::full(1024), "", warnings);

        assert!(limits.memory && limits.pids && !limits.swap);
        assert_eq!(refused.limits.len(), 1);
        assert_eq!(refused.limits[0].name, "swap");
        assert!(refused.limits[0].message().to_string().contains("swap limit"));
    }

    #[test]
    fn what_had_to_be_left_out_is_named_with_the_error() {
        let fewer = Limits { pids: false, ..Limits::full(1024) };

        let (limits, refused) = judge(fewer, "pids.max: permission denied", "");

        assert!(!limits.pids);
        assert_eq!(refused.limits[0].name, "pids");
        assert_eq!(refused.limits[0].reason.as_deref(), Some("pids.max: permission denied"));
    }
}
