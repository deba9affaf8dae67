//! `/etc/resolv.conf`: pointed at the agent while it runs, and back.
//!
//! The file is written in place: it may be a mount point, which cannot be replaced by a rename. The original is backed up
//! first, in a folder that only root may write, so that the next start undoes a crash. Changes of other programs are kept:
//! the original is restored only over our own text, or over an empty file, as a power cut can leave it.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use chassis::durable::{self, Access};
use node_agent_core::{
    domain::Domain,
    resolv_conf::{MARK, names_agent_alone, nameservers, render},
};
use rustix::fs::OFlags;

/// The system's resolver configuration.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The backup's text if there was no file.
const ABSENT: &str = "# maru-agent: there was no file\n";
/// Longest resolver configuration, in bytes.
const MAX_LEN: u64 = 64 * 1024;

/// The system's own resolvers: from the backup if `path` points at the agent.
pub(crate) fn previous(path: &Path, backup: &Path) -> Vec<IpAddr> {
    let text = read(backup).or_else(|| read(path)).unwrap_or_default();
    nameservers(&text)
}

/// The system's resolver configuration.
#[derive(Clone, Debug)]
pub(crate) struct ResolvConf {
    path: PathBuf,
    backup: PathBuf,
}

impl ResolvConf {
    /// The file at `path`, with its backup at `backup`.
    pub(crate) fn new(path: &Path, backup: &Path) -> Self {
        Self { path: path.to_owned(), backup: backup.to_owned() }
    }

    /// Restores what a crash left, and makes an empty file if there is none, which means the same to the C library.
    pub(crate) fn open(&self) -> io::Result<()> {
        self.restore()?;
        if let Err(error) = fs::symlink_metadata(&self.path)
            && error.kind() == io::ErrorKind::NotFound
        {
            keep(&self.backup, ABSENT)?;
            write_in_place(&self.path, "")?;
        }
        Ok(())
    }

    /// Points the file at the agent, with `network` as the first search domain. A repeated call takes another program's
    /// changes as the original. Returns `false` for a symbolic link (to a resolver's own file), which is left alone.
    pub(crate) fn take(&self, network: &Domain) -> io::Result<bool> {
        let current = match fs::symlink_metadata(&self.path) {
            Ok(meta) if !meta.is_file() || meta.len() > MAX_LEN => return Ok(false),
            Ok(_) => Some(fs::read_to_string(&self.path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let ours = current
            .as_deref()
            .is_some_and(|text| text.starts_with(MARK) || is_left(text) && self.backup.exists());
        if !ours {
            keep(&self.backup, current.as_deref().unwrap_or(ABSENT))?;
        }
        let original = read(&self.backup).unwrap_or_default();
        let wanted = render(&original, network);
        if current.as_deref() != Some(wanted.as_str()) {
            write_in_place(&self.path, &wanted)?;
        }
        Ok(true)
    }

    /// Puts the original back, if the file is still ours.
    ///
    /// On an error the backup stays.
    pub(crate) fn restore(&self) -> io::Result<()> {
        let Some(original) = read(&self.backup) else {
            return Ok(());
        };
        let ours = read(&self.path).is_some_and(|text| text.starts_with(MARK) || is_left(&text));
        if ours && original == ABSENT {
            if fs::remove_file(&self.path).is_err() {
                // A mount point cannot be removed, nor can a confined process remove files. An empty file means the same to
                // the C library, and the backup stays for the next start.
                return write_in_place(&self.path, "");
            }
        } else if ours {
            write_in_place(&self.path, &original)?;
        }
        fs::remove_file(&self.backup)
    }
}

/// Whether a file is what is left of ours: empty or all zeros, as after a power cut during a write; or with the agent as its only
/// resolver, as another program writes it that read ours and puts that back.
fn is_left(text: &str) -> bool {
    text.bytes().all(|byte| byte == 0) || names_agent_alone(text)
}

/// Reads a file of at most [`MAX_LEN`].
pub(crate) fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MAX_LEN).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Writes the backup, readable for everyone like the file itself.
pub(crate) fn keep(backup: &Path, text: &str) -> io::Result<()> {
    let folder = backup.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    durable::replace(backup, Access::READABLE, text.as_bytes())
}

fn write_in_place(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let is_new = !path.exists();
    let mut file = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
    if is_new {
        // Everybody reads it, whatever the process's umask is.
        file.set_permissions(Permissions::from_mode(0o644))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str =
        "nameserver 192.0.2.53\nnameserver\t2001:db8::53\nsearch lan\noptions edns0\n";

    fn domain() -> Domain {
        "maru.home.arpa".parse().unwrap()
    }

    struct Files {
        _dir: tempfile::TempDir,
        path: PathBuf,
        backup: PathBuf,
    }

    impl Files {
        fn open(&self) -> ResolvConf {
            let conf = ResolvConf::new(&self.path, &self.backup);
            conf.open().unwrap();
            conf
        }

        fn previous(&self) -> Vec<IpAddr> {
            previous(&self.path, &self.backup)
        }
    }

    fn files(original: Option<&str>) -> Files {
        let dir = tempfile::tempdir().unwrap();
        let (path, backup) = (dir.path().join("resolv.conf"), dir.path().join("state/backup"));
        if let Some(text) = original {
            fs::write(&path, text).unwrap();
        }
        Files { _dir: dir, path, backup }
    }

    #[test]
    fn the_file_points_here_and_back() {
        let files = files(Some(ORIGINAL));
        let conf = files.open();
        assert!(conf.take(&domain()).unwrap());
        assert!(conf.take(&domain()).unwrap());
        let text = read(&files.path).unwrap();
        assert!(text.contains("nameserver 100.100.100.100\nsearch maru.home.arpa lan\n"), "{text}");
        assert!(text.contains("options edns0"));
        assert_eq!(files.previous().len(), 2);
        conf.restore().unwrap();
        assert_eq!(read(&files.path).unwrap(), ORIGINAL);
        assert!(!files.backup.exists());
    }

    #[test]
    fn a_crash_is_undone_by_the_next_start() {
        let files = files(Some(ORIGINAL));
        files.open().take(&domain()).unwrap();
        files.open();
        assert_eq!(read(&files.path).unwrap(), ORIGINAL);
        assert_eq!(files.previous()[0], "192.0.2.53".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_power_cut_while_writing_loses_nothing() {
        for left in ["", "\0\0\0"] {
            for again in [false, true] {
                let files = files(Some(ORIGINAL));
                let cut = files.open();
                cut.take(&domain()).unwrap();
                fs::write(&files.path, left).unwrap();
                if again {
                    // It goes on without a start between.
                    cut.take(&domain()).unwrap();
                    assert_eq!(files.previous().len(), 2, "{left:?}");
                }
                files.open();
                assert_eq!(read(&files.path).unwrap(), ORIGINAL, "{left:?}");
            }
        }
    }

    #[test]
    fn what_someone_else_wrote_meanwhile_stays() {
        let files = files(Some(ORIGINAL));
        let conf = files.open();
        conf.take(&domain()).unwrap();
        fs::write(&files.path, "nameserver 198.51.100.53\n").unwrap();
        conf.restore().unwrap();
        assert_eq!(read(&files.path).unwrap(), "nameserver 198.51.100.53\n");
    }

    #[test]
    fn a_program_that_puts_back_what_it_read_takes_no_resolver_away() {
        let files = files(Some(ORIGINAL));
        let conf = files.open();
        conf.take(&domain()).unwrap();
        // As a DHCP client does that saved the file and restores it, or one that writes what it read in its own words.
        fs::write(&files.path, "# Generated by another\nnameserver 100.100.100.100\n").unwrap();
        conf.take(&domain()).unwrap();
        assert_eq!(files.previous().len(), 2, "they are forgotten");
        assert!(read(&files.path).unwrap().starts_with(MARK));

        fs::write(&files.path, "# Generated by another\nnameserver 100.100.100.100\n").unwrap();
        conf.restore().unwrap();
        assert_eq!(read(&files.path).unwrap(), ORIGINAL, "it points at nobody");
    }

    #[test]
    fn a_new_original_is_taken_over_while_running() {
        let files = files(Some(ORIGINAL));
        let conf = files.open();
        conf.take(&domain()).unwrap();
        fs::write(&files.path, "nameserver 198.51.100.53\n").unwrap();
        conf.take(&domain()).unwrap();
        assert_eq!(files.previous(), ["198.51.100.53".parse::<IpAddr>().unwrap()]);
        conf.restore().unwrap();
        assert_eq!(read(&files.path).unwrap(), "nameserver 198.51.100.53\n");
    }

    #[test]
    fn a_missing_file_is_missing_again_and_a_link_is_left_alone() {
        let files = files(None);
        let conf = files.open();
        assert_eq!(read(&files.path).unwrap(), "");
        assert!(conf.take(&domain()).unwrap());
        assert!(read(&files.path).unwrap().starts_with(MARK));
        conf.restore().unwrap();
        assert!(!files.path.exists());

        let target = files.path.with_extension("stub");
        fs::write(&target, ORIGINAL).unwrap();
        std::os::unix::fs::symlink(&target, &files.path).unwrap();
        assert!(!files.open().take(&domain()).unwrap());
        assert_eq!(read(&target).unwrap(), ORIGINAL);
        assert_eq!(files.previous().len(), 2);
    }

    #[test]
    fn the_agent_never_forwards_to_itself() {
        assert!(nameservers("nameserver 100.100.100.100\n#nameserver 192.0.2.1\n").is_empty());
    }
}
