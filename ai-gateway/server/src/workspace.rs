//! The workspace: files in which people write who the AI is and what it should know.
//!
//! `SOUL.md`, `IDENTITY.md` and `AGENTS.md` are everyone's and stand in its folder. What is about one person (`USER.md`,
//! `MEMORY.md`, `memory/<date>.md`) is that person's memory, which is stored sealed and is only in that person's prompts; a
//! program, and a room, gets everyone's files only. The total is limited, because a local model handles long prompts badly.
//!
//! What changes least often comes first, so that backends can reuse it: everyone's files, the person's, the days.

mod files;
mod prompt;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use conversations::{MEMORY_FILE_MAX, SealedMemory};
use mesh_identity::Person;

use self::{files::WorkspaceFile, prompt::Prompt};
use crate::openclaw::PromptLimit;

/// Everyone's files, in the order of the prompt.
const SHARED: [&str; 3] = ["SOUL.md", "IDENTITY.md", "AGENTS.md"];
/// Files of one person, before those of days.
const PRIVATE: [&str; 2] = ["USER.md", "MEMORY.md"];
/// Templates of everyone's files.
const TEMPLATES: [(&str, &str); 3] = [
    ("SOUL.md", include_str!("../templates/SOUL.md")),
    ("IDENTITY.md", include_str!("../templates/IDENTITY.md")),
    ("AGENTS.md", include_str!("../templates/AGENTS.md")),
];

/// The folder of workspace files.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    folder: PathBuf,
    limit: PromptLimit,
}

/// A file about one person that somebody put into the folder `people/<person>/`, to be moved to the person's memory.
pub(crate) struct PrivateFile {
    /// Its name there and in the memory.
    pub(crate) name: &'static str,
    /// Its text.
    pub(crate) text: String,
    file: WorkspaceFile,
}

impl PrivateFile {
    /// Deletes it, once the memory has it.
    pub(crate) fn delete(self) {
        if let Err(error) = self.file.delete() {
            tracing::warn!(%error, name = self.name, "a file that is in the memory now cannot be deleted");
        }
    }
}

impl Workspace {
    /// Uses `folder`; a prompt contains so much of the files.
    #[must_use]
    pub(crate) fn new(folder: PathBuf, limit: PromptLimit) -> Self {
        Self { folder, limit }
    }

    /// Writes the templates, if the folder holds none of the files yet.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        for name in PRIVATE {
            if self.folder.join(name).exists() {
                tracing::warn!(
                    "workspace/{name} is ignored: move it to workspace/people/<person>/"
                );
            }
        }
        if SHARED.iter().any(|name| self.folder.join(name).exists()) {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        for (name, text) in TEMPLATES {
            fs::write(self.folder.join(name), text)?;
        }
        Ok(())
    }

    /// The system prompt of one person's chats, or of nobody's. The mark stands between everyone's files and the person's.
    #[must_use]
    pub(crate) fn prompt(&self, memory: Option<&SealedMemory>, mark: &str) -> String {
        let mut prompt = Prompt::new(self.limit);
        for name in SHARED {
            let most = prompt.most_bytes();
            if let Some((_, text, more)) = read(&self.folder, &[name], most) {
                prompt.add(name, &text, more);
            }
        }
        prompt.add_line(mark);
        if let Some(memory) = memory {
            let open = |name: &str| {
                let opened = memory.open(name);
                opened.inspect_err(|error| tracing::error!(%error, "memory is left out")).ok()
            };
            for name in PRIVATE {
                prompt.add(name, &open(name).unwrap_or_default(), false);
            }
            let days = memory.names().rev().filter(|name| !PRIVATE.contains(name));
            prompt.add_newest(days.filter_map(|name| Some((name, open(name)?))));
        }
        prompt.into_text()
    }

    /// Deletes a person's folder; returns whether there was one.
    pub(crate) fn forget(&self, person: &Person) -> io::Result<bool> {
        let Some(own) = folder_of(person) else { return Ok(false) };
        // A link is not followed.
        match fs::remove_dir_all(self.folder.join("people").join(own)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Files about a person that are to be moved to the person's memory. One that is too long for it stays.
    #[must_use]
    pub(crate) fn private_files(&self, person: &Person) -> Vec<PrivateFile> {
        let Some(own) = folder_of(person) else { return Vec::new() };
        let file = |name: &'static str| {
            let (file, text, more) = read(&self.folder, &["people", &own, name], MEMORY_FILE_MAX)?;
            if more {
                tracing::warn!(
                    "workspace/people/{own}/{name} is ignored: shorten it to {MEMORY_FILE_MAX} bytes"
                );
                return None;
            }
            if !file.may_be_deleted() {
                tracing::warn!(
                    "workspace/people/{own}/{name} is ignored: make the folder the gateway's, so that the file can be moved"
                );
                return None;
            }
            (!text.trim().is_empty()).then_some(PrivateFile { name, text, file })
        };
        PRIVATE.into_iter().filter_map(file).collect()
    }
}

/// Reads a file up to `most` bytes, and says whether there is more; `None` if there is none, or it cannot be used.
fn read(folder: &Path, path: &[&str], most: usize) -> Option<(WorkspaceFile, String, bool)> {
    let opened = WorkspaceFile::open(folder, path).and_then(|file| {
        let Some(file) = file else { return Ok(None) };
        let (text, more) = file.read(most)?;
        Ok(Some((file, text, more)))
    });
    opened
        .inspect_err(|error| {
            let path = path.join("/");
            tracing::warn!(%error, "workspace/{path} is ignored: make it a regular file of text in UTF-8");
        })
        .ok()
        .flatten()
}

/// Whether a memory is kept for the person: a program and a room have none.
#[must_use]
pub(crate) fn has_memory(person: &Person) -> bool {
    folder_of(person).is_some()
}

/// The person's folder: `user:7` is `user-7`. Other characters than letters and digits are written as their code
/// between underscores, so that no name leads outside the folder and no two people share one. A program and a room have
/// none.
fn folder_of(person: &Person) -> Option<String> {
    let id = match person {
        Person::User(id) => return Some(format!("user-{id}")),
        Person::Node(id) => id,
        Person::App(_) | Person::Room(_) => return None,
    };
    let mut folder = "node-".to_owned();
    for c in id.chars() {
        if c.is_ascii_alphanumeric() {
            folder.push(c);
        } else {
            folder.push_str(&format!("_{:x}_", u32::from(c)));
        }
    }
    Some(folder)
}

#[cfg(test)]
mod tests;
