//! `gateway.reload.mode`: whether a change of the file applies while the gateway runs (OpenClaw 2026.9.6,
//! `docs/gateway/configuration/hot-reload.md`).

use serde::Deserialize;

use super::error::{OpenClawError, wrong};

/// What a change of the file does while the gateway runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reload {
    /// What can change without a restart applies within seconds. The default.
    #[default]
    Hybrid,
    /// Nothing applies before a restart; the file is checked all the same.
    Off,
}

/// `gateway` of the file.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawGateway {
    reload: RawReload,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawReload {
    mode: Option<String>,
}

impl RawGateway {
    /// OpenClaw retired `hot` and `restart`, which mean `hybrid` there too.
    pub(super) fn read(self, warnings: &mut Vec<String>) -> Result<Reload, OpenClawError> {
        match self.reload.mode.as_deref() {
            None | Some("hybrid") => Ok(Reload::Hybrid),
            Some("off") => Ok(Reload::Off),
            Some(old @ ("hot" | "restart")) => {
                warnings.push(format!("`gateway.reload.mode`: {old:?} is now \"hybrid\""));
                Ok(Reload::Hybrid)
            }
            Some(other) => {
                let reason = format!("{other:?} is unknown; write \"hybrid\" or \"off\"");
                Err(wrong("gateway.reload.mode", reason))
            }
        }
    }
}
