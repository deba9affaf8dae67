//! Printing: results to standard output, notes to standard error.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use common::foreign;
use serde::Serialize;

/// How a result is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub output: Format,
}

/// A form of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For people who are programs.
    Yaml,
}

/// Prints a line of the result, or several; what could steer a terminal is replaced, whoever wrote it.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    raw(format!("{}\n", foreign::lines(text)).as_bytes())
}

/// Prints bytes of the result; a reader that has gone is no error.
pub(crate) fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a line for the person at the terminal, or several, as [`line()`]; nothing can be done if that fails.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", foreign::lines(text));
}

/// Prints a list of things.
pub(crate) fn list<T: Serialize>(
    format: Format,
    items: &[T],
    headers: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if format != Format::Table {
        return structured(format, &items);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headers);
    for item in items {
        table.add_row(row(item).iter().map(|cell| foreign::line(cell)));
    }
    print_table(&mut table)
}

/// Prints one thing.
pub(crate) fn one<T: Serialize>(
    format: Format,
    item: &T,
    rows: &[(&str, String)],
) -> anyhow::Result<()> {
    if format != Format::Table {
        return structured(format, item);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, value) in rows.iter().filter(|row| !row.1.is_empty()) {
        table.add_row([(*name).to_owned(), foreign::line(value)]);
    }
    print_table(&mut table)
}

/// Prints what was done, in `words` or as the thing that it was done to.
pub(crate) fn done<T: Serialize>(format: Format, item: &T, words: &str) -> anyhow::Result<()> {
    if format == Format::Table {
        line(foreign::line(words).trim_end())
    } else {
        structured(format, item)
    }
}

fn structured<T: Serialize>(format: Format, item: &T) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(item)?;
    match format {
        // YAML takes JSON as it is, and has no other way to write what steers.
        Format::Yaml if json.chars().all(is_shown) => {
            // Through a JSON value: both forms then have the same names and the same order.
            let value = serde_json::to_value(item)?;
            raw(serde_saphyr::to_string(&value)?.as_bytes())
        }
        Format::Yaml | Format::Json | Format::Table => line(&numbered(&json)),
    }
}

/// A thing as one line of JSON that steers no terminal.
pub(crate) fn json<T: Serialize>(item: &T) -> serde_json::Result<String> {
    Ok(numbered(&serde_json::to_string(item)?))
}

/// JSON with each character that steers as its number (RFC 8259, section 7): it stands in a string, and has one UTF-16 unit.
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
    if is { "yes" } else { "no" }.to_owned()
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
