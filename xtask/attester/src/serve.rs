//! The module behind a socket.

use std::{
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};

use crate::nsm::{MAX_REQUEST, MAX_RESPONSE, Module};

/// How long a connection may stay silent amid a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the socket; one that was left there is replaced.
///
/// # Errors
///
/// Fails if it cannot be opened there.
pub fn listen(socket: &Path) -> Result<UnixListener> {
    if let Err(error) = std::fs::remove_file(socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot replace {}", socket.display()));
    }
    UnixListener::bind(socket).with_context(|| format!("cannot listen at {}", socket.display()))
}

/// Serves each connection on its own thread, forever.
///
/// # Errors
///
/// Connections can no longer be accepted.
pub fn serve(listener: &UnixListener, module: Module) -> Result<()> {
    let module = Mutex::new(module);
    thread::scope(|scope| {
        loop {
            let (stream, _) = listener.accept()?;
            let module = &module;
            scope.spawn(move || converse(stream, module));
        }
    })
}

/// Until the other side hangs up, or says what is no request.
fn converse(mut stream: UnixStream, module: &Mutex<Module>) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    loop {
        let request = read_message(&mut stream)?;
        let response = {
            let mut module = module.lock().unwrap_or_else(PoisonError::into_inner);
            module.handle(&request, unix_ms())
        };
        write_message(&mut stream, &response)?;
    }
}

fn read_message(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(None)?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if len > MAX_REQUEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn write_message(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MAX_RESPONSE);
    let len = len.ok_or(io::ErrorKind::InvalidData)?;
    stream.write_all(&[&len.to_be_bytes()[..], bytes].concat())
}

#[allow(clippy::disallowed_methods, reason = "a shell: it reads the clock")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
