//! Printing: results to standard output, notes to standard error.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
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

/// Prints a line of the result.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    raw(format!("{text}\n").as_bytes())
}

/// Prints bytes of the result; a reader that has gone is no error.
pub(crate) fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a line for the person at the terminal; nothing can be done if that fails.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
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
        table.add_row(row(item).iter().map(|cell| plain(cell)));
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
        table.add_row([(*name).to_owned(), plain(value)]);
    }
    print_table(&mut table)
}

/// Prints what was done, in `words` or as the thing that it was done to.
pub(crate) fn done<T: Serialize>(format: Format, item: &T, words: &str) -> anyhow::Result<()> {
    if format == Format::Table { line(plain(words).trim_end()) } else { structured(format, item) }
}

fn structured<T: Serialize>(format: Format, item: &T) -> anyhow::Result<()> {
    match format {
        Format::Yaml => {
            // Through a JSON value: both forms then have the same names and the same order.
            let value = serde_json::to_value(item)?;
            raw(serde_saphyr::to_string(&value)?.as_bytes())
        }
        Format::Json | Format::Table => line(&serde_json::to_string_pretty(item)?),
    }
}

fn print_table(table: &mut Table) -> anyhow::Result<()> {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    raw(table.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>().as_bytes())
}

/// Text of another device, without what could steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `yes`, `no`.
pub(crate) fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_hostname_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(plain("마루"), "마루");
    }
}
