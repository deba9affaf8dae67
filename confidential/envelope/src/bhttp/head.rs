//! The head of a message.

use http::{HeaderMap, Method, StatusCode, uri::PathAndQuery};

use super::{fields, limits::Malformed};

/// The head of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The scheme, `https` or `http`.
    pub scheme: Scheme,
    /// The authority, which may be empty; visible ASCII without `@`.
    pub authority: String,
    /// The path, with its query.
    pub path: PathAndQuery,
    /// The fields; connection-specific ones are not written (RFC 9292, section 6.1).
    pub headers: HeaderMap,
}

/// The head of a response.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status, 200 to 599.
    pub status: StatusCode,
    /// The fields; those of a connection are not written (RFC 9292, section 6.1).
    pub headers: HeaderMap,
}

/// The scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`, which OpenPCC's client writes.
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl std::fmt::Debug for RequestHead {
    /// Prints neither fields nor path, which contain badges, tags and names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestHead").field("method", &self.method).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseHead").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Whether the length of a message is known (RFC 9292, section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    TestCandidate,
    Indeterminate,
}

impl Framing {
    /// The framing indicator.
    pub(super) const fn indicator<H: Head>(self) -> u64 {
        match self {
            Self::TestCandidate => H::KNOWN,
            Self::Indeterminate => H::KNOWN + 2,
        }
    }
}

/// The head of a message: [`RequestHead`] or [`ResponseHead`].
pub trait Head: sealed::Head {}

impl Head for RequestHead {}
impl Head for ResponseHead {}

mod sealed {
    use http::HeaderMap;

    use super::Malformed;

    /// The differences between requests and responses.
    pub trait Head: Sized {
        /// The framing indicator for a known length; that for an indeterminate length is two more.
        const KNOWN: u64;
        /// Number of texts in the control data; zero if it is a single number.
        const TEXTS: usize;
        /// Maximum length of each text, in bytes.
        const MOST: [usize; 4];

        /// Writes the control data.
        fn control(&self, into: &mut Vec<u8>);
        /// The fields.
        fn headers(&self) -> &HeaderMap;
        /// Reads the control data, texts or number, and takes the fields.
        fn read(texts: &[Vec<u8>], number: u64, headers: HeaderMap) -> Result<Self, Malformed>;
    }
}

impl sealed::Head for RequestHead {
    const KNOWN: u64 = 0;
    const TEXTS: usize = 4;
    /// As OpenPCC's decoder: method, scheme, authority, path.
    const MOST: [usize; 4] = [64, 64, 256, 4096];

    fn control(&self, into: &mut Vec<u8>) {
        for text in
            [self.method.as_str(), self.scheme.as_str(), &self.authority, self.path.as_str()]
        {
            fields::text(text.as_bytes(), into);
        }
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn read(texts: &[Vec<u8>], _: u64, headers: HeaderMap) -> Result<Self, Malformed> {
        let [method, scheme, authority, path] = texts else { return Err(Malformed) };
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| known.as_str().as_bytes() == scheme)
            .ok_or(Malformed)?;
        if !authority.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'@')
            || !(path.starts_with(b"/") || path == b"*")
            || path.contains(&b'#')
        {
            return Err(Malformed);
        }
        Ok(Self {
            method: Method::from_bytes(method).map_err(|_| Malformed)?,
            scheme,
            authority: String::from_utf8(authority.clone()).map_err(|_| Malformed)?,
            path: PathAndQuery::try_from(&path[..]).map_err(|_| Malformed)?,
            headers,
        })
    }
}

impl sealed::Head for ResponseHead {
    const KNOWN: u64 = 1;
    const TEXTS: usize = 0;
    const MOST: [usize; 4] = [0; 4];

    fn control(&self, into: &mut Vec<u8>) {
        crate::varint::write(u64::from(self.status.as_u16()), into);
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn read(_: &[Vec<u8>], number: u64, headers: HeaderMap) -> Result<Self, Malformed> {
        let status = u16::try_from(number).ok().filter(|status| (200..600).contains(status));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Ok(Self { status: status.ok_or(Malformed)?, headers })
    }
}
