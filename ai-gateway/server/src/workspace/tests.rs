use conversations::{Conversations, Limits, MemoryChange};
use proptest::prelude::*;
use store::{Database, seal::Key};
use tempfile::TempDir;

use super::*;

fn workspace_with(limit: PromptLimit) -> (TempDir, Workspace) {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(dir.path().join("workspace"), limit);
    workspace.prepare().unwrap();
    (dir, workspace)
}

fn workspace() -> (TempDir, Workspace) {
    workspace_with(PromptLimit::new(None, None))
}

/// A memory with these files.
async fn memory(dir: &TempDir, files: &[(&str, &str)]) -> SealedMemory {
    let database = Database::Sqlite(dir.path().join("conversations.sqlite"));
    let limits = Limits { person_bytes: 1 << 20, conversations: 9 };
    let key = Key::new(&[1; 32]);
    let conversations = Conversations::open(&database, None, key, limits).await.unwrap();
    let change = |(name, text): &(&str, &str)| MemoryChange {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    let changes = files.iter().map(change).collect();
    conversations.edit_memory(&Person::User(1), |_| Ok((changes, ()))).await.unwrap();
    conversations.memory(&Person::User(1)).await.unwrap()
}

fn put(dir: &TempDir, who: &str, text: &str) {
    let folder = dir.path().join("workspace/people").join(who);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("MEMORY.md"), text).unwrap();
}

fn texts(workspace: &Workspace, person: &Person) -> Vec<String> {
    workspace.private_files(person).into_iter().map(|file| file.text).collect()
}

#[test]
fn changed_files_stay_and_removed_files_are_not_written_again() {
    let (dir, workspace) = workspace();
    let folder = dir.path().join("workspace");
    fs::write(folder.join("SOUL.md"), "Be brief.").unwrap();
    fs::remove_file(folder.join("AGENTS.md")).unwrap();
    workspace.prepare().unwrap();
    let prompt = workspace.prompt(None, "mark");
    assert!(prompt.contains("## SOUL.md\nBe brief.\n"), "{prompt}");
    assert!(!prompt.contains("AGENTS.md"), "{prompt}");
}

#[tokio::test]
async fn what_changes_least_comes_first() {
    let (dir, workspace) = workspace();
    let files = [
        ("memory/2026-11-26.md", "- today"),
        ("memory/2025-01-01.md", "- long ago"),
        ("MEMORY.md", "- for good"),
        ("USER.md", "Ada"),
    ];
    let prompt = workspace.prompt(Some(&memory(&dir, &files).await), "mark");
    let order =
        ["SOUL.md", "IDENTITY.md", "AGENTS.md", "mark", "Ada", "for good", "long ago", "today"];
    let order = order.map(|part| prompt.find(part).unwrap_or_else(|| panic!("{part}: {prompt}")));
    assert!(order.is_sorted(), "{prompt}");

    // What a new day adds stands behind all that was there, so that a backend reads only that anew.
    let more = [files.as_slice(), &[("memory/2026-11-27.md", "- tomorrow")]].concat();
    let longer = workspace.prompt(Some(&memory(&dir, &more).await), "mark");
    assert!(longer.starts_with(&prompt), "{longer}");
}

#[tokio::test]
async fn of_a_long_memory_the_newest_lines_are_in_the_prompt() {
    let (dir, workspace) = workspace();
    let days: Vec<_> = (1..=30).map(|day| format!("memory/2026-11-{day:02}.md")).collect();
    let line = format!("- {}\n", "tea ".repeat(30));
    let text = line.repeat(9) + "- the last of its day\n";
    let files: Vec<_> = days.iter().map(|day| (day.as_str(), text.as_str())).collect();
    let prompt = workspace.prompt(Some(&memory(&dir, &files).await), "mark");

    assert!(prompt.contains("## memory/2026-11-30.md\n- tea"), "{prompt}");
    assert!(!prompt.contains("2026-11-01"), "{prompt}");
    let first = prompt.split("## memory/").nth(1).unwrap();
    assert!(first.contains(".md\n[what is older") && first.contains("the last of its day"));
}

#[test]
fn a_persons_own_folder_alone_is_moved_to_their_memory() {
    let (dir, workspace) = workspace();
    put(&dir, "user-1", "Ada likes tea");
    put(&dir, "node-nAbc", "the tagged one");
    fs::write(dir.path().join("workspace/USER.md"), "nobody's").unwrap();
    assert_eq!(texts(&workspace, &Person::User(1)), ["Ada likes tea"]);
    assert!(texts(&workspace, &Person::User(2)).is_empty());
    assert_eq!(texts(&workspace, &Person::Node("nAbc".to_owned())), ["the tagged one"]);

    // What is too long for the memory stays where it is.
    put(&dir, "user-1", &"x".repeat(MEMORY_FILE_MAX + 1));
    assert!(texts(&workspace, &Person::User(1)).is_empty());
}

#[test]
fn a_program_gets_everyones_files_and_no_private_ones() {
    let (dir, workspace) = workspace();
    // Whatever its name, and whoever made folders for it.
    for who in ["app-user-1", "app-1", "user-1", "app:user-1", "app_3a_user-1"] {
        put(&dir, who, "a secret");
    }
    assert_eq!(texts(&workspace, &Person::User(1)), ["a secret"], "the control");
    for name in ["user-1", "1", "user:1", "../people/user-1"] {
        let app = Person::App(name.to_owned());
        assert!(!has_memory(&app) && texts(&workspace, &app).is_empty(), "{name}");
    }
}

#[test]
fn a_room_gets_everyones_files_and_no_private_ones() {
    let (dir, workspace) = workspace();
    for who in ["user-1", "room-user-1", "room-1", "!r:home", "room:!r:home"] {
        put(&dir, who, "a secret");
    }
    assert_eq!(texts(&workspace, &Person::User(1)), ["a secret"], "the control");
    // Whatever its id: telmeet chooses that.
    for id in ["!r:home", "user-1", "1", "user:1", "../people/user-1", "people/user-1"] {
        let room = Person::Room(id.to_owned());
        assert!(!has_memory(&room) && texts(&workspace, &room).is_empty(), "{id}");
    }
}

#[test]
fn long_files_are_cut_and_the_whole_is_bounded() {
    let (dir, workspace) = workspace_with(PromptLimit::new(Some(10), Some(35)));
    let folder = dir.path().join("workspace");
    fs::write(folder.join("SOUL.md"), "가".repeat(50)).unwrap();
    fs::write(folder.join("IDENTITY.md"), "b".repeat(50)).unwrap();
    let prompt = workspace.prompt(None, "mark");
    assert_eq!(prompt.matches('가').count(), 10);
    // The names count as well: 7 and 11 characters.
    assert_eq!(prompt.matches('b').count(), 35 - 7 - 10 - 11, "{prompt}");
    assert!(!prompt.contains("AGENTS"), "{prompt}");
    assert!(prompt.contains("[the rest of this file is too long for the prompt]"));

    // A file of any size is read up to what the prompt has room for.
    fs::File::options().write(true).open(folder.join("SOUL.md")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(workspace.prompt(None, "mark"), prompt);
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
