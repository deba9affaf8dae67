//! A person's memory: what they have the AI know in each conversation, one fact a line. Only the person changes it, or the
//! AI where the person has allowed that.

pub(crate) mod command;

use std::sync::Arc;

use ai_gateway_api::sealed::{Event, MemoryFile, MemoryName, MemoryOperation};
use common::foreign;
use conversations::{MemoryChange, SealedMemory};
use jiff::Zoned;
use mesh_identity::Person;
use tokio::task::spawn_blocking;

use crate::{
    App, Error, arena,
    sessions::NotKept,
    workspace::{self, PrivateFile},
};

/// Most characters of a remembered line, so that some lines fit into a prompt.
const LINE_MAX: usize = 1000;
/// Fewest characters of what is forgotten: fewer would remove nearly every line.
const FORGET_MIN: usize = 2;

/// A person's memory; a program and a room have none. What somebody put into the workspace's folder of the person is moved
/// to it first.
pub(crate) async fn read(app: &Arc<App>, person: &Person) -> Result<Option<SealedMemory>, NotKept> {
    if !workspace::has_memory(person) {
        return Ok(None);
    }
    if let Err(error) = adopt(app, person).await {
        tracing::warn!(%error, "files of workspace/people are not moved to the memory");
    }
    app.sessions.memory(person).await.map(Some)
}

/// Moves files to the memory: each takes the place of what the memory had under its name.
async fn adopt(app: &Arc<App>, person: &Person) -> Result<(), NotKept> {
    let (workspace, whose) = (app.workspace.clone(), person.clone());
    let found = spawn_blocking(move || arena::locked(|_| workspace.private_files(&whose)));
    let files = found.await.map_err(|_| NotKept::Unavailable)?;
    if files.is_empty() {
        return Ok(());
    }
    let change =
        |file: &PrivateFile| MemoryChange { name: file.name.to_owned(), text: file.text.clone() };
    let changes = arena::locked(|_| files.iter().map(change).collect());
    app.sessions.edit_memory(person, |_| Ok((changes, ()))).await?;
    let deleted = spawn_blocking(move || files.into_iter().for_each(PrivateFile::delete));
    drop(deleted.await);
    Ok(())
}

/// Appends a line to the file of today; returns it as it is there.
pub(crate) async fn remember(app: &App, person: &Person, line: &str) -> Result<String, NotKept> {
    let today = MemoryName::of_day(&Zoned::now().date().to_string());
    let name = today.map_err(|_| NotKept::Unavailable)?;
    let append = |memory: &SealedMemory| {
        arena::locked(|_| {
            let mut text = memory.open(name.as_str())?;
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            let line = foreign::short(line.trim(), LINE_MAX);
            text.extend(["- ", &line, "\n"]);
            Ok((vec![MemoryChange { name: name.as_str().to_owned(), text }], line))
        })
    };
    app.sessions.edit_memory(person, append).await
}

/// Removes the lines that contain `part`, in any case, and returns them.
async fn forget(app: &App, person: &Person, part: &str) -> Result<Vec<String>, NotKept> {
    let part = arena::locked(|_| part.trim().to_lowercase());
    let remove = |memory: &SealedMemory| {
        arena::locked(|_| {
            let (mut changes, mut removed) = (Vec::new(), Vec::new());
            for name in memory.names() {
                let text = memory.open(name)?;
                let (matching, others): (Vec<_>, Vec<_>) =
                    text.lines().partition(|line| line.to_lowercase().contains(&part));
                if matching.is_empty() {
                    continue;
                }
                removed.extend(matching.into_iter().map(ToOwned::to_owned));
                let text = others.into_iter().flat_map(|line| [line, "\n"]).collect();
                changes.push(MemoryChange { name: name.to_owned(), text });
            }
            Ok((changes, removed))
        })
    };
    app.sessions.edit_memory(person, remove).await
}

/// Carries out an operation on the caller's own memory.
pub(crate) async fn perform(
    app: &Arc<App>,
    person: &Person,
    operation: MemoryOperation,
) -> Result<Vec<Event>, Error> {
    match operation {
        MemoryOperation::Read(file) => {
            let Some(memory) = read(app, person).await? else { return Ok(Vec::new()) };
            let event = |name: &str| {
                let text = arena::locked(|_| memory.open(name)).map_err(NotKept::from)?;
                Ok(Event::Memory(MemoryFile { file: name.to_owned(), text }))
            };
            match file {
                Some(file) => Ok(vec![event(file.as_str())?]),
                None => memory.names().map(event).collect(),
            }
        }
        MemoryOperation::Write { file, text, was } => {
            write(app, person, &file, text, was).await?;
            Ok(Vec::new())
        }
        MemoryOperation::AiRemembers(on) => {
            app.sessions.set_ai_remembers(person, on).await?;
            Ok(Vec::new())
        }
    }
}

async fn write(
    app: &App,
    person: &Person,
    file: &MemoryName,
    text: String,
    was: Option<String>,
) -> Result<(), Error> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Error::Request("the text has control characters; leave them out"));
    }
    let replace = |memory: &SealedMemory| {
        arena::locked(|_| {
            let same = match was {
                Some(was) => memory.open(file.as_str())? == was,
                None => true,
            };
            let change = MemoryChange { name: file.as_str().to_owned(), text };
            Ok((if same { vec![change] } else { Vec::new() }, same))
        })
    };
    match app.sessions.edit_memory(person, replace).await? {
        true => Ok(()),
        false => Err(Error::MemoryChanged),
    }
}
