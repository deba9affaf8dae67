//! The architectures of packages.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// An architecture for which there are packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Architecture {
    /// PCs and most servers.
    Amd64,
    /// Such as a Raspberry Pi; compiled and tried on a PC.
    Arm64,
}

impl Architecture {
    /// Its name in Debian and in images.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its name for Rust.
    pub(super) const fn triple(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The program that removes symbols.
    pub(super) const fn strip(self) -> &'static str {
        match self {
            Self::Amd64 => "strip",
            Self::Arm64 => "aarch64-linux-gnu-strip",
        }
    }

    /// A command that runs a program of this architecture here.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::Amd64 => Command::new(program),
            Self::Arm64 => {
                let mut emulator = Command::new("qemu-aarch64-static");
                emulator.arg(program);
                emulator
            }
        }
    }

    /// Gets Rust's standard library for this architecture.
    pub(super) fn get_library(self) -> Result<()> {
        if self == Self::Amd64 {
            return Ok(());
        }
        let mut rustup = Command::new("rustup");
        let done = rustup.args(["target", "add", self.triple()]).output();
        let done = done.context("cannot run rustup, which gets Rust's library for arm64")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "rustup target add {}: {}", self.triple(), said.trim());
        Ok(())
    }
}
