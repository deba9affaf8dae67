//! `maru-compute worker`: opens one request, sends it to the engine, seals the response, and ends.
//!
//! ```text
//! stdin: job and connection ──▶ BODY: opened ──▶ POST /v1/chat/completions ──▶ engine
//!                                                     HEAD, BODY…, END  ◀── sealed, chunk by chunk
//! ```
//!
//! Errors are sealed, too. It writes no files; its memory is limited and not in core dumps.

mod engine;
mod reply;
pub mod request;

use std::{
    fs::File,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::{fd::AsFd as _, unix::net},
};

use chassis::{confine, process};
use confidential_api::settings::compute::Settings;
use confidential_envelope::{
    Plaintext, ResponseSealer, Unopenable,
    inner::{self, REQUEST_LIMITS, RequestStream},
};
use rustix::{
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send},
    process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit},
};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use crate::{
    Error, Root,
    frame::{self, Kind, Refusal},
    job::{JOB_MAX, Job, Media},
    rek::DecapsulatedKey,
};

use engine::Engine;
use reply::Reply;

/// Does one job, and returns.
///
/// # Errors
///
/// See [`Error`]; the connection to the client is then closed.
pub fn run(root: &Root, settings: &Settings) -> Result<(), Error> {
    confined(settings).map_err(Error::Confine)?;
    let engine = Engine::read(root, &settings.engine, settings.engine_uid)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::Job)?;
    // A spare worker waits here.
    let Some((job, connection)) = job().map_err(Error::Job)? else { return Ok(()) };
    runtime.block_on(async {
        let connection = UnixStream::from_std(connection).map_err(Error::Job)?;
        serve(job, connection, &engine, settings).await.map_err(Error::Job)
    })
}

/// Limits memory and rights; the process ends with boot, which limits its lifetime.
fn confined(settings: &Settings) -> io::Result<()> {
    process::forbid_dumps()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let bytes = settings.worker_memory_mib.saturating_mul(1 << 20);
    setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) })?;
    confine::write_only::<File>(&[])?;
    Ok(())
}

/// Receives a job and the connection to the client from boot; `None` if boot ends first.
fn job() -> io::Result<Option<(Job, net::UnixStream)>> {
    let mut bytes = Zeroizing::new(vec![0; JOB_MAX + 1]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        io::stdin().as_fd(),
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let connection = control.drain().find_map(|message| {
        let RecvAncillaryMessage::ScmRights(mut files) = message else { return None };
        files.next()
    });
    let job = Job::decode(&bytes[..received.bytes]);
    match (job, connection) {
        (Some(job), Some(connection)) => {
            // Without this, boot gives the job to another worker if this one ends.
            send(io::stdin().as_fd(), &[1], SendFlags::NOSIGNAL)?;
            Ok(Some((job, connection.into())))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn serve(
    job: Job,
    mut connection: UnixStream,
    engine: &Engine,
    settings: &Settings,
) -> io::Result<()> {
    let sealed = frame::expect(&mut connection, Kind::Body).await?;
    let Ok((question, sealer)) = open(job, &sealed) else {
        return frame::write(&mut connection, Kind::Refused, &[Refusal::Sealed as u8]).await;
    };
    drop(sealed);
    let asked = request::read(&question, settings);
    drop(question);
    let body = match asked {
        Ok(body) => body,
        Err(refused) => return Reply::refuse(connection, sealer, &refused).await,
    };
    match engine.ask(body).await {
        Ok((head, body)) => {
            let mut reply = Reply::begin(connection, sealer, &head).await?;
            engine::each(body, async |bytes| reply.write(&bytes).await).await?;
            reply.finish().await
        }
        Err(error) => {
            tracing::warn!(%error, "the engine does not respond");
            Reply::refuse(connection, sealer, &request::Refused::ENGINE).await
        }
    }
}

fn open(job: Job, sealed: &[u8]) -> Result<(Plaintext, ResponseSealer), Unopenable> {
    let Job { media, kem, encapsulated_key, secret } = job;
    let key = DecapsulatedKey(kem, secret);
    match media {
        Media::Whole => {
            let opened = inner::open(&encapsulated_key, sealed, &key).map_err(|_| Unopenable)?;
            Ok((opened.plaintext, opened.response))
        }
        Media::Chunked => {
            let stream = RequestStream::new(&encapsulated_key, &key, REQUEST_LIMITS);
            let mut stream = stream.map_err(|_| Unopenable)?;
            let mut question = Plaintext::default();
            stream.push(sealed, &mut question)?;
            let sealer = stream.finish(&mut question)?;
            Ok((question, sealer))
        }
    }
}
