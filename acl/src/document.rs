//! The document as it is written.

use std::collections::BTreeMap;

use jsonc_parser::{
    CollectOptions, ParseOptions, ast, common::Ranged as _, errors::ParseError, parse_to_ast,
    parse_to_serde_value,
};
use serde::Deserialize;
use serde_path_to_error::{Path, Segment};

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
    pub(crate) auto_approvers: AutoApprovers,
    pub(crate) node_attrs: Vec<NodeAttr>,
    #[serde(rename = "ssh")]
    pub(crate) _ssh: serde_json::Value,
    pub(crate) randomize_client_port: bool,
}

/// Whose routes need no administrator, `autoApprovers`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AutoApprovers {
    pub(crate) routes: BTreeMap<String, Vec<String>>,
    pub(crate) exit_node: Vec<String>,
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

/// A `nodeAttrs` entry: what stock apps on these nodes are told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeAttr {
    pub(crate) target: Vec<String>,
    /// Names alone.
    #[serde(default)]
    pub(crate) attr: Vec<String>,
    /// Names with values.
    #[serde(default)]
    pub(crate) app: BTreeMap<String, Vec<serde_json::Value>>,
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

impl Document {
    /// Whether a person is named anywhere, by login name or mail address.
    pub(crate) fn names(&self, login: &str) -> bool {
        let user = User { id: 0, name: login.to_owned(), email: login.to_owned() };
        let lists = self.groups.values().chain(self.tag_owners.values());
        let rules = self.acls.iter().flat_map(|rule| [&rule.src, &rule.dst]);
        let grants = self.grants.iter().flat_map(|grant| [&grant.src, &grant.dst]);
        let tests = self.tests.iter().flat_map(|test| [&test.accept, &test.deny]);
        let texts = lists.chain(rules).chain(grants).chain(tests).flatten();
        texts.chain(self.tests.iter().map(|test| &test.src)).any(|text| {
            let before_ports = text.rsplit_once(':').map_or(text.as_str(), |(name, _)| name);
            is_user(text, &user) || is_user(before_ports, &user)
        })
    }
}

/// Reads HuJSON; the error names line and column.
pub(crate) fn parse(text: &str) -> Result<Document, Error> {
    parse_without(text, &[])
}

/// The same without these keys.
pub(crate) fn parse_without(text: &str, keys: &[&str]) -> Result<Document, Error> {
    let options = ParseOptions::default();
    let syntax = |error: ParseError| {
        let (line, column) = (error.line_display(), error.column_display());
        Error::Syntax(format!("line {line}, column {column}: {}", error.kind()))
    };
    let value: Option<serde_json::Value> = parse_to_serde_value(text, &options).map_err(syntax)?;
    let mut value = value.ok_or_else(|| Error::Syntax("it is empty".to_owned()))?;
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let at = parse_to_ast(text, &CollectOptions::default(), &options)
            .ok()
            .and_then(|parsed| place(&parsed.value?, error.path()));
        let (line, column) = line_and_column(text, at.unwrap_or_default());
        Error::Syntax(format!("line {line}, column {column}: {}", error.inner()))
    })
}

/// Where in the text a path leads to: to a key, or to an element of a list.
fn place(root: &ast::Value, path: &Path) -> Option<usize> {
    let (mut value, mut at) = (root, root.start());
    for segment in path {
        match (segment, value) {
            (Segment::Map { key }, ast::Value::Object(object)) => {
                let property = object.properties.iter().rev().find(|p| p.name.as_str() == key)?;
                (value, at) = (&property.value, property.start());
            }
            (Segment::Seq { index }, ast::Value::Array(array)) => {
                value = array.elements.get(*index)?;
                at = value.start();
            }
            _ => break,
        }
    }
    Some(at)
}

/// A position as people count: both from 1, columns in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
