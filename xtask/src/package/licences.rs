//! Licences of the crates that are linked into programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::workspace;

/// What the names of files with licences begin with.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// What cargo knows of the workspace.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Crate>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Crate {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for those of the workspace.
    source: Option<String>,
    manifest_path: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// `None` for what is linked, else `build` or `dev`.
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo for what is compiled for `triple`.
    pub(super) fn get(triple: &str) -> Result<Self> {
        let out = workspace::with_cargo(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked"])
            .args(["--filter-platform", triple])
            .current_dir(workspace::root())
            .stdin(Stdio::null())
            .output()?;
        ensure!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).context("cargo's metadata are not understood")
    }

    /// The folders with the crates of others.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let others = self.packages.iter().filter(|krate| krate.source.is_some());
        // A crate's folder is its manifest's.
        others
            .filter_map(|it| Path::new(&it.manifest_path).ancestors().nth(2))
            .map(Into::into)
            .collect()
    }

    /// The crates of others that are linked into `programs`, by name and version.
    fn linked(&self, programs: &BTreeSet<&str>) -> Vec<&Crate> {
        let builds = |krate: &&Crate| {
            let mut names = krate.targets.iter().map(|target| target.name.as_str());
            krate.source.is_none() && names.any(|name| programs.contains(name))
        };
        let mut waiting: Vec<&str> =
            self.packages.iter().filter(builds).map(|krate| krate.id.as_str()).collect();
        let nodes: BTreeMap<&str, &Node> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut found = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if found.insert(id)
                && let Some(node) = nodes.get(id)
            {
                let linked =
                    node.deps.iter().filter(|it| it.dep_kinds.iter().any(|it| it.kind.is_none()));
                waiting.extend(linked.map(|dependency| dependency.pkg.as_str()));
            }
        }
        let others = |krate: &&Crate| krate.source.is_some() && found.contains(krate.id.as_str());
        let mut crates: Vec<_> = self.packages.iter().filter(others).collect();
        crates.sort_by_key(|krate| (&krate.name, &krate.version));
        crates
    }

    /// How many crates in `programs` have each licence.
    pub(super) fn count(&self, programs: &BTreeSet<&str>) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for krate in self.linked(programs) {
            *counts.entry(krate.licence()).or_default() += 1;
        }
        counts
    }

    /// A list of the crates in `programs`, then every text of a licence with the crates that bring it.
    pub(super) fn text(&self, programs: &BTreeSet<&str>) -> Result<String> {
        let mut list = String::new();
        let mut texts: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for krate in self.linked(programs) {
            let _ = writeln!(list, "{} {}: {}", krate.name, krate.version, krate.licence());
            let folder = Path::new(&krate.manifest_path).parent().unwrap_or(Path::new("/"));
            for text in texts_in(folder, true)? {
                texts.entry(text).or_default().insert(&krate.name);
            }
        }
        for (text, crates) in &texts {
            let names: Vec<_> = crates.iter().copied().collect();
            let _ = write!(list, "\n==== {} ====\n\n{text}\n", names.join(", "));
        }
        Ok(list)
    }
}

impl Crate {
    fn licence(&self) -> &str {
        self.license.as_deref().unwrap_or("not said")
    }
}

/// The texts of licences in a crate's folder and, of what it vendors, in the folders there.
fn texts_in(folder: &Path, deeper: bool) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_dir() {
            if deeper {
                texts.extend(texts_in(&path, false)?);
            }
        } else if NAMES.iter().any(|known| name.starts_with(known)) && !name.ends_with(".RS") {
            texts.push(String::from_utf8_lossy(&fs::read(&path)?).trim().replace('\r', ""));
        }
    }
    Ok(texts)
}
