//! What a `[[dial]]` may say.

use std::path::{Component, Path};

use common::mesh;
use node_agent_api::settings::{DIALS, Dial};

/// Most dials: each is a socket and a task.
const MAX: usize = 64;
/// Longest name.
const MAX_NAME: usize = 64;

/// Says what is wrong with the dials.
pub(super) fn check(dials: &[Dial]) -> Result<(), String> {
    if dials.len() > MAX {
        return Err(format!("there are {} dials; {MAX} are the most", dials.len()));
    }
    for (index, dial) in dials.iter().enumerate() {
        let (name, to) = (&dial.name, dial.to);
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(format!("the dial to {to} needs a name of 1 to {MAX_NAME} letters"));
        }
        if dial.uid == u32::MAX {
            return Err(format!("dial {name:?}: uid {} is no user's", dial.uid));
        }
        let Some(folder) = folder(&dial.socket) else {
            return Err(format!(
                "dial {name:?}: socket {} must be {DIALS}/FOLDER/FILE, such as \
                 {DIALS}/{name}/http.sock",
                dial.socket.display()
            ));
        };
        if let Some(other) =
            dials[..index].iter().find(|it| self::folder(&it.socket) == Some(folder))
        {
            return Err(format!(
                "dials {:?} and {name:?} have one folder, {}: give each its own",
                other.name,
                folder.display()
            ));
        }
        if to.port() == 0 || !(to.ip().is_loopback() || mesh::contains(to.ip())) {
            return Err(format!(
                "dial {name:?}: {to} is neither a loopback address nor one of the mesh's ({} and {}), \
                 with a port; nothing else is dialled",
                mesh::V4,
                mesh::V6
            ));
        }
    }
    Ok(())
}

/// The folder of a dial's socket, if it is one of its own directly below [`DIALS`].
fn folder(socket: &Path) -> Option<&Path> {
    let folder = socket.parent()?;
    let is_plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain(socket) && folder.parent()? == Path::new(DIALS) && socket.file_name().is_some())
        .then_some(folder)
}

#[cfg(test)]
mod tests;
