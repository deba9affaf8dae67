//! Writes seeds.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

pub(super) struct Seeds<'a> {
    pub(super) into: &'a Path,
}

impl Seeds<'_> {
    pub(super) fn add(&self, target: &str, name: &str, content: &[u8]) -> Result<()> {
        let folder = self.into.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(name), content)?)
    }

    /// For a target whose inputs begin with the number of places where they are cut.
    pub(super) fn add_uncut(&self, target: &str, name: &str, content: &[u8]) -> Result<()> {
        self.add(target, name, &[b"\0", content].concat())
    }
}

pub(super) fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value]> {
    Ok(value[name].as_array().with_context(|| format!("the vectors have no list {name}"))?)
}
