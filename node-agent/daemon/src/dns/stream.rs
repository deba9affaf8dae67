//! Messages of DNS over TCP (RFC 1035, section 4.2.2).

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Port of DNS.
pub(super) const PORT: u16 = 53;

/// Reads one message of a stream; `None` at its end.
pub(super) async fn read_message(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut len = [0; 2];
    match stream.read_exact(&mut len).await {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut packet = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut packet).await?;
    Ok(Some(packet))
}

pub(super) async fn write_message(stream: &mut TcpStream, packet: &[u8]) -> std::io::Result<()> {
    let len = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), packet].concat()).await
}
