//! Where a sealed prompt is not: the memory of who passes it on, and any disk.
//!
//! Fails if telmeet, an agent, the coordinator or the relay holds the planted prompt in memory, or
//! any file does. The same search finds it in the gateway's memory, where the conversation is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use lab::{Scene, inside::processes};

const CANARY: &[u8] = b"quince-7702-canary";

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY)
}

/// Whether any readable memory of a process holds the canary.
fn memory_holds(pid: u32) -> bool {
    let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else { return false };
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return false };
    maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|p| p.starts_with('r'))).any(
        |line| {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let start = u64::from_str_radix(start, 16).unwrap();
            let end = u64::from_str_radix(end, 16).unwrap();
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            memory.read_exact_at(&mut bytes, start).is_ok() && holds(&bytes)
        },
    )
}

fn files_that_hold(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files_that_hold(&path, found);
        } else if kind.is_file() && fs::read(&path).is_ok_and(|bytes| holds(&bytes)) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_sealed_prompt_is_in_the_gateways_memory_and_nowhere_else() {
    let mut scene = Scene::start().unwrap();
    let laptop = scene.member("laptop", "alice").unwrap();
    let ask = String::from_utf8(CANARY.to_vec()).unwrap();
    laptop.seat.ok(&["chat", "--max-tokens", "8", "--ask", &ask]).unwrap();

    let mut holders = Vec::new();
    let machines = [&scene.home.machine, &laptop.seat.machine, &scene.household.router];
    for machine in machines {
        for (pid, name) in processes(machine.pid()).unwrap() {
            if memory_holds(pid) {
                holders.push(name);
            }
        }
    }
    assert!(holders.iter().any(|name| name == "maru-gateway"), "the search finds: {holders:?}");
    holders.retain(|name| name != "maru-gateway" && name != "maru-llm");
    assert_eq!(holders, Vec::<String>::new(), "who must not know it, knows it");

    let mut files = Vec::new();
    files_that_hold(scene.state(), &mut files);
    assert_eq!(files, Vec::<String>::new());
}
