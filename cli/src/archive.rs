//! Archives of files that are taken whole or not at all.
//!
//! A plain tar file (POSIX ustar), so that anybody can look into it: first a description, then the files, then their
//! SHA-256 sums as `sha256sum` writes them. Whoever reads it believes no owner, mode or time in it, and no link; a name
//! that would lead elsewhere, a file that is there twice, one that is cut short or changed, and anything after the sums
//! make the whole archive useless. The sums find mistakes, not forgers: who can write an archive can write its sums.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read, Write},
};

use messages::{Message, message};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};

/// The entry that comes first.
const ABOUT: &str = "about.json";
/// The entry that comes last.
const SUMS: &str = "SHA256SUMS";
/// Longest description, in bytes.
const ABOUT_MAX: u64 = 64 * 1024;
/// Most files.
pub const FILES_MAX: usize = 150_000;
/// Longest list of sums, in bytes: each line has a sum, a name and three other characters.
const SUMS_MAX: u64 = (FILES_MAX as u64) * (64 + NAME_MAX as u64 + 3);
/// Longest name, in bytes: what ustar holds.
const NAME_MAX: usize = 255;

/// The archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub enum ArchiveError {
    /// It cannot be read or written.
    Io(io::Error),
    /// It is none, or of another kind.
    NotOne,
    /// It ends too early.
    Short,
    /// It ends too early, or a header in it is none.
    Torn,
    /// Something in it is not as it was written.
    Damaged(String),
    /// A file is in it twice, or one too many.
    Twice(String),
    /// Something follows its sums.
    NotLast(&'static str),
    /// An entry is no file.
    NotAFile(String),
    /// A name leads out of the folder where it is unpacked.
    Outside(String),
    /// A file that no backup holds.
    Foreign(String),
    /// An entry that is held in memory is too long.
    TooLong(String),
    /// A file grew or shrank while it was added.
    Changed(String),
    /// A name does not fit in.
    Name(String),
}

impl ArchiveError {
    /// What is wrong, and what to do.
    fn message(&self) -> Message {
        match self {
            Self::Io(error) => error.to_string().into(),
            Self::NotOne => message!("not-a-backup"),
            Self::Short => message!("archive-cut"),
            Self::Torn => message!("archive-torn"),
            Self::Damaged(name) => message!("archive-damaged", name = format!("{name:?}")),
            Self::Twice(name) => message!("archive-holds-twice", name = format!("{name:?}")),
            Self::NotLast(name) => message!("archive-holds-more", name),
            Self::NotAFile(name) => message!("archive-holds-no-file", name = format!("{name:?}")),
            Self::Outside(name) => message!("archive-holds-outside", name = format!("{name:?}")),
            Self::Foreign(name) => message!("archive-holds-foreign", name = format!("{name:?}")),
            Self::TooLong(name) => message!("archive-holds-too-long", name),
            Self::Changed(name) => message!("archive-file-changed", name = format!("{name:?}")),
            Self::Name(name) => message!("archive-name-unusable", name = format!("{name:?}")),
        }
    }
}

/// An archive that is being written. Without [`Writer::finish`] it cannot be read.
pub struct Writer<W: Write> {
    tar: Builder<W>,
    sums: String,
}

impl<W: Write> Writer<W> {
    /// Begins an archive with its description.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] if it cannot be written.
    pub fn new(out: W, about: &[u8]) -> Result<Self, ArchiveError> {
        let mut writer = Self { tar: Builder::new(out), sums: String::new() };
        writer.append(ABOUT, about.len() as u64, about)?;
        Ok(writer)
    }

    /// Adds a file of `len` bytes.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Name`] if the name is none that could be read again, and nothing is added;
    /// [`ArchiveError::Changed`] if there are fewer bytes, and the archive is of no use any more.
    pub fn add(&mut self, name: &str, len: u64, content: impl Read) -> Result<(), ArchiveError> {
        if !is_plain(name) || [ABOUT, SUMS].contains(&name) {
            return Err(ArchiveError::Name(name.to_owned()));
        }
        self.append(name, len, content)
    }

    /// Writes the sums and returns what was written to.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] if they cannot be written.
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        let sums = std::mem::take(&mut self.sums);
        self.append(SUMS, sums.len() as u64, sums.as_bytes())?;
        self.tar.into_inner().map_err(ArchiveError::Io)
    }

    fn append(&mut self, name: &str, len: u64, content: impl Read) -> Result<(), ArchiveError> {
        let mut header = Header::new_ustar();
        header.set_path(name).map_err(|_| ArchiveError::Name(name.to_owned()))?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(len);
        header.set_mode(0o600);
        header.set_cksum();
        let mut summed = Summed::new(content.take(len));
        self.tar.append(&header, &mut summed).map_err(ArchiveError::Io)?;
        if summed.len != len {
            return Err(ArchiveError::Changed(name.to_owned()));
        }
        self.sums.push_str(&line(&summed.end(), name));
        Ok(())
    }
}

/// Reads an archive from its beginning to its end. `about` is called with the description first, `file` with each file.
/// What they do must be undone if this fails: only the end shows whether the archive is whole.
///
/// # Errors
///
/// [`ArchiveError`] if it is not an archive as [`Writer`] makes it; what `about` and `file` fail with.
pub fn read<E: From<ArchiveError>>(
    input: impl Read,
    about: impl FnOnce(&[u8]) -> Result<(), E>,
    mut file: impl FnMut(&str, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let mut archive = Archive::new(input);
    let mut entries = archive
        .entries()
        .map_err(|_| ArchiveError::NotOne)?
        .raw(true)
        .map(|entry| entry.map_err(broken));
    let mut first =
        entries.next().ok_or(ArchiveError::NotOne)?.map_err(|_| ArchiveError::NotOne)?;
    if name(&first)? != ABOUT {
        return Err(ArchiveError::NotOne.into());
    }
    let (told, sum) = small(&mut first, ABOUT, ABOUT_MAX)?;
    about(&told)?;
    let (mut sums, mut names) = (line(&sum, ABOUT), BTreeSet::new());
    for entry in entries.by_ref() {
        let mut entry = entry?;
        let name = name(&entry)?;
        if name == SUMS {
            let (written, _) = small(&mut entry, SUMS, SUMS_MAX)?;
            drop(entry);
            return ends(&written, &sums, entries.next().is_none()).map_err(E::from);
        }
        if names.len() >= FILES_MAX || !names.insert(name.clone()) {
            return Err(ArchiveError::Twice(name).into());
        }
        let len = entry.size();
        let mut summed = Summed::new(&mut entry);
        file(&name, &mut summed)?;
        // Whatever the caller left.
        io::copy(&mut summed, &mut io::sink()).map_err(broken)?;
        if summed.len != len {
            return Err(ArchiveError::Short.into());
        }
        sums.push_str(&line(&summed.end(), &name));
    }
    Err(ArchiveError::Short.into())
}

/// Compares the sums that were written with those of what was read.
fn ends(written: &[u8], read: &str, is_end: bool) -> Result<(), ArchiveError> {
    if !is_end {
        return Err(ArchiveError::NotLast(SUMS));
    }
    let Ok(written) = std::str::from_utf8(written) else {
        return Err(ArchiveError::Damaged(SUMS.to_owned()));
    };
    if written == read {
        return Ok(());
    }
    let differs = read.lines().zip(written.lines()).find(|(read, written)| read != written);
    let name = differs.and_then(|(read, _)| read.split_once("  ")).map_or(SUMS, |(_, name)| name);
    Err(ArchiveError::Damaged(name.to_owned()))
}

/// The name of an entry, if it is a file as [`Writer`] adds it.
fn name<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String, ArchiveError> {
    let bytes = entry.path_bytes();
    let name = String::from_utf8_lossy(&bytes).into_owned();
    if entry.header().entry_type() != EntryType::Regular {
        return Err(ArchiveError::NotAFile(name));
    }
    if !is_plain(&name) || name.as_bytes() != &*bytes {
        return Err(ArchiveError::Outside(name));
    }
    Ok(name)
}

/// Whether a name stays below the folder where it is unpacked.
fn is_plain(name: &str) -> bool {
    let is_step = |step: &str| !step.is_empty() && step != "." && step != "..";
    name.len() <= NAME_MAX
        && name.split('/').all(is_step)
        && !name.contains(|it: char| it.is_control() || it == '\\')
}

/// Reads an entry that is held in memory, and its sum.
fn small<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    name: &str,
    max: u64,
) -> Result<(Vec<u8>, String), ArchiveError> {
    let len = entry.size();
    if len > max {
        return Err(ArchiveError::TooLong(name.to_owned()));
    }
    let (mut content, mut summed) = (Vec::new(), Summed::new(entry));
    summed.read_to_end(&mut content).map_err(broken)?;
    if summed.len != len {
        return Err(ArchiveError::Short);
    }
    Ok((content, summed.end()))
}

fn line(sum: &str, name: &str) -> String {
    format!("{sum}  {name}\n")
}

/// What the reader of tar files says of one that is none or breaks off.
fn broken(error: io::Error) -> ArchiveError {
    let kind = error.kind();
    if kind == ErrorKind::UnexpectedEof {
        return ArchiveError::Short;
    }
    if [ErrorKind::Other, ErrorKind::InvalidData, ErrorKind::InvalidInput].contains(&kind) {
        return ArchiveError::Torn;
    }
    ArchiveError::Io(error)
}

/// Counts and sums up what is read.
struct Summed<R> {
    from: R,
    sum: Sha256,
    len: u64,
}

impl<R> Summed<R> {
    fn new(from: R) -> Self {
        Self { from, sum: Sha256::new(), len: 0 }
    }

    fn end(self) -> String {
        self.sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(buffer)?;
        self.sum.update(&buffer[..len]);
        self.len += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
