//! The workspace: files in which people write who the AI is and what it should know.
//!
//! `SOUL.md`, `IDENTITY.md` and `AGENTS.md` are everyone's. `USER.md` and `MEMORY.md` are about one person, so they are
//! in that person's folder `people/<person>/`, and only in that person's prompts; a program, and a room, gets everyone's
//! files only.
//! The total is limited, because a local model handles long prompts badly.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mesh_identity::Person;

/// Everyone's files, in the order of the prompt: the least often changed come first, so that backends can reuse them.
const SHARED: [&str; 3] = ["SOUL.md", "IDENTITY.md", "AGENTS.md"];
/// Files of one person.
const PRIVATE: [&str; 2] = ["USER.md", "MEMORY.md"];
/// Templates of everyone's files.
const TEMPLATES: [(&str, &str); 3] = [
    ("SOUL.md", include_str!("../templates/SOUL.md")),
    ("IDENTITY.md", include_str!("../templates/IDENTITY.md")),
    ("AGENTS.md", include_str!("../templates/AGENTS.md")),
];
/// Marks where a file was truncated.
const TRUNCATED: &str = "\n[the rest of this file is too long for the prompt]";

/// The folder of workspace files.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    folder: PathBuf,
    file_chars: usize,
    total_chars: usize,
}

impl Workspace {
    /// Uses `folder`; a prompt contains at most so many characters of each file, and of all.
    #[must_use]
    pub(crate) fn new(folder: PathBuf, file_chars: usize, total_chars: usize) -> Self {
        Self { folder, file_chars, total_chars }
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

    /// The system prompt of one person's chats; empty if there is no file.
    #[must_use]
    pub(crate) fn prompt(&self, person: &Person) -> String {
        let own = folder_of(person).map(|folder| self.folder.join("people").join(folder));
        let shared = SHARED.iter().map(|name| (*name, self.folder.join(name)));
        let private = own.iter().flat_map(|own| PRIVATE.iter().map(|name| (*name, own.join(name))));
        let mut prompt = String::new();
        let mut available = self.total_chars;
        for (name, path) in shared.chain(private) {
            let Some(text) = read(&path, self.file_chars.min(available)) else {
                continue;
            };
            available = available.saturating_sub(text.chars().count());
            if prompt.is_empty() {
                prompt.push_str("# Project Context\n");
            }
            prompt.push_str("\n## ");
            prompt.push_str(name);
            prompt.push('\n');
            prompt.push_str(&text);
            prompt.push('\n');
        }
        prompt
    }
}

/// Reads a file's first characters; `None` if it is empty or cannot be read.
fn read(path: &Path, most: usize) -> Option<String> {
    let mut text = fs::read_to_string(path).ok()?;
    text.truncate(text.trim_end().len());
    if text.is_empty() {
        return None;
    }
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push_str(TRUNCATED);
    }
    Some(text)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(dir.path().join("workspace"), 6000, 6000);
        workspace.prepare().unwrap();
        (dir, workspace)
    }

    #[test]
    fn the_templates_make_a_short_prompt() {
        let (_dir, workspace) = workspace();
        let prompt = workspace.prompt(&Person::User(1));
        for name in SHARED {
            assert!(prompt.contains(&format!("## {name}\n")), "{prompt}");
        }
        // No tokenizer makes more than a token per two characters of plain English.
        assert!(prompt.chars().count() / 2 < 1000, "{} characters", prompt.chars().count());
    }

    #[test]
    fn changed_files_stay_and_removed_files_are_not_written_again() {
        let (dir, workspace) = workspace();
        let folder = dir.path().join("workspace");
        fs::write(folder.join("SOUL.md"), "Be brief.").unwrap();
        fs::remove_file(folder.join("AGENTS.md")).unwrap();
        workspace.prepare().unwrap();
        let prompt = workspace.prompt(&Person::User(1));
        assert!(prompt.contains("## SOUL.md\nBe brief.\n"), "{prompt}");
        assert!(!prompt.contains("AGENTS.md"), "{prompt}");
    }

    #[test]
    fn private_files_are_in_their_persons_prompt_only() {
        let (dir, workspace) = workspace();
        let folder = dir.path().join("workspace");
        for (who, text) in [("user-1", "Ada likes tea"), ("node-nAbc", "the tagged one")] {
            fs::create_dir_all(folder.join("people").join(who)).unwrap();
            fs::write(folder.join("people").join(who).join("MEMORY.md"), text).unwrap();
        }
        fs::write(folder.join("USER.md"), "nobody's").unwrap();
        assert!(workspace.prompt(&Person::User(1)).contains("Ada likes tea"));
        assert!(!workspace.prompt(&Person::User(2)).contains("Ada"));
        assert!(!workspace.prompt(&Person::User(1)).contains("tagged"));
        assert!(workspace.prompt(&Person::Node("nAbc".to_owned())).contains("the tagged one"));
        assert!(!workspace.prompt(&Person::User(1)).contains("nobody's"));
    }

    #[test]
    fn a_program_gets_everyones_files_and_no_private_ones() {
        let (dir, workspace) = workspace();
        let folder = dir.path().join("workspace");
        // Whatever its name, and whoever made folders for it.
        for who in ["app-user-1", "app-1", "user-1", "app:user-1", "app_3a_user-1"] {
            fs::create_dir_all(folder.join("people").join(who)).unwrap();
            fs::write(folder.join("people").join(who).join("MEMORY.md"), "a secret").unwrap();
        }
        assert!(workspace.prompt(&Person::User(1)).contains("a secret"), "the control");
        for name in ["user-1", "1", "user:1", "../people/user-1"] {
            let prompt = workspace.prompt(&Person::App(name.to_owned()));
            assert!(prompt.contains("## SOUL.md\n") && !prompt.contains("a secret"), "{prompt}");
        }
    }

    #[test]
    fn a_room_gets_everyones_files_and_no_private_ones() {
        let (dir, workspace) = workspace();
        let folder = dir.path().join("workspace");
        for who in ["user-1", "room-user-1", "room-1", "!r:home", "room:!r:home"] {
            fs::create_dir_all(folder.join("people").join(who)).unwrap();
            fs::write(folder.join("people").join(who).join("MEMORY.md"), "a secret").unwrap();
        }
        assert!(workspace.prompt(&Person::User(1)).contains("a secret"), "the control");
        // Whatever its id: telmeet chooses that.
        for id in ["!r:home", "user-1", "1", "user:1", "../people/user-1", "people/user-1"] {
            let prompt = workspace.prompt(&Person::Room(id.to_owned()));
            assert!(prompt.contains("## SOUL.md\n") && !prompt.contains("a secret"), "{prompt}");
        }
    }

    #[test]
    fn long_files_are_cut_and_the_whole_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(dir.path().to_owned(), 10, 15);
        fs::write(dir.path().join("SOUL.md"), "가".repeat(50)).unwrap();
        fs::write(dir.path().join("IDENTITY.md"), "b".repeat(50)).unwrap();
        let prompt = workspace.prompt(&Person::User(1));
        assert_eq!(prompt.matches('가').count(), 10);
        assert!(prompt.matches('b').count() <= 15, "{prompt}");
        assert!(prompt.contains(TRUNCATED.trim()));
    }

    proptest! {
        #[test]
        fn no_persons_name_leads_out_of_the_folder_or_into_anothers(one in "\\PC{0,30}", other in "\\PC{0,30}") {
            let folder_of = |node: &str| folder_of(&Person::Node(node.to_owned())).unwrap();
            let folder = folder_of(&one);
            prop_assert!(!folder.contains(['/', '.', '\0']), "{}", folder);
            prop_assert_eq!(folder == folder_of(&other), one == other);
        }
    }
}
