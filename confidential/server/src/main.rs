//! `maru-confidential`: see the library.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // The one TLS provider of the workspace; a second installation in one process is the only way to fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    confidential_server::run(confidential_server::Args::parse())
}
