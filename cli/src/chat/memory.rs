//! `maru chat --edit-memory`: a file of the person's memory in their editor.

use std::{env, io::Write as _, path::PathBuf, process::Command};

use ai_gateway_api::sealed::{Event, MemoryName, MemoryOperation, Operation};
use anyhow::{Context as _, bail};
use messages::{Message, message};
use zeroize::Zeroizing;

use super::{gateway::Gateway, print::Collected};

/// Without `VISUAL` and `EDITOR`.
const EDITOR: &str = "vi";

/// Reads a file of the memory, has it edited, and writes it back if it was changed. Returns what to say.
///
/// # Errors
///
/// The editor fails; or the gateway refuses, as if the file has changed meanwhile: then nothing is overwritten.
pub(super) async fn edit<G: Gateway>(
    gateway: &mut G,
    file: MemoryName,
    edited: impl FnOnce(&str) -> anyhow::Result<Zeroizing<String>> + Send + 'static,
) -> anyhow::Result<Message> {
    let mut collected = Collected::default();
    let read = MemoryOperation::Read(Some(file.clone()));
    gateway.ask(&Operation::Memory(read), &mut collected).await?;
    let text = |event| if let Event::Memory(it) = event { Some(it.text) } else { None };
    let was = Zeroizing::new(collected.0.into_iter().find_map(text).unwrap_or_default());
    let before = was.clone();
    let text = tokio::task::spawn_blocking(move || edited(&before)).await??;
    if text == was {
        return Ok(message!("memory-unchanged", file));
    }
    let write = MemoryOperation::Write {
        file: file.clone(),
        text: text.to_string(),
        was: Some(was.to_string()),
    };
    gateway.ask(&Operation::Memory(write), &mut Collected::default()).await?;
    Ok(message!("memory-written", file))
}

/// The text after the person's editor was closed. It is in a file of theirs alone, in memory where the system has such a
/// place for each person.
///
/// # Errors
///
/// The file cannot be written or read, or the editor fails.
pub(super) fn in_editor(text: &str) -> anyhow::Result<Zeroizing<String>> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let folder = variable("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from);
    // Mode 0600, and deleted in any case.
    let mut file = tempfile::Builder::new().prefix("memory-").suffix(".md").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| EDITOR.into());
    // An editor may be set with arguments, which the shell tells apart.
    let mut command = Command::new("sh");
    command.arg("-c").arg("exec $0 \"$1\"").arg(&editor).arg(file.path());
    let status = command.status().context(message!("program-not-started"))?;
    if !status.success() {
        bail!(message!("editor-failed", editor = editor.display()));
    }
    Ok(Zeroizing::new(std::fs::read_to_string(file.path())?))
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::sealed::MemoryFile;

    use super::{super::gateway::Scripted, *};

    fn answers(text: &str) -> Scripted {
        let file = MemoryFile { file: MemoryName::MEMORY.to_owned(), text: text.to_owned() };
        Scripted::new([vec![Event::Memory(file)], vec![]])
    }

    fn memory() -> MemoryName {
        MemoryName::MEMORY.parse().unwrap()
    }

    #[tokio::test]
    async fn what_was_edited_is_written_in_place_of_what_was_read() {
        let mut gateway = answers("- tea\n");

        let said =
            edit(&mut gateway, memory(), |text| Ok(Zeroizing::new(format!("{text}- milk\n"))));

        assert_eq!(said.await.unwrap(), message!("memory-written", file = "MEMORY.md"));
        let [_, Operation::Memory(write)] = &gateway.asked[..] else { panic!("two operations") };
        let (text, was) = ("- tea\n- milk\n".to_owned(), Some("- tea\n".to_owned()));
        assert_eq!(*write, MemoryOperation::Write { file: memory(), text, was });
    }

    #[tokio::test]
    async fn what_was_not_changed_or_not_saved_is_not_written() {
        let mut gateway = answers("- tea\n");
        let said = edit(&mut gateway, memory(), |text| Ok(Zeroizing::new(text.to_owned()))).await;
        assert_eq!(said.unwrap(), message!("memory-unchanged", file = "MEMORY.md"));
        assert_eq!(gateway.asked.len(), 1);

        let mut gateway = answers("- tea\n");
        assert!(edit(&mut gateway, memory(), |_| bail!("it failed")).await.is_err());
        assert_eq!(gateway.asked.len(), 1);
    }
}
