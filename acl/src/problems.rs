//! What is wrong with a document, gathered while it is read.

use crate::{
    error::{Error, Warning},
    spot::Spot,
};

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

/// What was found beside the rules.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) problems: Problems,
    pub(crate) warnings: Vec<Warning>,
}

impl Found {
    pub(crate) fn warn(&mut self, spot: &Spot, reason: &str) {
        let (at, place) = (spot.at, spot.place.clone());
        self.warnings.push(Warning { at, place, reason: reason.to_owned() });
    }
}
