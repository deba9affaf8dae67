//! What comes before HTTP on a connection: the PROXY protocol v2 header.

use std::io;

use mesh_identity::{Header, MAX_HEADER, SIGNATURE};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Signature, version, family and length (PROXY protocol, section 2.2).
const FIXED_LEN: usize = 16;
/// Version 2, command LOCAL: the sender speaks for itself (same section).
const LOCAL: u8 = 0x20;
/// Who opened a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preface {
    /// A node of the mesh.
    Mesh(Header),
    /// A program of the host itself; nobody knows which.
    Local,
}

/// A connection did not begin as it must.
#[derive(Debug, thiserror::Error)]
pub enum PrefaceError {
    /// It ended or failed within the header.
    #[error("connection ended before its header did")]
    Io(#[from] io::Error),
    /// Not a header, or one without a usable identity.
    #[error("unusable header")]
    Decode(#[from] mesh_identity::Error),
    /// The length in the header is not the length of its parts.
    #[error("header disagrees with its own length")]
    Length,
}

/// Reads the header, and not a byte more.
///
/// # Errors
///
/// See [`PrefaceError`]; the connection is of no further use.
pub async fn read_preface(io: &mut (impl AsyncRead + Unpin)) -> Result<Preface, PrefaceError> {
    let mut bytes = vec![0; FIXED_LEN];
    io.read_exact(&mut bytes).await?;
    let local = bytes.starts_with(&SIGNATURE) && bytes[12] == LOCAL;
    if !local {
        // What is no header at all is refused before more is read.
        Header::decode(&bytes)?;
    }
    let len = FIXED_LEN + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if len > MAX_HEADER {
        return Err(mesh_identity::Error::TooLong.into());
    }
    bytes.resize(len, 0);
    io.read_exact(&mut bytes[FIXED_LEN..]).await?;
    if local {
        return Ok(Preface::Local);
    }
    match Header::decode(&bytes)? {
        Some((header, used)) if used == bytes.len() => Ok(Preface::Mesh(header)),
        Some(_) | None => Err(PrefaceError::Length),
    }
}
