//! A stand-in for a machine's TPM: Debian's `swtpm`, which takes a TPM's own bytes on a UNIX socket.

use std::{
    ffi::OsString,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::instance::now;

/// How long it may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// `TPM2_PCR_Extend` with the session of an empty password, up to the digest (*TPM 2.0 Library*, part 3, section 22.2): one
/// digest of SHA-256. The register's number is the byte at 13.
const EXTEND: [u8; 33] = [
    0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82, 0, 0, 0, 0, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0,
    0, 0, 0, 0, 1, 0, 0x0b,
];

/// A TPM that runs. Dropping it ends it; what it keeps is in its folder.
#[derive(Debug)]
pub struct Swtpm {
    socket: PathBuf,
    process: Child,
}

/// The arguments of `swtpm`: the existing folder of its state, and its socket.
#[must_use]
pub fn arguments(folder: &Path, socket: &Path) -> Vec<OsString> {
    let with = |key: &str, path: &Path| {
        let mut text = OsString::from(key);
        text.push(path);
        text
    };
    vec![
        "socket".into(),
        "--tpm2".into(),
        "--tpmstate".into(),
        with("dir=", folder),
        "--server".into(),
        with("type=unixio,path=", socket),
        "--flags".into(),
        "startup-clear".into(),
    ]
}

impl Swtpm {
    /// Starts one with its state and its socket in `folder`.
    ///
    /// # Errors
    ///
    /// It is not installed, or does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let socket = folder.join("tpm.sock");
        let mut command = Command::new("swtpm");
        command.args(arguments(folder, &socket)).stdin(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().context("cannot start swtpm")?;
        let deadline = now() + PATIENCE;
        while UnixStream::connect(&socket).is_err() {
            ensure!(now() < deadline, "swtpm does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { socket, process })
    }

    /// Where it takes commands.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Extends a register of the bank of SHA-256 by a digest, as what starts a machine does before it starts a program.
///
/// # Errors
///
/// The TPM does not answer, or refuses.
pub fn extend(socket: &Path, register: u8, digest: [u8; 32]) -> Result<()> {
    let mut command = [&EXTEND[..], &digest].concat();
    if let Some(handle) = command.get_mut(13) {
        *handle = register;
    }
    let mut stream = UnixStream::connect(socket).context("cannot reach the TPM")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&command)?;
    let mut head = [0; 10];
    stream.read_exact(&mut head)?;
    let [.., c0, c1, c2, c3] = head;
    let code = u32::from_be_bytes([c0, c1, c2, c3]);
    ensure!(code == 0, "the TPM does not extend register {register}: code {code:#x}");
    Ok(())
}
