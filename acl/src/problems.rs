//! What is wrong with a document, gathered while it is read.

use crate::Error;

/// Everything that was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Error>);

impl Problems {
    pub(crate) fn add(&mut self, error: Error) {
        self.0.push(error);
    }

    /// What was read, or nothing and a problem more.
    pub(crate) fn keep<T>(&mut self, read: Result<T, Error>) -> Option<T> {
        read.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn into_vec(self) -> Vec<Error> {
        self.0
    }
}
