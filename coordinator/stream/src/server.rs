//! The coordinator's side: from an upgraded connection to a channel.

use std::{io, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use control_protocol::{
    key::{MachinePrivate, MachinePublic},
    noise::{self, Accepted, INIT_LEN, NoiseError},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::NoiseStream;

/// A client's handshake message that was accepted.
#[derive(Debug)]
pub struct Handshake {
    accepted: Accepted,
}

impl Handshake {
    /// Reads the header [`crate::HANDSHAKE_HEADER`], before the response 101; an error is a 400.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Malformed`] if it is not a handshake message; [`NoiseError::Handshake`] if it is for another key.
    pub fn from_header(value: &[u8], machine: &MachinePrivate) -> Result<Self, NoiseError> {
        if value.len() > INIT_LEN.div_ceil(3) * 4 {
            return Err(NoiseError::Malformed);
        }
        let init = STANDARD.decode(value).map_err(|_| NoiseError::Malformed)?;
        Ok(Self { accepted: noise::respond(machine, &init)? })
    }

    /// Returns the client's machine key, proved by the handshake.
    #[must_use]
    pub fn machine(&self) -> MachinePublic {
        self.accepted.machine
    }

    /// Returns the client's capability version.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.accepted.version
    }

    /// Answers the handshake on the upgraded connection, within `limit`.
    ///
    /// # Errors
    ///
    /// Fails if the connection does, or takes too long.
    pub async fn accept<IO>(self, mut io: IO, limit: Duration) -> io::Result<NoiseStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let Accepted { response, transport, .. } = self.accepted;
        let answer = async {
            io.write_all(&response).await?;
            io.flush().await
        };
        timeout(limit, answer).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(NoiseStream::new(io, transport, &[], false))
    }
}

#[cfg(test)]
mod tests;
