//! The few lines of HTTP/1.1 that a test speaks itself, so that it sees the bytes.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Answer<S: Read> {
    /// The status code.
    pub status: u16,
    /// The header lines, lower case.
    pub head: String,
    reader: BufReader<S>,
}

/// Connects from one of the calling machine's addresses, whatever its routes would choose.
///
/// # Errors
///
/// The machine has no such address, or nobody answers within `limit`.
pub fn dial_from(source: IpAddr, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // It bounds connect(2) as well (socket(7)).
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(limit))?;
    rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
    rustix::net::connect(&socket, &to)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, None)?;
    Ok(socket.into())
}

/// Sends a request with a JSON body (or none) and reads the answer's head.
///
/// # Errors
///
/// The connection breaks, or what comes back is no HTTP.
pub fn request<S: Read + Write>(
    mut stream: S,
    method: &str,
    path: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Result<Answer<S>> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            text.push_str("Content-Type: application/json\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    stream.write_all(text.as_bytes())?;
    stream.flush()?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no HTTP answer: {head:?}"))?;
    Ok(Answer { status, head: head.to_ascii_lowercase(), reader })
}

impl<S: Read> Answer<S> {
    /// The next line of the body, without its end; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// The connection breaks.
    pub fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        Ok((self.reader.read_line(&mut line)? > 0).then(|| line.trim_end().to_owned()))
    }

    /// The whole body, chunk sizes removed.
    ///
    /// # Errors
    ///
    /// The connection breaks, or the body is not UTF-8.
    pub fn body(mut self) -> Result<String> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes)?;
        if self.head.contains("transfer-encoding: chunked") {
            bytes = unchunk(&bytes);
        }
        Ok(String::from_utf8(bytes)?)
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    ///
    /// The connection breaks, or the body is no JSON.
    pub fn json(self) -> Result<serde_json::Value> {
        let body = self.body()?;
        serde_json::from_str(&body).with_context(|| format!("no JSON: {body}"))
    }
}

/// The data of a chunked body (RFC 9112, section 7.1), up to where it breaks off.
fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok();
        let Some(size) = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok()) else {
            break;
        };
        let start = end + 2;
        let stop = (start + size).min(bytes.len());
        data.extend_from_slice(&bytes[start..stop]);
        bytes = bytes.get(stop + 2..).unwrap_or_default();
    }
    data
}
