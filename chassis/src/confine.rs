//! Restricts writes to the file system with Landlock (landlock(7)).
//!
//! Reading, connecting and open files are not restricted. The restriction is permanent and is inherited.

use std::{fmt, fs::File, io, os::fd::AsFd};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};

/// The first version of Landlock that restricts every kind of write (Linux 6.2).
const COMPLETE: ABI = ABI::V3;

/// Which writes the kernel restricts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// All.
    Full,
    /// All but truncation (before Linux 6.2).
    Partial,
    /// None: the kernel has no Landlock.
    None,
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "Landlock restricts writes",
            Self::Partial => {
                "Landlock is older than Linux 6.2: it restricts writes, but not truncation"
            }
            Self::None => "there is no Landlock: only users and modes restrict writes",
        })
    }
}

/// Restricts this thread, and threads and processes that it starts, to writes at and below `places`: open files or
/// directories (`O_PATH` suffices). Sets `PR_SET_NO_NEW_PRIVS`. [`Enforcement`] says what the kernel supports.
///
/// # Errors
///
/// The kernel has Landlock and refuses the rules.
pub fn write_only<P: AsFd>(places: &[P]) -> io::Result<Enforcement> {
    let whole = AccessFs::from_write(COMPLETE);
    let mut rules =
        Ruleset::default().handle_access(whole).and_then(Ruleset::create).map_err(error)?;
    for place in places {
        let access = rights(place)?;
        rules = rules.add_rule(PathBeneath::new(place.as_fd(), access)).map_err(error)?;
    }
    let status = rules.restrict_self().map_err(error)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforcement::Full,
        RulesetStatus::PartiallyEnforced => Enforcement::Partial,
        RulesetStatus::NotEnforced => Enforcement::None,
    })
}

/// What this kernel supports. Restricts nothing.
#[must_use]
pub fn enforcement() -> Enforcement {
    let takes = |abi| {
        let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        rules.handle_access(AccessFs::from_write(abi)).and_then(Ruleset::create).is_ok()
    };
    if takes(COMPLETE) {
        Enforcement::Full
    } else if takes(ABI::V1) {
        Enforcement::Partial
    } else {
        Enforcement::None
    }
}

/// The writes to allow at a place; creating and removing only apply to directories.
fn rights<P: AsFd>(place: &P) -> io::Result<BitFlags<AccessFs>> {
    let whole = AccessFs::from_write(COMPLETE);
    let is_directory = File::from(place.as_fd().try_clone_to_owned()?).metadata()?.is_dir();
    Ok(if is_directory { whole } else { whole & AccessFs::from_file(COMPLETE) })
}

fn error(error: RulesetError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    /// Confines a thread of its own: the rest of the test program goes on as before.
    fn confined<T: Send>(places: &[File], work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    assert_eq!(write_only(places).unwrap(), enforcement());
                    work()
                })
                .join()
                .unwrap()
        })
    }

    #[test]
    fn a_thread_is_confined_as_far_as_the_kernel_can_and_without_landlock_goes_on() {
        confined(&[], || ());
    }

    #[test]
    #[ignore = "needs: landlock"]
    fn writing_is_confined_and_reading_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("own"), dir.path().join("other"));
        let (file, beside) = (dir.path().join("file"), dir.path().join("beside"));
        for folder in [&own, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("old"), "old").unwrap();
        }
        fs::write(&file, "old").unwrap();
        fs::write(&beside, "old").unwrap();
        let places = [File::open(&own).unwrap(), File::open(&file).unwrap()];

        confined(&places, || {
            let denied = |result: io::Result<()>| {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            };
            denied(fs::write(other.join("new"), ""));
            denied(fs::write(other.join("old"), ""));
            denied(fs::remove_file(other.join("old")));
            denied(fs::create_dir(other.join("new")));
            denied(fs::rename(other.join("old"), other.join("new")));
            denied(fs::write(&beside, ""));
            denied(fs::remove_file(&file));
            assert_eq!(fs::read(&beside).unwrap(), b"old");

            fs::write(own.join("new"), "new").unwrap();
            fs::rename(own.join("new"), own.join("old")).unwrap();
            fs::remove_file(own.join("old")).unwrap();
            fs::write(&file, "new").unwrap();
        });
        fs::write(&beside, "this thread may").unwrap();
    }
}
