//! Printing: results to standard output, notes to standard error.

use std::{fmt::Display, io::Write as _};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use common::foreign;
use messages::{Message, message};
use serde::Serialize;

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Print a table.
    Table,
    /// Print JSON.
    Json,
    /// Print YAML.
    Yaml,
}

/// Prints a line of the result, or several. Characters that control a terminal are replaced.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    raw(format!("{}\n", foreign::lines(&text.to_string())).as_bytes())
}

/// Prints bytes of the result; a closed pipe is no error.
pub(crate) fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a line to standard error, or several, as [`line()`]; errors are ignored.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", foreign::lines(&text.to_string()));
}

/// As [`note`], for the supervisor.
pub(crate) fn note_message(message: &Message) {
    note(message);
}

/// Asks whether to go on, at the terminal.
pub(crate) fn is_confirmed(question: &Message) -> anyhow::Result<bool> {
    note(question);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context(message!("no-confirmation"))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "예" | "네"))
}

/// Prints a list; the parts of `heads` are the heads of its table.
pub(crate) fn list<T: Serialize>(
    format: Format,
    items: &[T],
    heads: &Message,
    row: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if format != Format::Table {
        return structured(format, &items);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(heads.parts());
    for item in items {
        table.add_row(row(item).iter().map(|cell| foreign::line(cell)));
    }
    print_table(&mut table)
}

/// Prints one thing as rows of a label and a value. The parts of `labels` are the labels; the last one is for all values that
/// follow. A row without a value is left out.
pub(crate) fn one<T: Serialize>(
    format: Format,
    item: &T,
    labels: &Message,
    values: impl IntoIterator<Item = String>,
) -> anyhow::Result<()> {
    if format != Format::Table {
        return structured(format, item);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let labels = labels.parts().into_iter().chain(std::iter::repeat(String::new()));
    let rows = labels.zip(values);
    for (label, value) in rows.filter(|row| !row.1.is_empty()) {
        table.add_row([label, foreign::line(&value)]);
    }
    print_table(&mut table)
}

/// Prints that a change was made, as `text` or as the thing that was changed.
pub(crate) fn done<T: Serialize>(format: Format, item: &T, text: &Message) -> anyhow::Result<()> {
    if format == Format::Table {
        line(foreign::line(&text.to_string()).trim_end())
    } else {
        structured(format, item)
    }
}

/// Prints JSON or YAML.
pub(crate) fn structured<T: Serialize>(format: Format, item: &T) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(item)?;
    match format {
        // JSON is YAML, too, and escapes control characters, which the YAML writer does not.
        Format::Yaml if json.chars().all(is_shown) => {
            // Through a JSON value, so that both formats have the same names in the same order.
            let value = serde_json::to_value(item)?;
            raw(serde_saphyr::to_string(&value)?.as_bytes())
        }
        Format::Yaml | Format::Json | Format::Table => line(numbered(&json)),
    }
}

/// One line of JSON without characters that control a terminal.
pub(crate) fn json<T: Serialize>(item: &T) -> serde_json::Result<String> {
    Ok(numbered(&serde_json::to_string(item)?))
}

/// Escapes each control character in JSON (RFC 8259, section 7): it is in a string, and has one UTF-16 unit.
fn numbered(json: &str) -> String {
    let number = |c: char| if is_shown(c) { c.into() } else { format!("\\u{:04x}", u32::from(c)) };
    json.chars().map(number).collect()
}

fn is_shown(c: char) -> bool {
    c == '\n' || !foreign::steers(c)
}

fn print_table(table: &mut Table) -> anyhow::Result<()> {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    raw(table.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>().as_bytes())
}

/// `yes`, `no`.
pub(crate) fn yes(is: bool) -> String {
    if is { message!("yes") } else { message!("no") }.to_string()
}

/// The word by which JSON names a variant.
pub(crate) fn word(variant: &impl Serialize) -> String {
    let value = serde_json::to_value(variant).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn json_says_the_same_and_steers_no_terminal() {
        let told = serde_json::json!({"name": "a\u{202e}b\u{9b}\u{7f}\u{1b}c"});
        let text = serde_json::to_string_pretty(&told).unwrap();

        let shown = numbered(&text);

        assert!(!shown.contains(['\u{202e}', '\u{9b}', '\u{7f}', '\u{1b}']), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), told);
    }
}
