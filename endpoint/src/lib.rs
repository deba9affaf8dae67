//! The declaration of an HTTP endpoint: method, path, callers, bodies of request and response, and a sentence.
//!
//! A daemon's `-api` crate declares its endpoints with [`declare!`]. The declarations yield the daemon's router
//! (`chassis::endpoint`), a client's requests ([`Endpoint::path`]), the `OpenAPI` document ([`openapi`]), and the tests that
//! call each endpoint as each class of caller.
#![forbid(unsafe_code)]

mod body;
mod callers;
mod declare;
pub mod openapi;

use std::{borrow::Cow, fmt, marker::PhantomData};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use body::{
    Body, Bytes, Content, Events, JsonSchema, ListsByName, NoBody, Query, Raw, WebSocket,
};
pub use callers::Callers;

/// Escaped characters of a path segment: all but letters, digits and these marks.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET and HEAD.
    GET,
    /// POST.
    POST,
    /// PUT.
    PUT,
    /// DELETE.
    DELETE,
    /// Any method.
    ANY,
}

impl Method {
    /// The name in a request; `ANY` for any method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GET => "GET",
            Self::POST => "POST",
            Self::PUT => "PUT",
            Self::DELETE => "DELETE",
            Self::ANY => "ANY",
        }
    }
}

/// A declaration without its types. Displays as `GET /v1/status`.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Method.
    pub method: Method,
    /// Path, with parameters in braces, such as `/users/{name}`.
    pub path: &'static str,
    /// Who may call it.
    pub callers: Callers,
    /// Body of a request.
    pub request: Content,
    /// Body of a success.
    pub response: Content,
    /// Status of a success.
    pub status: u16,
    /// Whether requests may change something.
    pub changes: bool,
    /// What it does, in the third person.
    pub sentence: &'static str,
}

impl fmt::Display for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.name(), self.path)
    }
}

/// A declared endpoint with a request body `Q` and a response body `A`.
pub struct Endpoint<Q: ?Sized = NoBody, A: ?Sized = NoBody> {
    /// The declaration without types.
    pub declaration: Declaration,
    types: PhantomData<fn(&Q, &A)>,
}

impl<Q: Body + ?Sized, A: Body + ?Sized> Endpoint<Q, A> {
    /// Declares an endpoint, for [`declare!`].
    #[must_use]
    pub const fn new(
        method: Method,
        path: &'static str,
        callers: Callers,
        sentence: &'static str,
    ) -> Self {
        let status = match A::CONTENT {
            Content::Empty => 204,
            Content::WebSocket => 101,
            Content::Json(_)
            | Content::Query(_)
            | Content::Events
            | Content::Bytes { .. }
            | Content::Raw => 200,
        };
        let changes = !matches!(method, Method::GET);
        let (request, response) = (Q::CONTENT, A::CONTENT);
        let declaration =
            Declaration { method, path, callers, request, response, status, changes, sentence };
        Self { declaration, types: PhantomData }
    }

    /// A success is 201 Created.
    #[must_use]
    pub const fn created(mut self) -> Self {
        self.declaration.status = 201;
        self
    }

    /// A success is 202 Accepted: the work goes on after the response.
    #[must_use]
    pub const fn accepted(mut self) -> Self {
        self.declaration.status = 202;
        self
    }

    /// Requests change nothing, although the method suggests it.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.declaration.changes = false;
        self
    }

    /// A request carries bytes of one of these media types instead of `application/octet-stream`.
    #[must_use]
    pub const fn media(mut self, media: &'static [&'static str]) -> Self {
        if let Content::Bytes { max, .. } = self.declaration.request {
            self.declaration.request = Content::Bytes { max, media };
        }
        self
    }

    /// Other callers than those of the list.
    #[must_use]
    pub const fn callers(mut self, callers: Callers) -> Self {
        self.declaration.callers = callers;
        self
    }

    /// The path with parameters in order, each escaped as one segment; a parameter without a value stays as declared.
    #[must_use]
    pub fn path(&self, parameters: &[&str]) -> String {
        let mut values = parameters.iter();
        let segments = self.declaration.path.split('/').map(|segment| {
            let value = if segment.starts_with('{') { values.next() } else { None };
            value.map_or(segment.into(), |value| escaped(value).into())
        });
        segments.collect::<Vec<Cow<'_, str>>>().join("/")
    }
}

impl<Q: ?Sized, A: ?Sized> fmt::Debug for Endpoint<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.declaration, f)
    }
}

/// Text as one segment of a path (RFC 3986, section 2.3).
fn escaped(text: &str) -> String {
    let out = utf8_percent_encode(text, ESCAPED).to_string();
    // A segment of dots would be a relative step.
    if out.bytes().all(|byte| byte == b'.') { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests;
