//! Whether this machine opens its key by itself, where it could.

use std::path::Path;

use messages::message;

use crate::{
    finding::Finding,
    machine_key::{self, Protection},
};

const ID: &str = "machine-key";
const SEAL: &str = "sudo maru passphrase seal";

/// Looks at the key, which only root may. A key in a file is no finding where no TPM could seal it: `maru audit` says what that means.
pub(super) fn check(root: &Path) -> Option<Finding> {
    let protection = machine_key::protection(root).ok().flatten()?;
    judge(protection, machine_key::has_tpm(), || machine_key::opens_here(root))
}

fn judge(
    protection: Protection,
    has_tpm: bool,
    open: impl FnOnce() -> anyhow::Result<()>,
) -> Option<Finding> {
    match protection {
        Protection::File if has_tpm => {
            Some(Finding::warning(ID, message!("machine-key-in-file"), SEAL))
        }
        Protection::File | Protection::Passphrase => None,
        Protection::Tpm | Protection::Host => Some(match open() {
            Ok(()) => Finding::ok(ID, message!("machine-key-opens")),
            Err(error) => Finding::error(
                ID,
                message!("machine-key-opens-not", error = format!("{error:#}")),
                format!("sudo maru passphrase unlock; {SEAL}"),
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::finding::Severity;

    #[test]
    fn a_key_that_this_machine_does_not_open_is_an_error_and_one_that_a_tpm_could_seal_a_warning() {
        let severity = |protection, has_tpm, opens: bool| {
            let open = || if opens { Ok(()) } else { Err(anyhow!("the TPM was cleared")) };
            judge(protection, has_tpm, open).map(|found| found.severity)
        };
        assert_eq!(severity(Protection::File, true, false), Some(Severity::Warning));
        assert_eq!(severity(Protection::File, false, false), None);
        assert_eq!(severity(Protection::Passphrase, true, false), None);
        for protection in [Protection::Tpm, Protection::Host] {
            assert_eq!(severity(protection, true, true), Some(Severity::Ok));
            assert_eq!(severity(protection, true, false), Some(Severity::Error));
        }
    }
}
