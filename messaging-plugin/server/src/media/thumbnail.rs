//! Thumbnails, each of which another process makes (`crate::thumbnail`).

use std::{path::PathBuf, process::Stdio, time::Duration};

use telmeet_core::media::{PICTURE_MAX, ThumbnailSize, thumbnail_type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    sync::Semaphore,
    time::timeout,
};

use super::file::Reader;

/// The argument that makes this program make a thumbnail.
pub const ARGUMENT: &str = "thumbnail";
/// A smaller picture is its own thumbnail.
const PICTURE_MIN: u64 = 32 << 10;
/// Largest thumbnail, in bytes.
const THUMBNAIL_MAX: u64 = 2 << 20;
/// Thumbnails that are made at a time: each may take half of the container's memory.
const AT_ONCE: usize = 1;
/// How long a request waits for its turn, and for its thumbnail.
const LONGEST: Duration = Duration::from_secs(5);

/// Makes thumbnails, one at a time.
#[derive(Debug)]
pub struct Thumbnails {
    program: PathBuf,
    places: Semaphore,
}

/// A thumbnail.
#[derive(Debug)]
pub(super) struct Thumbnail {
    /// Its type.
    pub(super) content_type: &'static str,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

impl Thumbnails {
    /// Makes them by this program.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program, places: Semaphore::new(AT_ONCE) }
    }

    /// Whether there may be a thumbnail of a picture with this number of bytes.
    pub(super) fn is_wanted(size: u64) -> bool {
        (PICTURE_MIN..=PICTURE_MAX).contains(&size)
    }

    /// Makes a thumbnail. Nothing if that fails, takes too long, or too many are being made: the picture itself is sent.
    pub(super) async fn make(&self, picture: Reader, size: ThumbnailSize) -> Option<Thumbnail> {
        let _place = timeout(LONGEST, self.places.acquire()).await.ok()?.ok()?;
        let made = timeout(LONGEST, self.run(picture, size)).await;
        let Ok(Some(bytes)) = made else {
            tracing::debug!("no thumbnail was made");
            return None;
        };
        Some(Thumbnail { content_type: thumbnail_type(&bytes)?, bytes })
    }

    async fn run(&self, mut picture: Reader, size: ThumbnailSize) -> Option<Vec<u8>> {
        let mut command = Command::new(&self.program);
        command.arg(ARGUMENT).env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let (mut input, output) = (child.stdin.take()?, child.stdout.take()?);
        let write = async {
            input.write_all(format!("{size}\n").as_bytes()).await.ok()?;
            while let Some(bytes) = picture.next().await.ok()? {
                input.write_all(&bytes).await.ok()?;
            }
            drop(input);
            Some(())
        };
        let read = async {
            let mut bytes = Vec::new();
            output.take(THUMBNAIL_MAX + 1).read_to_end(&mut bytes).await.ok()?;
            Some(bytes)
        };
        let (_, bytes) = tokio::join!(write, read);
        let is_made = child.wait().await.is_ok_and(|status| status.success());
        bytes.filter(|bytes| is_made && bytes.len() as u64 <= THUMBNAIL_MAX)
    }
}
