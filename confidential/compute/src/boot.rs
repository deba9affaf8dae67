//! `maru-compute boot`: holds the request encryption key, makes evidence of it, and starts the workers.
//!
//! ```text
//! LOOK ──▶ whether the TPM responds
//! EVIDENCE nonce ──▶ Line ──▶ Reks ──▶ security module, or TPM
//! WORK key ──▶ Reks: opens, not seen before ──▶ Workers: a process of its own, with the secret of this one request
//! ```
//!
//! Its only client is `router-com`, which faces the network. It does not read requests, only their sealed keys.

mod workers;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chassis::{
    accept::{Connections, ShutdownSignal},
    notify, process,
    signal::Termination,
    unix::{Access, Socket},
};
use confidential_api::{
    names::NONCE_LEN,
    policy::Anchor,
    settings::compute::{NSM, Settings},
};
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{
    Error, Root,
    evidence::EvidenceQueue,
    frame::{self, Kind, Refusal},
    holder::Holder,
    job::Media,
    nsm::Nsm,
    rek::RekStore,
    tpm::Tpm,
};

pub use workers::{Program, Workers};

/// Longest time for receiving a request from `router-com`.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state of the server.
#[derive(Debug)]
struct Boot {
    reks: Arc<RekStore>,
    line: EvidenceQueue,
    workers: Workers,
    /// Permits one retry at a time of a holder that does not respond.
    again: Arc<Semaphore>,
    uid: u32,
}

/// Runs `boot` until it is asked to stop, with `program` as its worker.
///
/// # Errors
///
/// See [`Error`].
pub async fn run(root: &Root, settings: &Settings, program: Program) -> Result<(), Error> {
    process::forbid_dumps().map_err(|errno| Error::Confine(errno.into()))?;
    let (holder, at) = holder(settings)?;
    let reks = spawn_blocking(move || RekStore::new(holder)).await;
    let reks = Arc::new(reks.map_err(|error| Error::Job(error.into()))?.map_err(Error::Key)?);
    let (line, served) = EvidenceQueue::new(Arc::clone(&reks));
    let life = Duration::from_secs(settings.worker_s);
    let workers = Workers::new(program, settings.workers, life);
    workers.prepare();
    let own = rustix::process::getuid().as_raw();
    let uid = settings.router_com_uid.unwrap_or(own);
    let boot = Arc::new(Boot { reks, line, workers, again: Arc::new(Semaphore::new(1)), uid });
    let socket = Socket::bind(&root.path(&settings.boot_socket), Access::Group)?;
    let mut termination = Termination::watch().map_err(Error::Signals)?;
    notify::ready();
    tracing::info!(socket = %settings.boot_socket.display(), holder = %at.display(), "ready");
    let connect = |stream, uid, stopping| {
        let boot = Arc::clone(&boot);
        let admitted = uid == boot.uid;
        admitted.then_some(async move { boot.serve(stream, stopping).await })
    };
    let connections = Connections::new("connections to boot", settings.connections)
        .drain(Duration::from_secs(settings.worker_s));
    tokio::select! {
        () = connections.serve(socket, termination.asked(), connect) => {}
        () = served => {}
    }
    tracing::info!("stopped");
    Ok(())
}

impl Boot {
    /// Serves one request. Dropping `_stopping` marks the connection as finished.
    async fn serve(&self, mut stream: UnixStream, _stopping: ShutdownSignal) {
        let Ok(Ok((kind, payload))) = timeout(PATIENCE, frame::read(&mut stream)).await else {
            return;
        };
        let refused = match kind {
            Kind::Look => self.tell(&mut stream).await,
            Kind::Evidence => self.show(&mut stream, &payload).await,
            Kind::Work => match self.open(payload).await {
                Ok((job, _place)) => {
                    if let Err(error) = self.workers.work(&job, stream).await {
                        tracing::error!(%error, "the worker could not be started");
                    }
                    return;
                }
                Err(refusal) => Err(refusal),
            },
            Kind::Document | Kind::Body | Kind::Head | Kind::End | Kind::Refused => {
                return;
            }
        };
        if let Err(refusal) = refused {
            let _ = frame::write(&mut stream, Kind::Refused, &[refusal as u8]).await;
        }
    }

    /// Responds to a health check. If the holder did not respond before, it is tried again in the background.
    async fn tell(&self, stream: &mut UnixStream) -> Result<(), Refusal> {
        if self.reks.is_silent() {
            if let Ok(place) = Arc::clone(&self.again).try_acquire_owned() {
                let reks = Arc::clone(&self.reks);
                spawn_blocking(move || {
                    let _place = place;
                    reks.present().map(drop)
                });
            }
            return Err(Refusal::Failed);
        }
        let _ = frame::write(stream, Kind::End, &[]).await;
        Ok(())
    }

    async fn show(&self, stream: &mut UnixStream, nonce: &[u8]) -> Result<(), Refusal> {
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| Refusal::Failed)?;
        let evidence = self.line.ask(nonce).await?;
        let _ = frame::write(stream, Kind::Document, &evidence).await;
        Ok(())
    }

    /// Opens a request's key; the permit is held until its worker has ended.
    async fn open(
        &self,
        work: Vec<u8>,
    ) -> Result<(Zeroizing<Vec<u8>>, OwnedSemaphorePermit), Refusal> {
        let place = self.workers.place()?;
        let reks = Arc::clone(&self.reks);
        let opened = spawn_blocking(move || {
            let (media, sealed_key) = Media::read(&work).ok_or(Refusal::Sealed)?;
            Ok((reks.open(media, sealed_key)?.encode(), place))
        });
        opened.await.unwrap_or(Err(Refusal::Failed))
    }
}

/// The holder of the key, and its path.
fn holder(settings: &Settings) -> Result<(Box<dyn Holder>, PathBuf), Error> {
    match (&settings.nsm, &settings.tpm) {
        (Some(_), Some(_)) => Err(Error::TwoHolders),
        (None, Some(at)) => Ok((Box::new(tpm(settings, at)?), at.clone())),
        (nsm, None) => {
            let at = nsm.as_deref().unwrap_or(Path::new(NSM));
            Ok((Box::new(Nsm::at(at)), at.to_owned()))
        }
    }
}

/// Makes the attestation key if there is none, and returns it as an anchor for a policy: `maru-compute ak`.
///
/// # Errors
///
/// [`Error::NoTpm`] if the settings name none, [`Error::Key`] if there is no key.
pub fn provision(settings: &Settings, name: &str) -> Result<Anchor, Error> {
    let at = settings.tpm.as_ref().ok_or(Error::NoTpm)?;
    tpm(settings, at)?.provision(name).map_err(|error| Error::Key(error.into()))
}

fn tpm(settings: &Settings, at: &Path) -> Result<Tpm, Error> {
    Tpm::new(at, settings.ak, &settings.pcrs).map_err(|error| Error::Key(error.into()))
}

impl Nsm {
    /// The module at a path: an emulator if that is a socket, else the device.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        use std::os::unix::fs::FileTypeExt as _;
        let is_socket = |found: std::fs::Metadata| found.file_type().is_socket();
        if std::fs::metadata(path).is_ok_and(is_socket) {
            Self::Socket(path.to_owned())
        } else {
            Self::Device(path.to_owned())
        }
    }
}
