//! Fetches a model.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, bail};
use messages::message;

use crate::{
    model::{
        args::PullArgs,
        disk, download,
        folder::{Entry, Folder},
        memory,
        part::Part,
        progress::Progress,
        source::{Location, Source},
    },
    output,
};

/// What is read at once, in bytes.
const PIECE: usize = 1 << 20;

/// Fetches a model, checks it and gives it its name.
pub(super) async fn run(folder: &Folder, args: &PullArgs) -> anyhow::Result<Entry> {
    let source = Source::of(args)?;
    folder.make()?;
    if folder.get(&source.name)?.is_some() {
        bail!(message!("model-exists", name = source.name));
    }
    let mut part = Part::open(&folder.path, &source.name)?;
    output::note(memory::holds(memory::total()?));
    let came = {
        let mut progress = Progress::new();
        match &source.place {
            Location::Url(url) => download::run(folder, &mut part, url, &mut progress).await,
            Location::File(path) => copy(folder, &mut part, path, &mut progress),
        }
    };
    if let Err(error) = came {
        part.leave();
        return Err(error);
    }
    let sha256 = part.finish(source.sha256)?;
    let entry = folder.get(&source.name)?.context(message!("model-gone"))?;
    Ok(Entry { sha256: Some(hex::encode(sha256)), ..entry })
}

/// Copies a local file; always from the beginning, since it is fast.
fn copy(
    folder: &Folder,
    part: &mut Part,
    path: &Path,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let cannot = || message!("file-not-read", path = path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let meta = file.metadata().with_context(cannot)?;
    if !meta.is_file() {
        bail!(message!("not-a-file", path = path.display()));
    }
    part.begin(None)?;
    disk::has_room(&folder.path, meta.len())?;
    if let Some(warning) = memory::too_large(meta.len(), memory::total()?) {
        progress.note(warning);
    }
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece).with_context(cannot)?;
        if count == 0 {
            return Ok(());
        }
        part.add(&piece[..count])?;
        progress.at(part.len, meta.len());
    }
}
