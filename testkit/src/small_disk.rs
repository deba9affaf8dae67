//! A small file system of the test's own, in a mount namespace in which the test runs again.

use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

/// Names the folder of the file system.
const FOLDER: &str = "MARU_TEST_SMALL_DISK";

/// A small file system.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// The small disk, when the test `name` runs in the namespace. Else runs the test there, with a disk of this size, such
    /// as `1m`, and fails if it fails; then there is `None` left to do. It declares that: `#[ignore = "needs: root"]`.
    pub fn of_test(name: &str, size: &str) -> Option<Self> {
        if let Some(folder) = env::var_os(FOLDER) {
            return Some(Self(folder.into()));
        }
        let dir = tempfile::tempdir().unwrap();
        let script =
            format!("mount -t tmpfs -o size={size},mode=700 disk \"${FOLDER}\" && exec \"$@\"");
        let mut test = Command::new("unshare");
        test.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        test.arg(env::current_exe().unwrap()).args(["--exact", "--include-ignored", name]);
        let out = test.env(FOLDER, dir.path()).output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(out.status.success() && said.contains("1 passed"), "{said}");
        None
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fills it up; so many bytes stay free.
    pub fn fill(&self, room: u64) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        for piece in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![0; piece]).is_ok() {}
        }
        assert_eq!(filler.write_all(&[0]).unwrap_err().kind(), ErrorKind::StorageFull);
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(room)).unwrap();
    }

    /// Makes room again.
    pub fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}
