//! `session.maintenance`: how long conversations are kept, in OpenClaw's names. Without it they are kept for ever.

use conversations::Retention;
use serde::Deserialize;

use super::error::{OpenClawError, wrong};

/// `session` of the file.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSession {
    maintenance: RawMaintenance,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMaintenance {
    mode: Option<String>,
    prune_after: Option<Amount>,
    max_entries: Option<u32>,
    max_disk_bytes: Option<Amount>,
}

/// A number, or a text with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(u32),
    Text(String),
}

const DURATIONS: &[(&str, i64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, i64)] =
    &[("b", 1), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("tb", 1 << 40)];

/// What the file says about keeping conversations.
pub(super) fn read(session: RawSession) -> Result<Retention, OpenClawError> {
    let RawMaintenance { mode, prune_after, max_entries, max_disk_bytes } = session.maintenance;
    let at = |key: &str| format!("session.maintenance.{key}");
    let retention = Retention {
        age_ms: amount(prune_after, DURATIONS, "d").map_err(|why| wrong(at("pruneAfter"), why))?,
        conversations: max_entries.map(i64::from),
        person_bytes: amount(max_disk_bytes, SIZES, "b")
            .map_err(|why| wrong(at("maxDiskBytes"), why))?,
    };
    match mode.as_deref() {
        None | Some("enforce") => Ok(retention),
        Some("warn") => Ok(Retention::default()),
        Some(other) => {
            Err(wrong(at("mode"), format!("{other:?} is unknown; use \"enforce\" or \"warn\"")))
        }
    }
}

/// The amount in the smallest unit; a number without a unit is in `unit`.
fn amount(raw: Option<Amount>, units: &[(&str, i64)], unit: &str) -> Result<Option<i64>, String> {
    let text = match raw {
        None => return Ok(None),
        Some(Amount::Number(number)) => number.to_string(),
        Some(Amount::Text(text)) => text,
    };
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.len() - lower.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    let (number, named) = lower.split_at(digits);
    let named = if named.trim().is_empty() { unit } else { named.trim() };
    let factor = units.iter().find(|(name, _)| *name == named).map(|(_, factor)| *factor);
    let number = number.parse::<i64>().ok().filter(|number| *number > 0);
    let value = factor.zip(number).and_then(|(factor, number)| number.checked_mul(factor));
    let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
    value.map(Some).ok_or_else(|| {
        format!("{text:?} is not a number above 0 with one of the units {}", names.join(", "))
    })
}
