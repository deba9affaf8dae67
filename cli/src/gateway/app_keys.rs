//! Keys of apps, which are valid until somebody removes the app.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use ai_gateway_api::{apps::App, endpoints::LIST_APPS};
use coordinator_core::time;
use messages::message;

use crate::{client::Client, finding::Finding};

const ID: &str = "app-keys";
/// After so long without use a key is likely to be forgotten.
const UNUSED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Asks the gateway, which only root may do.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let asked = async { Client::gateway(root).call(&LIST_APPS, &[], &()).await };
    match asked.await {
        Ok(apps) => judge(&apps, SystemTime::now()),
        Err(error) => {
            let text = message!("cannot-be-asked", error = format!("{error:#}"));
            vec![Finding::warning(ID, text, message!("fix-app-keys-unknown"))]
        }
    }
}

fn judge(apps: &[App], now: SystemTime) -> Vec<Finding> {
    let since = now.checked_sub(UNUSED).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = time::to_rfc3339(time::from_system(since));
    let since = since.split('T').next().unwrap_or_default();
    let unused = |app: &App| {
        let (name, created) = (&app.name, app.created.split('T').next().unwrap_or_default());
        let text = match app.last_used.as_deref() {
            Some(day) if day <= since => message!("app-key-unused", name, day),
            None if created <= since => message!("app-key-never-used", name, created),
            Some(_) | None => return None,
        };
        Some(Finding::warning(ID, text, message!("fix-app-key", name)))
    };
    let mut findings: Vec<_> = apps.iter().filter_map(unused).collect();
    // None expires, which is no fault.
    findings.push(Finding::ok(ID, message!("app-keys", count = apps.len())));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn app(name: &str, created: &str, last_used: Option<&str>) -> App {
        let created = format!("{created}T01:02:03Z");
        App { name: name.parse().unwrap(), created, last_used: last_used.map(ToOwned::to_owned) }
    }

    #[test]
    fn a_key_that_was_not_used_for_90_days_is_named() {
        // 2026-11-22.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_660);
        let apps = [
            app("old", "2025-01-01", Some("2026-08-24")),
            app("used", "2025-01-01", Some("2026-08-25")),
            app("never", "2026-08-24", None),
            app("new", "2026-08-25", None),
        ];
        let found = judge(&apps, now);
        let texts: Vec<_> = found.iter().map(|it| (it.severity, it.text.to_string())).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[0].0 == Severity::Warning && texts[0].1.contains("old"), "{texts:?}");
        assert!(texts[1].0 == Severity::Warning && texts[1].1.contains("never"), "{texts:?}");
        assert_eq!(found[0].fix_text(), "sudo maru app remove old");
        assert_eq!(texts[2].0, Severity::Ok);
    }

    #[tokio::test]
    async fn a_gateway_that_does_not_run_is_no_proof() {
        let root = tempfile::tempdir().unwrap();
        let [found] = &check(root.path()).await[..] else { panic!("one") };
        assert_eq!(found.severity, Severity::Warning);
    }
}
