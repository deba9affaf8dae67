//! The document as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, User, selector::is_user};

/// A policy's keys; an unknown one is refused, for it may be a typo that opens or closes a door.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) acls: Vec<Acl>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) groups: BTreeMap<String, Vec<String>>,
    pub(crate) hosts: BTreeMap<String, String>,
    pub(crate) tag_owners: BTreeMap<String, Vec<String>>,
    pub(crate) tests: Vec<Test>,
    #[serde(rename = "autoApprovers")]
    pub(crate) _auto_approvers: serde_json::Value,
    #[serde(rename = "nodeAttrs")]
    pub(crate) _node_attrs: serde_json::Value,
    #[serde(rename = "ssh")]
    pub(crate) _ssh: serde_json::Value,
    #[serde(rename = "randomizeClientPort")]
    pub(crate) _randomize_client_port: bool,
}

/// An `acls` rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acl {
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) proto: Option<Proto>,
    pub(crate) src: Vec<String>,
    pub(crate) dst: Vec<String>,
    #[serde(default, rename = "#ha-test")]
    pub(crate) _note: Option<String>,
}

/// A protocol by name or number.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Proto {
    Name(String),
    Number(u8),
}

/// A `grants` rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    pub(crate) src: Vec<String>,
    pub(crate) dst: Vec<String>,
    #[serde(default)]
    pub(crate) ip: Vec<String>,
    #[serde(default)]
    pub(crate) app: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(crate) via: Vec<String>,
}

/// One of the policy's own tests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    pub(crate) src: String,
    #[serde(default)]
    pub(crate) proto: Option<Proto>,
    #[serde(default)]
    pub(crate) accept: Vec<String>,
    #[serde(default)]
    pub(crate) deny: Vec<String>,
}

impl Document {
    /// Whether a person is in a group, by login name or mail address.
    pub(crate) fn in_group(&self, group: &str, user: &User) -> bool {
        self.groups
            .get(group)
            .is_some_and(|members| members.iter().any(|member| is_user(member, user)))
    }
}

/// Reads HuJSON; the error names line and column.
pub(crate) fn parse(text: &str) -> Result<Document, Error> {
    let options = jsonc_parser::ParseOptions::default();
    let value: Option<serde_json::Value> = jsonc_parser::parse_to_serde_value(text, &options)
        .map_err(|error| Error::Syntax(error.to_string()))?;
    let value = value.ok_or_else(|| Error::Syntax("it is empty".to_owned()))?;
    serde_json::from_value(value).map_err(|error| Error::Syntax(error.to_string()))
}
