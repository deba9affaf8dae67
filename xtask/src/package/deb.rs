//! Debian packages (`deb(5)`, `deb-control(5)`).
//!
//! They are written here and not by cargo-deb, which takes its list of files from a crate's manifest, while ours follows from the
//! service table, and which some 200 crates are compiled for. `dpkg-deb` would tie the bytes to the version of Debian.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;

use crate::package::archive::{File, TIME, tar};

/// Level of zstd, which unpacks a home in a tenth of the time of xz.
const LEVEL: i32 = 9;

/// Files by their path below the root.
pub(super) type Tree = BTreeMap<String, File>;

/// One package.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: &'static str,
    /// In Debian's words: `amd64`, `all`.
    pub(super) architecture: &'static str,
    /// Further lines of its control file, such as `Depends`.
    pub(super) relations: &'static [(&'static str, &'static str)],
    /// What it is, in a line.
    pub(super) summary: &'static str,
    /// More lines about it.
    pub(super) description: &'static [&'static str],
    pub(super) tree: Tree,
    /// Maintainer scripts by their name.
    pub(super) scripts: &'static [(&'static str, &'static str)],
}

impl Package {
    /// The name of its file.
    pub(super) fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, env!("CARGO_PKG_VERSION"), self.architecture)
    }

    /// How many bytes it takes when it is installed.
    pub(super) fn installed_size(&self) -> usize {
        self.tree.values().map(|file| file.bytes.len()).sum()
    }

    /// The bytes of its file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let mut control = Tree::from([("control".to_owned(), File::text(self.control()))]);
        for &(name, text) in self.scripts {
            control.insert(name.to_owned(), File::program(text));
        }
        let mut out = b"!<arch>\n".to_vec();
        member(&mut out, "debian-binary", b"2.0\n");
        member(&mut out, "control.tar.zst", &compressed(&control)?);
        member(&mut out, "data.tar.zst", &compressed(&self.tree)?);
        Ok(out)
    }

    fn control(&self) -> String {
        let mut out = format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: Maru <maru@localhost>\n\
             Section: net\nPriority: optional\nInstalled-Size: {}\n",
            self.name,
            env!("CARGO_PKG_VERSION"),
            self.architecture,
            self.installed_size().div_ceil(1024),
        );
        for (key, value) in self.relations {
            let _ = writeln!(out, "{key}: {value}");
        }
        let _ = writeln!(out, "Description: {}", self.summary);
        for line in self.description {
            let _ = writeln!(out, " {line}");
        }
        out
    }
}

/// A compressed tar archive of these files and the folders around them.
fn compressed(tree: &Tree) -> Result<Vec<u8>> {
    let mut entries = BTreeMap::from([("./".to_owned(), None)]);
    for (path, file) in tree {
        for (at, _) in path.match_indices('/') {
            entries.insert(format!("./{}/", &path[..at]), None);
        }
        entries.insert(format!("./{path}"), Some(file));
    }
    let archive = tar(entries.iter().map(|(name, file)| (name.as_str(), *file)))?;
    Ok(zstd::encode_all(archive.as_slice(), LEVEL)?)
}

/// Appends a member of an `ar` archive: its header has 60 characters, and it begins at an even byte.
fn member(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let header =
        format!("{name:<16}{TIME:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 100_644, bytes.len());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        out.push(b'\n');
    }
}
