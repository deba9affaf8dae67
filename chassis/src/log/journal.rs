//! Events as entries of systemd's journal, with their fields, for a daemon whose standard error leads there.
//!
//! A container has no socket of the journal: whoever has it can write anything as any service of its machine that the
//! journal does not know by its process. It logs lines, which Podman hands to the journal.

use std::{
    env,
    io::{self, Write as _},
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::Path,
    sync::OnceLock,
};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::entry::Entry;

/// Where journald takes entries. No setting and no variable leads elsewhere.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Device and inode of the stream that systemd made standard error (`systemd.exec(5)`).
const STREAM: &str = "JOURNAL_STREAM";

/// The connection to journald of this process, if its standard error leads there.
static JOURNAL: OnceLock<Option<Journal>> = OnceLock::new();

/// A connection to journald. Its socket is systemd's and stays when journald restarts.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    program: String,
}

impl Journal {
    fn connect(path: &Path, program: String) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket, program })
    }

    /// Sends an entry. One that journald does not take is a line on standard error, which systemd reads, too.
    fn send(&self, entry: &Entry) {
        if self.socket.send(entry.bytes()).is_err() {
            let _ = io::stderr().write_all(entry.line().as_bytes());
        }
    }
}

/// The connection of this process, made at the first call.
pub(crate) fn open() -> Option<&'static Journal> {
    let connect = || {
        let stream = env::var(STREAM).ok()?;
        if !is_stream(&stream, &io::stderr()) {
            return None;
        }
        Journal::connect(Path::new(SOCKET), program()).ok()
    };
    JOURNAL.get_or_init(connect).as_ref()
}

/// A fatal error as a line for standard error, which systemd reads with its priority (`sd-daemon(3)`).
///
/// It is no entry of ours: journald looks up the unit of an entry's sender, and finds none once the process has ended. What
/// comes by the stream is always the unit's.
pub(crate) fn failure_line(failure: &str) -> String {
    format!("<3>{failure}\n")
}

/// Whether `file` is the stream that `named` says, as `DEVICE:INODE`.
fn is_stream(named: &str, file: &impl AsFd) -> bool {
    let is = |stat: rustix::fs::Stat| format!("{}:{}", stat.st_dev, stat.st_ino) == named;
    rustix::fs::fstat(file).is_ok_and(is)
}

fn program() -> String {
    let path = env::args_os().next().unwrap_or_default();
    Path::new(&path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Sends each event to the journal.
pub(super) struct Entries(pub(super) &'static Journal);

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.send(&Entry::of(event, &self.0.program));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::MetadataExt as _};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::log::event;

    /// What takes journald's place, and a connection to it.
    fn journald() -> (UnixDatagram, &'static Journal) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let journal = Journal::connect(&path, "maru-test".to_owned()).unwrap();
        (socket, Box::leak(Box::new(journal)))
    }

    fn received(socket: &UnixDatagram) -> Vec<String> {
        let mut bytes = vec![0; 256 << 10];
        let len = socket.recv(&mut bytes).unwrap();
        assert!(socket.recv(&mut [0]).is_err(), "an event is one entry");
        String::from_utf8(bytes[..len].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot use the file")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_event_is_an_entry_with_its_fields_and_a_strangers_words_forge_none() {
        let (socket, journal) = journald();
        let subscriber = tracing_subscriber::registry().with(Entries(journal));
        let words = "a\u{202e}b\n_PID=1\nPRIORITY=0";
        let error = Outer(io::Error::other("line 2"));

        tracing::subscriber::with_default(subscriber, || {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(node = 7, hostname = words, unit = "x", error, event = %event::DISK_FULL, "says {words}");
        });

        let one = "a\u{fffd}b _PID=1 PRIORITY=0";
        assert_eq!(
            received(&socket),
            [
                "PRIORITY=4".to_owned(),
                "SYSLOG_IDENTIFIER=maru-test".to_owned(),
                format!(
                    "MESSAGE=says {one} node=7 hostname=\"a\\u{{202e}}b\\n_PID=1\\nPRIORITY=0\" unit=\"x\" \
                     error=cannot use the file: line 2 event=disk-full"
                ),
                "TARGET=chassis::log::journal::tests".to_owned(),
                "NODE=7".to_owned(),
                format!("HOSTNAME={one}"),
                "FIELD_UNIT=x".to_owned(),
                "ERROR=cannot use the file: line 2".to_owned(),
                format!("MESSAGE_ID={}", event::DISK_FULL.id),
                "EVENT=disk-full".to_owned(),
            ]
        );
    }

    #[test]
    fn the_stream_is_known_by_device_and_inode() {
        let dir = tempfile::tempdir().unwrap();
        let [own, other] =
            ["own", "other"].map(|name| File::create(dir.path().join(name)).unwrap());
        let named = |file: &File| {
            let meta = file.metadata().unwrap();
            format!("{}:{}", meta.dev(), meta.ino())
        };

        assert!(is_stream(&named(&own), &own));
        for wrong in [named(&other).as_str(), "", ":", "0:0", "a:b", &format!("{} ", named(&own))] {
            assert!(!is_stream(wrong, &own), "{wrong:?}");
        }
    }
}
