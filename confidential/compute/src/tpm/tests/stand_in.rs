//! What stands in for a TPM: a function, on a socket or behind a file like the device's, and `swtpm` behind that.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    thread,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::{answer::ANSWER_MAX, stream::Stream};

/// Longer than anything here takes.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// Where a command and an answer have their code (*TPM 2.0 Library*, part 1, section 18).
const CODE: std::ops::Range<usize> = 6..10;

/// The code of a command.
pub(super) fn code(command: &[u8]) -> u32 {
    u32::from_be_bytes(command[CODE].try_into().unwrap())
}

/// An answer with these parameters, to a command without a session.
pub(super) fn success(parameters: &[u8]) -> Vec<u8> {
    let length = u32::try_from(10 + parameters.len()).unwrap().to_be_bytes();
    [&[0x80, 1][..], &length, &[0; 4], parameters].concat()
}

/// What says this to each command.
pub(super) fn listen(at: &Path, mut tpm: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) {
    let listener = UnixListener::bind(at).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut command = [0; ANSWER_MAX];
            let length = stream.read(&mut command).unwrap();
            let _ = stream.write_all(&tpm(&command[..length]));
        }
    });
}

/// A file like the device's: it takes each command whole, and is silent where there is no answer.
pub(super) fn device(mut tpm: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> File {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let (near, far) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
    thread::spawn(move || {
        let mut far = File::from(far);
        let mut command = [0; ANSWER_MAX];
        while let Ok(length @ 1..) = far.read(&mut command) {
            if let Some(answer) = tpm(&command[..length]) {
                let _ = far.write_all(&answer);
            }
        }
    });
    File::from(near)
}

/// What a TPM on a socket says.
pub(super) fn forward(socket: &Path, command: &[u8]) -> Vec<u8> {
    Stream::new(socket.to_owned()).exchange(command, SOON).unwrap().to_vec()
}
