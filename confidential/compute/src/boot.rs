//! `maru-compute boot`: holds the key that requests are sealed to, shows evidence of it, and starts the workers.
//!
//! ```text
//! EVIDENCE nonce ──▶ Line ──▶ attester
//! WORK key ──▶ Reks: opens, not seen before ──▶ Workers: a process of its own, with the secret of this one request
//! ```
//!
//! `router-com`, which faces the network, is the only one that it answers. It reads no request: only the key that one is
//! sealed with.

mod workers;

use std::{path::Path, sync::Arc, time::Duration};

use chassis::{
    accept::{Connections, Stopping},
    process,
    signal::Termination,
    unix::{Access, Socket},
};
use confidential_api::{names::NONCE_LEN, settings::compute::Settings};
use tokio::{net::UnixStream, time::timeout};
use zeroize::Zeroizing;

use crate::{
    Error, Root,
    evidence::Line,
    frame::{self, Kind, Refusal},
    job::{Job, Media},
    nsm::Nsm,
    rek::Reks,
};

pub use workers::{Program, Workers};

/// How long `router-com` may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// What serves the socket.
#[derive(Debug)]
struct Boot {
    reks: Arc<Reks>,
    line: Line,
    workers: Workers,
    uid: u32,
}

/// Runs it below `root` until it is asked to stop; a worker is `program`.
///
/// # Errors
///
/// See [`Error`].
pub async fn run(root: &Root, settings: &Settings, program: Program) -> Result<(), Error> {
    process::forbid_dumps().map_err(|errno| Error::Confine(errno.into()))?;
    let reks = Arc::new(Reks::generate().map_err(Error::Key)?);
    let nsm = Nsm::at(&settings.nsm);
    let (line, served) = Line::new(Arc::new(nsm), Arc::clone(&reks));
    let life = Duration::from_secs(settings.worker_s);
    let workers = Workers::new(program, settings.workers, life);
    workers.prepare();
    let own = rustix::process::getuid().as_raw();
    let boot = Arc::new(Boot { reks, line, workers, uid: settings.router_com_uid.unwrap_or(own) });
    let socket = Socket::bind(&root.path(&settings.boot_socket), Access::Group)?;
    let mut termination = Termination::watch().map_err(Error::Signals)?;
    tracing::info!(socket = %settings.boot_socket.display(), nsm = %settings.nsm.display(), "ready");
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
    /// Answers one question. The end of `_stopping` tells that the connection is over.
    async fn serve(&self, mut stream: UnixStream, _stopping: Stopping) {
        let Ok(Ok((kind, payload))) = timeout(PATIENCE, frame::read(&mut stream)).await else {
            return;
        };
        let refused = match kind {
            Kind::Evidence => self.show(&mut stream, &payload).await,
            Kind::Work => match self.open(&payload) {
                Ok((job, _place)) => {
                    if let Err(error) = self.workers.work(&job, stream).await {
                        tracing::error!(%error, "no worker can be started");
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

    async fn show(&self, stream: &mut UnixStream, nonce: &[u8]) -> Result<(), Refusal> {
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| Refusal::Failed)?;
        let evidence = self.line.ask(nonce).await?;
        let _ = frame::write(stream, Kind::Document, &evidence).await;
        Ok(())
    }

    /// Opens what a request was sealed with; the place is held until its worker is gone.
    fn open(
        &self,
        work: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, tokio::sync::OwnedSemaphorePermit), Refusal> {
        let place = self.workers.place()?;
        let (media, encapsulated_key) = Media::read(work).ok_or(Refusal::Sealed)?;
        let secret = self.reks.open(media, encapsulated_key)?;
        let job = Job { media, encapsulated_key: encapsulated_key.to_vec(), secret };
        Ok((job.encode(), place))
    }
}

impl Nsm {
    /// The module at a path: a stand-in where that is a socket, else the device.
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
