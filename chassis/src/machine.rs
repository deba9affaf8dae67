//! What a program may use of the machine: processors and memory.
//!
//! Both are bounded by the control group (version 2) of the program and of each above it, as containers and units set
//! them. Files are read below a folder, `/` for the machine itself.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Cores that this program may keep busy, at least 1: those with a processor that it may use, and not more than the
/// control group's quota gives. Two processors of one core count as one, since they slow each other.
#[must_use]
pub fn cores(root: &Path) -> usize {
    let processors = allowed(root).unwrap_or_default();
    let core = |number: u32| {
        let of = format!("sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list");
        // The kernel also allows processors that do not exist or are off, which have no such file.
        fs::read_to_string(root.join(of)).ok()
    };
    let cores = processors.into_iter().filter_map(core).collect::<BTreeSet<_>>().len();
    // Processors that are not told apart.
    let cores = if cores == 0 {
        std::thread::available_parallelism().map_or(1, usize::from)
    } else {
        cores
    };
    let quotas = groups(root).into_iter().filter_map(|group| quota(&group));
    quotas.fold(cores, usize::min).max(1)
}

/// Bytes of memory that this program could have now without swap: seven of eight that the machine has left, and no more
/// than what the limits of the control groups leave. [`None`] if the kernel does not say (`proc_meminfo(5)`).
#[must_use]
pub fn free_memory(root: &Path) -> Option<u64> {
    let of_machine = available(root)?;
    Some(groups(root).into_iter().filter_map(|group| room(&group)).fold(of_machine, u64::min))
}

/// Bytes of memory that the machine could give without swap, seven of eight that it has left. [`None`] if the kernel does not say.
#[must_use]
pub fn available(root: &Path) -> Option<u64> {
    Some(meminfo(root, "MemAvailable")? / 8 * 7)
}

/// A value of `/proc/meminfo` in bytes; [`None`] if it is not there.
#[must_use]
pub fn meminfo(root: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The numbers of the processors that this program may use (`proc_pid_status(5)`, a list such as `0-3,8`).
fn allowed(root: &Path) -> Option<Vec<u32>> {
    let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut all = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        all.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(all)
}

/// The folders of this program's control group and of those above it.
fn groups(root: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    // With a namespace of its own a group above may be outside of what can be seen.
    let path = Path::new(path).ancestors().filter(|path| !path.starts_with(".."));
    path.map(|path| root.join("sys/fs/cgroup").join(path)).collect()
}

/// Whole processors that a group may use, at least 1; [`None`] without a quota (`cpu.max`: microseconds of a period, and the
/// period).
fn quota(group: &Path) -> Option<usize> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (usize, usize) = (quota.parse().ok()?, period.parse().ok()?);
    Some(quota.checked_div(period)?.max(1))
}

/// Bytes that a group's limit leaves; files that it has read take none, since they make room. [`None`] without a limit.
fn room(group: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix("file ")?.parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(files.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const GROUP: (&str, &str) = ("proc/self/cgroup", "1:name=x:/y\n0::/maru.slice/engine\n");

    #[test]
    fn cores_are_those_that_are_allowed_and_not_more_than_the_quota() {
        let siblings = |number: u32, text| {
            (format!("sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"), text)
        };
        let cores = |allowed: &str, quota: &[(&str, &str)]| {
            let status = format!("Name:\tx\nCpus_allowed_list:\t{allowed}\n");
            let topology: Vec<_> = (0..8)
                .map(|at| siblings(at, ["0,4\n", "1,5\n", "2,6\n", "3,7\n"][at as usize % 4]))
                .collect();
            let mut files = vec![("proc/self/status", status.as_str()), GROUP];
            files.extend(topology.iter().map(|(path, text)| (path.as_str(), *text)));
            files.extend(quota);
            super::cores(machine(&files).path())
        };
        let (own, above) =
            ("sys/fs/cgroup/maru.slice/engine/cpu.max", "sys/fs/cgroup/maru.slice/cpu.max");
        assert_eq!(cores("0-7", &[]), 4, "two processors of a core are one");
        assert_eq!(cores("0,4,5", &[]), 2);
        assert_eq!(cores("0-127", &[]), 4, "processors that do not exist");
        assert_eq!(cores("0-7", &[(own, "max 100000\n")]), 4);
        assert_eq!(cores("0-7", &[(own, "350000 100000\n")]), 3);
        assert_eq!(cores("0-7", &[(own, "350000 100000\n"), (above, "200000 100000\n")]), 2);
        assert_eq!(cores("0-7", &[(own, "50000 100000\n")]), 1);
        assert_eq!(cores("0-7", &[(own, "5 0\n")]), 4);
        assert!(super::cores(machine(&[]).path()) > 0, "nothing is known");
    }

    #[test]
    fn memory_is_what_the_machine_has_and_each_limit_leaves() {
        let meminfo =
            ("proc/meminfo", "MemTotalX: 9 kB\nMemTotal:       4096 kB\nMemAvailable: 2048 kB\n");
        let free = |files: &[(&str, &str)]| {
            free_memory(machine(&[&[meminfo, GROUP], files].concat()).path())
        };
        let (group, above) = ("sys/fs/cgroup/maru.slice/engine", "sys/fs/cgroup/maru.slice");
        let of = |group: &str, name: &str| format!("{group}/{name}");
        let (max, current, stat) =
            (of(group, "memory.max"), of(group, "memory.current"), of(group, "memory.stat"));
        assert_eq!(free(&[]), Some(7 << 18));
        assert_eq!(free(&[(&max, "max\n"), (&current, "9\n")]), Some(7 << 18));
        assert_eq!(free(&[(&max, "1000\n"), (&current, "600\n")]), Some(400));
        let files = (stat.as_str(), "anon 100\nfile 500\n");
        assert_eq!(free(&[(&max, "1000\n"), (&current, "600\n"), files]), Some(900));
        let (max, current) = (of(above, "memory.max"), of(above, "memory.current"));
        assert_eq!(free(&[(&max, "10\n"), (&current, "600\n")]), Some(0));
        assert_eq!(free_memory(machine(&[GROUP]).path()), None);
        let root = machine(&[("proc/meminfo", "MemTotal: many kB\nMemFree: 3 kB\n")]);
        assert_eq!(
            ["MemTotal", "Mem", "MemFree"].map(|key| super::meminfo(root.path(), key)),
            [None, None, Some(3072)]
        );
    }
}
