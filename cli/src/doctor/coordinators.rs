//! The coordinators that share the database (`[shared]` in `coordinator.toml`).

use std::{collections::BTreeSet, path::Path};

use coordinator_api::{Coordinator, endpoints::LIST_COORDINATORS, settings::Settings};
use messages::message;

use crate::{client::Client, finding::Finding};

const ID: &str = "coordinators";

/// Asks the one of this machine, which only root may do. One that does not answer is reported with its services.
pub(super) async fn check(root: &Path, settings: &Settings) -> Vec<Finding> {
    if settings.shared.is_none() {
        return Vec::new();
    }
    let asked = Client::coordinator(root).call(&LIST_COORDINATORS, &[], &()).await;
    asked.map(|all| judge(&all)).unwrap_or_default()
}

fn judge(all: &[Coordinator]) -> Vec<Finding> {
    let (serving, ended): (Vec<_>, Vec<_>) = all.iter().partition(|it| it.serving);
    let names: Vec<_> = serving.iter().map(|it| format!("{} ({})", it.name, it.version)).collect();
    let names = names.join(", ");
    let first = if serving.len() > 1 {
        Finding::ok(ID, message!("coordinators-share", number = serving.len(), names))
    } else {
        let fix = message!("fix-coordinator-alone");
        Finding::warning(ID, message!("coordinator-alone", names), fix)
    };
    // One that was started again has two rows for a while.
    let mut ended: BTreeSet<_> = ended.into_iter().map(|it| &it.name).collect();
    serving.iter().for_each(|it| _ = ended.remove(&it.name));
    let ended = ended.into_iter().map(|name| {
        let text = message!("coordinator-ended", name);
        Finding::warning(ID, text, message!("fix-coordinator-ended"))
    });
    std::iter::once(first).chain(ended).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn coordinator(name: &str, serving: bool) -> Coordinator {
        Coordinator { name: name.into(), version: "1.2.3".into(), started: None, serving }
    }

    #[test]
    fn those_that_serve_are_named_and_one_that_ended_is_a_warning() {
        let found = judge(&[coordinator("one", true), coordinator("two", true)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Ok);
        assert!(found[0].text.to_string().contains("one (1.2.3), two (1.2.3)"), "{found:?}");

        let found = judge(&[coordinator("one", true), coordinator("two", false)]);
        let severities: Vec<_> = found.iter().map(|it| it.severity).collect();
        assert_eq!(severities, [Severity::Warning, Severity::Warning], "{found:?}");
        assert!(found[0].text.to_string().contains("one"), "{found:?}");
        assert!(found[1].text.to_string().contains("two"), "{found:?}");
        let again = [("one", true), ("one", false), ("two", false), ("two", false)];
        assert_eq!(judge(&again.map(|(name, serving)| coordinator(name, serving))), found);
    }
}
