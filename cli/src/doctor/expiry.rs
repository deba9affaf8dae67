//! Keys that expire soon: of devices, of programs and people who administer, and keys with which devices join.

use std::{path::Path, time::SystemTime};

use coordinator_api::{
    ApiKey, Device, Key, KeyState,
    endpoints::{LIST_API_KEYS, LIST_DEVICES, LIST_KEYS},
};
use coordinator_core::time::{self, DAY, Millis};
use messages::{Message, message};
use node_agent_api::Status;

use crate::{client::Client, finding::Finding};

const ID: &str = "expiry";
/// What expires in fewer days is a warning.
pub(super) const SOON_DAYS: i64 = 14;
/// So many are named; the rest is counted.
const NAMED_MAX: usize = 20;

/// Asks the coordinator, which only root may do. One that does not answer is reported with its services.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let client = Client::coordinator(root);
    let devices = client.call(&LIST_DEVICES, &[], &()).await;
    let api_keys = client.call(&LIST_API_KEYS, &[], &()).await;
    let keys = client.call(&LIST_KEYS, &[], &()).await;
    let (Ok(devices), Ok(api_keys), Ok(keys)) = (devices, api_keys, keys) else {
        return Vec::new();
    };
    judge(&devices, &api_keys, &keys, time::from_system(SystemTime::now()))
}

fn judge(devices: &[Device], api_keys: &[ApiKey], keys: &[Key], now: Millis) -> Vec<Finding> {
    let devices = devices.iter().filter_map(|device| {
        let name = if device.name.is_empty() { &device.hostname } else { &device.name };
        let days = soon(device.key_expiry.as_deref()?, now)?;
        let fix = format!("sudo maru device extend {}", device.id);
        Some(Finding::warning(ID, message!("device-expires", name, days), fix))
    });
    let api_keys = api_keys.iter().filter_map(|key| {
        let days = soon(&key.expires, now)?;
        let text = message!("api-key-expires", name = &key.name, days);
        Some(Finding::warning(ID, text, message!("fix-api-key")))
    });
    let keys = keys.iter().filter(|key| key.state == KeyState::Valid).filter_map(|key| {
        let days = soon(&key.expires, now)?;
        // An invitation is meant to expire soon.
        let life = time::parse_rfc3339(&key.expires)? - time::parse_rfc3339(&key.created)?;
        let text = message!("key-expires", id = key.id, days);
        (life > SOON_DAYS * DAY).then(|| Finding::warning(ID, text, message!("fix-key")))
    });
    let mut findings: Vec<_> = devices.chain(api_keys).chain(keys).collect();
    let more = findings.len().saturating_sub(NAMED_MAX);
    findings.truncate(NAMED_MAX);
    if more > 0 {
        let text = message!("more-expire", more);
        findings.push(Finding::warning(ID, text, "sudo maru device list; sudo maru key list"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(ID, message!("none-expires", days = SOON_DAYS)));
    }
    findings
}

/// The whole days until a time, if it is soon and not over.
pub(super) fn soon(at: &str, now: Millis) -> Option<i64> {
    let left = time::parse_rfc3339(at)? - now;
    (left > 0 && left < SOON_DAYS * DAY).then_some(left / DAY)
}

/// When this device's own key expires, if that is soon.
pub(crate) fn own(status: &Status) -> Option<Message> {
    let expiry = status.node.as_ref()?.key_expiry.as_deref()?;
    let days = soon(expiry, time::from_system(SystemTime::now()))?;
    Some(message!("own-key-expires", days))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    const NOW: Millis = 1_800_000_000_000;

    fn at(days: i64) -> String {
        time::to_rfc3339(NOW + days * DAY)
    }

    fn key(id: u64, created: i64, expires: i64, state: KeyState) -> Key {
        Key {
            id,
            user: None,
            tags: vec![],
            reusable: true,
            ephemeral: false,
            pre_approved: false,
            state,
            uses: 0,
            created: at(created),
            expires: at(expires),
        }
    }

    #[test]
    fn a_key_that_was_to_live_long_and_expires_soon_is_named() {
        let keys = [
            key(1, -80, 10, KeyState::Valid),
            key(2, -80, 15, KeyState::Valid),
            key(3, -80, 10, KeyState::Used),
            // An invitation.
            key(4, 0, 1, KeyState::Valid),
        ];
        let found = judge(&[], &[], &keys, NOW);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].text.to_string().contains("key 1 "), "{found:?}");
        assert!(found[0].text.to_string().contains("10 days"), "{found:?}");
        assert_eq!(judge(&[], &[], &keys[1..], NOW)[0].severity, Severity::Ok);
    }

    #[test]
    fn a_network_full_of_keys_that_expire_fills_no_page() {
        let many: Vec<_> = (0..100).map(|id| key(id, -80, 1, KeyState::Valid)).collect();
        let found = judge(&[], &[], &many, NOW);
        assert_eq!(found.len(), NAMED_MAX + 1);
        assert!(found[NAMED_MAX].text.to_string().contains("80"), "{:?}", found[NAMED_MAX]);
    }

    #[test]
    fn what_has_expired_or_never_does_is_not_soon() {
        for (days, expected) in [(0, None), (1, Some(1)), (13, Some(13)), (14, None), (-1, None)] {
            assert_eq!(soon(&at(days), NOW), expected, "{days}");
        }
        assert_eq!(soon("never", NOW), None);
    }
}
