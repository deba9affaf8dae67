use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

use super::*;

/// An engine that says `body` of its slots, and counts who asked.
fn engine(socket: &Path, body: impl Fn(u32) -> String + Send + 'static) -> Arc<AtomicU32> {
    let listener = UnixListener::bind(socket).unwrap();
    let asked = Arc::<AtomicU32>::default();
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Who says nothing only looked who listens.
            if stream.read(&mut [0; 4096]).await.is_ok_and(|count| count == 0) {
                continue;
            }
            let body = body(count.fetch_add(1, Ordering::SeqCst));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    asked
}

fn whole(socket: &Path) -> Connector {
    Connector::new(Path::new("/"), socket)
}

fn slots(busy: &[bool]) -> String {
    let slots = busy.iter().map(|busy| format!("{{\"id\":0,\"is_processing\":{busy}}}"));
    format!("[{}]", slots.collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn nobody_new_finds_an_engine_that_leaves_and_what_it_says_is_awaited() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("llm.sock");
    let asked = engine(&socket, |count| match count {
        0 => slots(&[false, true]),
        // Between two requests of its line.
        1 => slots(&[false, false]),
        2 => slots(&[true, false]),
        _ => slots(&[false, false]),
    });
    let before = UnixStream::connect(&socket).await.unwrap();

    let aside = put_aside(&socket).unwrap();
    let error = UnixStream::connect(&socket).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    // Who has called already is still heard; the one before that does not hold it up.
    drop(before);
    until_idle(&whole(&aside), Instant::now()).await;
    assert!(asked.load(Ordering::SeqCst) >= 3 + LOOKS, "{asked:?}");
}

#[tokio::test]
async fn an_engine_that_is_away_or_says_nothing_of_use_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("llm.sock");
    assert_eq!(put_aside(&socket), None);
    assert!(!is_busy(&whole(&socket)).await);
    engine(&socket, |count| if count == 0 { "x".to_owned() } else { " ".repeat(SLOTS_MAX + 1) });
    for _ in 0..2 {
        assert!(!is_busy(&whole(&socket)).await);
    }
    // Nor for ever for one that is always busy.
    let busy = folder.path().join("busy.sock");
    engine(&busy, |_| slots(&[true]));
    assert!(is_busy(&whole(&busy)).await, "the control");
    let long_ago = Instant::now().checked_sub(DRAIN);
    if let Some(long_ago) = long_ago {
        until_idle(&whole(&busy), long_ago).await;
    }
}

#[tokio::test]
async fn an_engine_too_busy_to_say_so_is_not_taken_for_idle() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("llm.sock");
    // The kernel takes the connection; nobody reads from it.
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(is_busy(&whole(&socket)).await);
}

/// A link could lead to an engine that is never idle.
#[tokio::test]
async fn a_link_in_the_place_of_an_engine_that_leaves_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, busy) = (folder.path().join("llm.sock"), folder.path().join("busy.sock"));
    engine(&busy, |_| slots(&[true]));
    std::os::unix::fs::symlink(&busy, &socket).unwrap();
    assert!(!is_busy(&whole(&socket)).await);
    assert!(is_busy(&whole(&busy)).await, "the control");
}
