//! What a deployment is made of: identity, certificates, policy, settings; on loopback, below one folder.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::bench::process::Running;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);
/// How long policies hold.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Where a server finds its certificate, below its root.
pub(super) const KEYS: &str = "etc/maru/confidential";

/// The folder with the deployment's identity and authority.
#[derive(Debug)]
pub(super) struct DeploymentFolder {
    folder: PathBuf,
    pub(super) identity: String,
}

impl DeploymentFolder {
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        let mut own = Self { folder, identity: String::new() };
        own.identity = own.run(&["init"])?;
        Ok(own)
    }

    /// Gives a server below `root` a certificate for loopback.
    pub(super) fn machine(&self, root: &Path, name: &str, more: &[&str]) -> Result<()> {
        let out = root.join(KEYS);
        fs::create_dir_all(&out)?;
        let out = out.to_str().context("the folder's name is no text")?;
        self.run(&[&["machine", name, "127.0.0.1", "--out", out][..], more].concat()).map(drop)
    }

    /// Has a server make a key for what it signs, and certifies it.
    pub(super) fn certify(&self, root: &Path, kind: &str) -> Result<()> {
        let file = root.join(KEYS).join(format!("{kind}.key"));
        let public = self.run(&["key", file.to_str().context("the file's name is no text")?])?;
        let certificate = self.run(&["certify", "--for", kind, &format!("--key={public}")])?;
        Ok(fs::write(file.with_extension("json"), certificate)?)
    }

    /// Signs a policy.
    pub(super) fn policy(&self, anchors: &[Value], images: &[Value]) -> Result<String> {
        let policy = json!({
            "version": 1, "policy_id": "bench", "epoch": 1, "simulated": true,
            "not_after": u64::try_from((now() + LIFE).as_millis())?,
            "anchors": anchors, "images": images,
        });
        let file = self.folder.join("policy.json");
        fs::write(&file, policy.to_string())?;
        self.run(&["sign-policy", file.to_str().context("no text")?])
    }

    /// `maru-confidential deployment …`; what it printed.
    fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(lab::binary("maru-confidential")?);
        command.args(["deployment", "--folder"]).arg(&self.folder).args(args);
        let out = command.stdin(Stdio::null()).output().context("cannot run maru-confidential")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "maru-confidential deployment {args:?} failed: {said}");
        Ok(String::from_utf8(out.stdout)?.trim().to_owned())
    }
}

/// Free ports of loopback.
pub(super) fn free<const N: usize>() -> Result<[SocketAddr; N]> {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut free = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (address, listener) in free.iter_mut().zip(listeners) {
        *address = listener?.local_addr()?;
    }
    Ok(free)
}

/// Starts a daemon of the chain below its root; what it says goes to `NAME.log` there.
pub(super) fn daemon(root: &Path, program: &str, part: &str) -> Result<Running> {
    let mut command = Command::new(lab::binary(program)?);
    command.arg(part).arg("--root").arg(root);
    Running::start(&mut command, &root.join(format!("{part}.log")))
}

/// Waits until so, while the process runs that makes it so.
pub(super) fn wait(process: &mut Running, log: &Path, so: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + START;
    while !so() {
        ensure!(
            process.is_alive()? && Instant::now() < deadline,
            "it did not start; it said:\n{}",
            fs::read_to_string(log).unwrap_or_default()
        );
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Waits until a process listens.
pub(super) fn listens(process: &mut Running, log: &Path, at: SocketAddr) -> Result<()> {
    wait(process, log, || TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok())
}

/// The bytes of a certificate as they stand in a policy: base64url without padding.
pub(super) fn der(pem: &Path) -> Result<String> {
    let text = fs::read_to_string(pem).with_context(|| pem.display().to_string())?;
    let standard: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(standard.trim_end_matches('=').replace('+', "-").replace('/', "_"))
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
