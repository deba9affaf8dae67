//! Strings as grammars: their length, and formats.

use super::{
    fields::{Fields, Times},
    location::Result,
};

/// Days that exist, from the year 1000 on.
const DATE: &str = r#"( [12] [0-9]{3} "-" ( ( "0" [13578] | "1" [02] ) "-" ( "0" [1-9] | [12] [0-9] | "3" [01] ) | ( "0" [469] | "11" ) "-" ( "0" [1-9] | [12] [0-9] | "30" ) | "02-" ( "0" [1-9] | "1" [0-9] | "2" [0-8] ) ) | ( [12] [0-9] ( "0" [48] | [2468] [048] | [13579] [26] ) | ( "12" | "16" | "20" | "24" | "28" ) "00" ) "-02-29" )"#;
/// As RFC 3339 has it, without leap seconds.
const TIME: &str = r#"( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{1,6} )? ( "Z" | [+-] ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] )"#;
/// The random kind, which checks of every kind take.
const UUID: &str =
    r#"[0-9a-f]{8} "-" [0-9a-f]{4} "-4" [0-9a-f]{3} "-" [89ab] [0-9a-f]{3} "-" [0-9a-f]{12}"#;

/// Takes `format`, `minLength` and `maxLength`; [`None`]: there is none of them.
pub(super) fn text(fields: &mut Fields<'_, '_>) -> Result<Option<(String, Times)>> {
    let any = Times { least: 0, most: None };
    let format = fields.take("format");
    // A length beside a format is not taken, and so refused.
    let Some(format) = format else {
        let times = fields.times("minLength", "maxLength")?;
        let text = || (format!("\"\\\"\" char{times} \"\\\"\""), times);
        return Ok((times != any).then(text));
    };
    let at = fields.at.child("format");
    let text = match at.text(format)?.as_str() {
        "date" => DATE.to_owned(),
        "time" => TIME.to_owned(),
        "date-time" => format!("{DATE} \"T\" {TIME}"),
        "uuid" => UUID.to_owned(),
        _ => {
            return at
                .refuse("must be date, time, date-time or uuid for this engine: leave it out");
        }
    };
    Ok(Some((format!("\"\\\"\" {text} \"\\\"\""), any)))
}
