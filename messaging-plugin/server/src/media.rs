//! Uploaded files (specification, client-server API, "Content Repository").
//!
//! A file is sealed chunk by chunk while it arrives, and opened chunk by chunk while it is sent, so that its size does not
//! matter for the memory. Whoever of the network has its id may download it, as in Matrix: the id is random, and files of
//! encrypted rooms are encrypted by the apps. A person's uploads with the same bytes share one file.
//!
//! No picture is decoded here: thumbnails are made by another process, and where it makes none, the picture is its own.

mod download;
pub mod file;
pub mod folder;
pub mod links;
mod row;
pub mod thumbnail;
mod upload;

use axum::http::Method;
use ruma::api::client::{authenticated_media as authenticated, media};

use crate::matrix::{self, Route};

/// The endpoints. Those for downloads without an access token do not exist.
#[must_use]
pub fn routes() -> Vec<Route> {
    [
        matrix::route::<media::create_content::v3::Request, _, _>(upload::upload),
        matrix::route::<media::create_mxc_uri::v1::Request, _, _>(upload::create),
        matrix::route::<media::create_content_async::v3::Request, _, _>(upload::put),
        matrix::route::<authenticated::get_content::v1::Request, _, _>(download::download),
        matrix::route::<authenticated::get_content_as_filename::v1::Request, _, _>(
            download::download_as,
        ),
        matrix::route::<authenticated::get_content_thumbnail::v1::Request, _, _>(
            download::thumbnail,
        ),
        matrix::route::<authenticated::get_media_config::v1::Request, _, _>(upload::config),
        matrix::raw(Method::GET, "/_matrix/media/v3/config", upload::config),
        matrix::raw(Method::GET, "/_matrix/media/r0/config", upload::config),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
