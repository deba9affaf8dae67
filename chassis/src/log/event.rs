//! Events that programs may rely on: each has a name and an id, which stay the same between versions.
//!
//! A log line says `event=NAME`. An entry of the journal also has the id as `MESSAGE_ID` (`systemd.journal-fields(7)`).

use std::fmt;

/// A kind of event; give it to a macro of `tracing` as `event = %event::FIREWALL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// In log lines.
    pub name: &'static str,
    /// 128 random bits in hex.
    pub id: &'static str,
}

impl Event {
    /// The event of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        EVENTS.iter().copied().find(|event| event.name == name)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! events {
    ($($(#[$doc:meta])+ $constant:ident = $name:literal, $id:literal;)+) => {
        $($(#[$doc])+ pub const $constant: Event = Event { name: $name, id: $id };)+

        /// Every event; `docs/administration.md` lists them.
        pub const EVENTS: &[Event] = &[$($constant),+];
    };
}

events! {
    /// A backend of a model, or another target of a dial, is not reachable.
    BACKEND_UNREACHABLE = "backend-unreachable", "d18f3a292d6547e78beb75882f168bd6";
    /// A certificate is not issued or not renewed.
    CERTIFICATE = "certificate", "ceb733cb070d4f48a8b9d59308694408";
    /// The coordinator refused this device.
    DEVICE_REFUSED = "device-refused", "33f263f8a75547d9a1e6371a3df32a12";
    /// The disk is full.
    DISK_FULL = "disk-full", "1bcb1f9bd6d849dc88318ce8c172c639";
    /// Another program removed this node's firewall rules.
    FIREWALL = "firewall", "e6ac89229f2841e19c7bc62d6c70a684";
    /// The key of this node has expired.
    KEY_EXPIRED = "key-expired", "d74f27774631431d964dda7d89f73b46";
    /// The agent's state is not stored: a restart loses the change.
    STATE_NOT_STORED = "state-not-stored", "d5698814fe3c45b6be77de4d81a8176b";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_ids_are_unique_and_an_id_is_what_the_journal_takes() {
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        assert!(EVENTS.iter().all(|event| event.id.len() == 32 && event.id.chars().all(is_hex)));
        let count =
            |part: fn(&Event) -> &str| EVENTS.iter().map(part).collect::<BTreeSet<_>>().len();
        assert_eq!((count(|it| it.name), count(|it| it.id)), (EVENTS.len(), EVENTS.len()));
        assert!(EVENTS.iter().all(|event| Event::named(event.name) == Some(*event)));
        assert_eq!(Event::named("of a stranger"), None);
    }
}
