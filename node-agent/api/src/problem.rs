//! What is wrong, for people of any language.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message of the catalogue (`messages/`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemMessage {
    /// Its id.
    pub id: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
}

impl From<(String, BTreeMap<String, String>)> for ProblemMessage {
    fn from((id, arguments): (String, BTreeMap<String, String>)) -> Self {
        Self { id, arguments }
    }
}
