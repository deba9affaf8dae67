//! Checks of `openclaw.json` and of the database of conversations, as the running gateway has them.

use std::path::Path;

use ai_gateway_api::{config::ConfigReport, endpoints::CONFIG};
use messages::message;

use crate::{client::Client, finding::Finding};

const ID: &str = "openclaw";
const CONVERSATIONS: &str = "conversations";

/// Asks the gateway, which only root may do. One that does not answer is reported with its services.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let asked = Client::gateway(root).call(&CONFIG, &[], &()).await;
    asked.map(|report| judge(&report)).unwrap_or_default()
}

fn judge(report: &ConfigReport) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(error) = &report.trouble {
        let text = message!("openclaw-former", error);
        findings.push(Finding::error(ID, text, message!("fix-openclaw")));
    }
    if report.restart {
        let text = message!("openclaw-waits");
        findings.push(Finding::warning(ID, text, message!("fix-restart")));
    }
    findings.extend(report.warnings.iter().map(|warning| Finding::ok(ID, warning.clone())));
    if findings.is_empty() {
        findings.push(Finding::ok(ID, message!("openclaw-used")));
    }
    findings.push(match &report.not_kept {
        Some(error) => {
            let text = message!("conversations-not-kept", error);
            Finding::error(CONVERSATIONS, text, message!("fix-conversations"))
        }
        None => Finding::ok(CONVERSATIONS, message!("conversations-kept")),
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn a_file_that_is_not_in_use_is_worse_than_one_that_waits() {
        let report = ConfigReport {
            trouble: Some("`models` is wrong".to_owned()),
            restart: true,
            warnings: vec!["`cron` has no effect in Maru".to_owned()],
            not_kept: Some("there is no key".to_owned()),
        };
        let found = judge(&report);
        let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Ok, Severity::Error]);
        assert!(found[0].text.to_string().contains("`models` is wrong"), "{found:?}");
        assert!(found[2].text.to_string().contains("`cron`"), "{found:?}");
        assert!(found[3].text.to_string().contains("there is no key"), "{found:?}");
        let fine = judge(&ConfigReport::default());
        assert_eq!(fine.iter().map(|it| it.id).collect::<Vec<_>>(), [ID, CONVERSATIONS]);
        assert!(fine.iter().all(|it| it.severity == Severity::Ok));
    }
}
