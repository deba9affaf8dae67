//! Cases that passed and those that did not.

/// Cases that passed and those that did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    /// A line for each that failed.
    pub(crate) failed: Vec<String>,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
    }
}
