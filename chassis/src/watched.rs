//! Files that are reloaded when they change.

use std::{
    error::Error,
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::failure::Failure;

/// Default time between two attempts to read unusable files.
const AGAIN: Duration = Duration::from_secs(60);

/// Reads all files.
type Read<T, E> = Box<dyn Fn() -> Result<T, E> + Send + Sync>;

/// The content of some files, such as a certificate and its key. Each use checks whether they have changed.
pub struct WatchedFiles<T, E> {
    what: &'static str,
    paths: Vec<PathBuf>,
    read: Read<T, E>,
    again: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    content: T,
    /// The files' metadata at the last attempt to read them.
    seen: Vec<Option<Stamp>>,
    /// Time of the last attempt.
    tried: Instant,
    /// Why the last attempt failed, which may depend on more than the files, such as the clock.
    failure: Option<String>,
}

/// Metadata that differ once a file is replaced or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    /// `ctime`: seconds and nanoseconds.
    changed: (i64, i64),
}

/// Shows the paths only: the content may be secret.
impl<T, E> fmt::Debug for WatchedFiles<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFiles").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl<T: Clone, E: Error + 'static> WatchedFiles<T, E> {
    /// Reads the files. `what` names them in the log.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn load(
        what: &'static str,
        paths: Vec<PathBuf>,
        read: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let seen = stamps(&paths);
        let state = State { content: read()?, seen, tried: Instant::now(), failure: None };
        Ok(Self { what, paths, read: Box::new(read), again: AGAIN, state: Mutex::new(state) })
    }

    /// Sets the time between two attempts after a failure, and while a file cannot be examined. Default: a minute.
    #[must_use]
    pub fn again(self, again: Duration) -> Self {
        Self { again, ..self }
    }

    /// The current content; while a file cannot be used, the previous content, since several files are not replaced at once.
    pub fn current(&self) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Before reading, so that a change in between is found the next time.
        let seen = stamps(&self.paths);
        let differ = seen != state.seen;
        let is_open = state.failure.is_some() || seen.contains(&None);
        if differ || (is_open && state.tried.elapsed() >= self.again) {
            (state.seen, state.tried) = (seen, Instant::now());
            // Logged once, not at each attempt.
            let is_news = differ || state.failure.is_none();
            match (self.read)() {
                Ok(content) => {
                    if differ || state.failure.is_some() {
                        tracing::info!("{}: reloaded", self.what);
                    }
                    (state.content, state.failure) = (content, None);
                }
                Err(error) => {
                    state.failure = Some(Failure::of(&error).failure);
                    if is_news {
                        let error = &error as &dyn Error;
                        tracing::warn!(
                            error,
                            "{}: cannot be reloaded, the previous content stays in use",
                            self.what
                        );
                    }
                }
            }
        }
        state.content.clone()
    }

    /// Why the files could not be used at the last attempt, on one line; `None` if they could.
    pub fn failure(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let file = fs::metadata(path).ok()?;
        let changed = (file.ctime(), file.ctime_nsec());
        Some(Stamp { inode: file.ino(), bytes: file.size(), changed })
    };
    paths.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_change_is_read_and_what_cannot_be_read_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("file"), folder.path().join("next"));
        fs::write(&path, "one").unwrap();
        let read = {
            let path = path.clone();
            move || {
                fs::read_to_string(&path).and_then(|text| text.parse().map_err(io::Error::other))
            }
        };
        let failed =
            WatchedFiles::<u32, io::Error>::load("number", vec![path.clone()], read.clone());
        assert!(failed.is_err());
        fs::write(&path, "1").unwrap();
        let watched = WatchedFiles::<u32, _>::load("number", vec![path.clone()], read).unwrap();
        assert_eq!(watched.current(), 1);

        fs::write(&next, "2").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(watched.current(), 2);

        assert_eq!(watched.failure(), None);

        fs::write(&path, "three").unwrap();
        assert_eq!(watched.current(), 2);
        assert_eq!(watched.failure().as_deref(), Some("invalid digit found in string"));
        fs::remove_file(&path).unwrap();
        assert_eq!(watched.current(), 2);
        fs::write(&path, "4").unwrap();
        assert_eq!((watched.current(), watched.failure()), (4, None));
    }

    #[test]
    fn what_failed_is_read_again_after_a_while_though_the_files_are_the_same() {
        use std::sync::{
            Arc,
            atomic::{AtomicU32, Ordering::SeqCst},
        };

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let reads = Arc::new(AtomicU32::new(0));
        let read = {
            let reads = Arc::clone(&reads);
            // The second reading fails.
            move || match reads.fetch_add(1, SeqCst) {
                1 => Err(io::Error::other("not yet")),
                number => Ok(number),
            }
        };
        let watched = WatchedFiles::load("number", vec![path.clone()], read).unwrap();
        fs::write(&path, "changed").unwrap();
        assert_eq!((watched.current(), watched.current()), (0, 0));
        assert_eq!(reads.load(SeqCst), 2, "a failure is not repeated at each use");
        let watched = watched.again(Duration::ZERO);
        assert_eq!((watched.current(), watched.current()), (2, 2));
        assert_eq!(reads.load(SeqCst), 3);
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_is_tried_again_after_a_while() {
        use std::sync::{
            Arc,
            atomic::{AtomicU32, Ordering::SeqCst},
        };

        let folder = tempfile::tempdir().unwrap();
        let reads = Arc::new(AtomicU32::new(0));
        let read = {
            let reads = Arc::clone(&reads);
            move || Ok::<_, io::Error>(reads.fetch_add(1, SeqCst))
        };
        let watched = WatchedFiles::load("number", vec![folder.path().join("none")], read).unwrap();
        assert_eq!(watched.current(), 0, "not at each use");
        let watched = watched.again(Duration::ZERO);
        assert_eq!((watched.current(), watched.current()), (1, 2));
    }
}
