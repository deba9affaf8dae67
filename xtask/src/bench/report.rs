//! What comes of a measurement.

use serde_json::Value;

/// What came of a measurement.
#[derive(Debug)]
pub(super) struct Report {
    /// What the numbers count.
    pub(super) unit: &'static str,
    /// The numbers.
    pub(super) results: Value,
    /// The same for people; the first row names the columns.
    pub(super) table: Vec<Vec<String>>,
    /// What must be known to read them.
    pub(super) notes: Vec<String>,
}

/// A report, and what it should hold and does not.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) report: Report,
    /// A line for each thing that could not be measured.
    pub(super) missing: Vec<String>,
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        Self { report, missing: Vec::new() }
    }
}

/// A row of a table.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
