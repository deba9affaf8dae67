//! The few lines of HTTP/1.1 that a test speaks itself, so that it sees the bytes.

use std::io::{self, BufRead, BufReader, Read, Write};

use anyhow::{Context as _, Result};

use crate::server::Request;

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Response<S: Read> {
    /// The status code.
    pub status: u16,
    /// The header lines, lower case.
    pub head: String,
    reader: BufReader<S>,
}

/// Sends a request with a JSON body (or none) and reads the head of the response.
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
) -> Result<Response<S>> {
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
    let status = status.with_context(|| format!("no HTTP response: {head:?}"))?;
    Ok(Response { status, head: head.to_ascii_lowercase(), reader })
}

impl<S: Read> Response<S> {
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

/// Reads one request; less of it if the connection ends before.
///
/// # Errors
///
/// The connection breaks.
pub fn read_request(stream: &mut impl Read) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut request = Request::default();
    while reader.read_line(&mut request.head)? > 2 {}
    let length = request.length();
    reader.take(length as u64).read_to_end(&mut request.body)?;
    Ok(request)
}
