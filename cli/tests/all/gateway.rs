//! A gateway that says what a test wants.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    thread,
};

/// A gateway at this root that answers each question for `path` with `answer`, and 404 to others.
pub(super) fn answer(root: &Path, path: &'static str, answer: String) {
    let socket = root.join("run/maru/metrics/http.sock");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for io in listener.incoming() {
            let (mut io, mut asked, mut buffer) = (io.unwrap(), String::new(), [0; 1024]);
            while !asked.contains("\r\n\r\n") {
                match io.read(&mut buffer).unwrap() {
                    0 => break,
                    more => asked.push_str(std::str::from_utf8(&buffer[..more]).unwrap()),
                }
            }
            let known = asked.starts_with(&format!("GET {path} HTTP/1.1\r\n"));
            let status = if known { "200 OK" } else { "404 Not Found" };
            let length = answer.len();
            let _ = write!(
                io,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{answer}"
            );
        }
    });
}
