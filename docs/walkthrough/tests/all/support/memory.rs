//! Looks for texts in the memory of processes.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use lab::search::Search;

/// How much memory is read at once.
const PIECE: usize = 1 << 20;
/// Kernel pages that no process writes to, and that cannot be read from outside.
const KERNELS_OWN: [&str; 3] = ["[vvar]", "[vvar_vclock]", "[vsyscall]"];

/// Which memory of a process is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All that can be read.
    All,
    /// What it can write to: not its program's file, nor a model's.
    Writable,
}

/// Whether the memory of a process holds what is searched for; `None` if the process has gone.
///
/// # Panics
///
/// When a part of its memory cannot be read.
pub(crate) fn memory_holds(pid: u32, wanted: &Search) -> Option<bool> {
    part_holds(pid, Part::All, wanted)
}

/// As [`memory_holds`], of a part of its memory.
pub(crate) fn part_holds(pid: u32, part: Part, wanted: &Search) -> Option<bool> {
    let mut unreadable = String::new();
    // A mapping may go between the list and the look at it.
    for _ in 0..20 {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        if maps.is_empty() {
            return None;
        }
        let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
        match search(&maps, &memory, part, wanted) {
            Ok(found) => return Some(found),
            Err(mapping) => unreadable = mapping,
        }
    }
    Path::new(&format!("/proc/{pid}")).exists().then(|| panic!("cannot read {unreadable} of {pid}"))
}

/// `Err` names the mapping that could not be read.
fn search(maps: &str, memory: &File, part: Part, wanted: &Search) -> Result<bool, String> {
    let mut bytes = vec![0; PIECE];
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let readable = rights.starts_with('r') && (part == Part::All || rights.starts_with("rw"));
        if !readable || KERNELS_OWN.iter().any(|name| line.ends_with(name)) {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [mut start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        while start < end {
            let len = PIECE.min(usize::try_from(end - start).unwrap());
            let piece = &mut bytes[..len];
            memory.read_exact_at(piece, start).map_err(|_| line.to_owned())?;
            if wanted.finds_in(piece) {
                return Ok(true);
            }
            let step = if len == PIECE { PIECE - wanted.longest() } else { PIECE };
            start += u64::try_from(step).unwrap();
        }
    }
    Ok(false)
}
