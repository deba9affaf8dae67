//! The files of the daemons' output, which `maru up` writes: `var/log/maru/NAME.log`, and the one before, `NAME.log.1`.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::entry::Entry;

/// The file of one service.
#[derive(Debug)]
pub(super) struct LogFile {
    service: &'static str,
    path: PathBuf,
    file: Option<File>,
    /// Whether the file before was read.
    is_begun: bool,
    /// The beginning of a line whose end is not written.
    begun: Vec<u8>,
    /// The time of the last line that had one.
    last: Timestamp,
}

impl LogFile {
    pub(super) fn new(root: &Path, service: &'static str) -> Self {
        let path = root.join(format!("var/log/maru/{service}.log"));
        let last = Timestamp::UNIX_EPOCH;
        Self { service, path, file: None, is_begun: false, begun: Vec::new(), last }
    }

    /// What was written since the last call; at the first, all that is kept.
    pub(super) fn read(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true)
            && let Ok(former) = File::open(self.path.with_extension("log.1"))
        {
            self.rest(former, &mut entries);
        }
        if let Some(file) = self.file.take() {
            self.file = self.rest(file, &mut entries);
        }
        if self.is_another()
            && let Ok(file) = File::open(&self.path)
        {
            self.file = self.rest(file, &mut entries);
        }
        entries
    }

    /// Whether the file was put aside since it was opened, or is not open.
    fn is_another(&self) -> bool {
        let inode = |meta: std::io::Result<std::fs::Metadata>| meta.ok().map(|meta| meta.ino());
        let open = self.file.as_ref().and_then(|file| inode(file.metadata()));
        open.is_none() || open != inode(std::fs::metadata(&self.path))
    }

    /// Reads a file from where it is to its end.
    fn rest(&mut self, mut file: File, entries: &mut Vec<Entry>) -> Option<File> {
        file.read_to_end(&mut self.begun).ok()?;
        let Some(end) = self.begun.iter().rposition(|&byte| byte == b'\n') else {
            return Some(file);
        };
        let whole: Vec<_> = self.begun.drain(..=end).collect();
        for line in String::from_utf8_lossy(&whole).lines().filter(|line| !line.is_empty()) {
            let entry = Entry::of_line(self.service, line, self.last);
            self.last = entry.at;
            entries.push(entry);
        }
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn a_file_is_read_on_also_when_it_was_put_aside() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("var/log/maru");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("agent.log");
        fs::write(path.with_extension("log.1"), "zero\n").unwrap();
        let mut log = LogFile::new(root.path(), "agent");
        let mut read = || log.read().into_iter().map(|entry| entry.message).collect::<Vec<_>>();

        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(read(), ["zero", "one"]);
        assert_eq!(read(), [""; 0]);
        file.write_all(b"o\nthree\n").unwrap();
        fs::rename(&path, path.with_extension("log.1")).unwrap();
        fs::write(&path, "four\n").unwrap();
        assert_eq!(read(), ["two", "three", "four"]);
        assert_eq!(read(), [""; 0]);
    }

    #[test]
    fn without_a_file_there_is_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(LogFile::new(root.path(), "agent").read(), []);
    }
}
