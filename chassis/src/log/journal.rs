//! Events as entries of systemd's journal, with their fields, for a daemon whose standard error leads there.
//!
//! A container has no socket of the journal: whoever has it can write anything as any service of its machine that the
//! journal does not know by its process. It logs lines, which Podman hands to the journal.

use std::{
    env, fmt,
    io::{self, Write as _},
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::Path,
    sync::OnceLock,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use super::{entry::Entry, request};

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

/// The id of a request, kept in its span.
#[derive(Debug, Default)]
struct RequestId(String);

impl Visit for RequestId {
    fn record_debug(&mut self, _: &Field, id: &dyn fmt::Debug) {
        self.0 = format!("{id:?}");
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Entries {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if request::is_request(span.metadata())
            && let Some(kept) = context.span(id)
        {
            let mut id = RequestId::default();
            span.record(&mut id);
            kept.extensions_mut().insert(id);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut spans = context.event_scope(event).into_iter().flatten();
        let request = spans.find(|span| request::is_request(span.metadata()));
        let kept = request.as_ref().map(|span| span.extensions());
        let id = kept.as_ref().and_then(|kept| kept.get::<RequestId>());
        self.0.send(&Entry::of(event, &self.0.program, id.map(|id| id.0.as_str())));
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, fs::File, os::unix::fs::MetadataExt as _};

    use axum::{http::StatusCode, response::IntoResponse as _};
    use futures_util::{StreamExt as _, stream};
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

    /// Whatever is logged of a request, while it is served and while its response is read, has its id.
    #[tokio::test]
    async fn events_of_a_request_have_its_id_and_those_of_others_do_not() {
        let (socket, journal) = journald();
        let subscriber = tracing_subscriber::registry().with(Entries(journal));
        let _set = tracing::subscriber::set_default(subscriber);
        let id = |socket: &UnixDatagram| {
            let entry = received(socket);
            entry.iter().find_map(|line| Some(line.strip_prefix("REQUEST=")?.to_owned()))
        };
        let serve = async || {
            let served = async {
                tracing::info!(request = "of a stranger", "begins");
                let parts = stream::unfold(false, |is_over| async move {
                    tracing::info!("goes on");
                    (!is_over).then_some((Ok::<_, Infallible>("part"), true))
                });
                let status = StatusCode::BAD_GATEWAY;
                Ok((status, axum::body::Body::from_stream(parts)).into_response())
            };
            request::in_span(served).await.unwrap()
        };

        let response = serve().await;
        let begins = received(&socket);
        let own = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(own.len(), 16);
        assert!(begins.contains(&format!("REQUEST={own}")), "{begins:?}");
        assert!(begins.contains(&"FIELD_REQUEST=of a stranger".to_owned()), "{begins:?}");
        let mut body = response.into_body().into_data_stream();
        while body.next().await.is_some() {
            assert_eq!(id(&socket).as_ref(), Some(&own));
        }
        assert_eq!(id(&socket).as_ref(), Some(&own));
        tracing::info!("of no request");
        assert_eq!(id(&socket), None);

        serve().await;
        let other = id(&socket);
        assert!(other.is_some() && other != Some(own), "{other:?}");
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
