//! `required_state`: which state a client wants of a room.

use std::collections::BTreeSet;

use ruma::{UserId, events::StateEventType};

/// Which state a client wants: pairs of a type and a state key.
///
/// `*` stands for any type or key, `$ME` for the person's own user id, `$LAZY` for the members whose events are in the
/// timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredState(BTreeSet<(String, String)>);

/// For whom state is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The person.
    pub user: &'a UserId,
    /// The senders of the timeline's events. Their member events are sent each time, so that a lost response loses
    /// none.
    pub senders: &'a BTreeSet<&'a UserId>,
}

impl RequiredState {
    /// Adds the entries of a request.
    pub fn extend(&mut self, entries: &[(StateEventType, String)]) {
        self.0.extend(entries.iter().map(|(kind, key)| (kind.to_string(), key.clone())));
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a state event is wanted.
    #[must_use]
    pub fn matches(&self, kind: &StateEventType, key: &str, reader: Reader<'_>) -> bool {
        let kind = kind.to_string();
        let is_kind = |wanted: &str| wanted == "*" || wanted == kind;
        let is_key = |wanted: &str| match wanted {
            "*" => true,
            "$ME" => key == reader.user,
            "$LAZY" => {
                kind == "m.room.member" && reader.senders.iter().any(|sender| *sender == key)
            }
            _ => wanted == key,
        };
        self.0.iter().any(|(kind, key)| is_kind(kind) && is_key(key))
    }

    /// What is wanted here and not in `other`. A wildcard counts as one entry, so an event may be wanted by both.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ruma::UserId;

    use super::{Reader, RequiredState};
    use crate::testing::user;

    fn required(entries: &[(&str, &str)]) -> RequiredState {
        let entries: Vec<_> =
            entries.iter().map(|(kind, key)| ((*kind).into(), (*key).to_owned())).collect();
        let mut required = RequiredState::default();
        required.extend(&entries);
        required
    }

    #[test]
    fn entries_choose_state() {
        let (kim, min) = (user("kim"), user("min"));
        let senders: BTreeSet<&UserId> = BTreeSet::from([&*min]);
        for (entry, kind, key, expected) in [
            (("m.room.name", ""), "m.room.name", "", true),
            (("m.room.name", ""), "m.room.topic", "", false),
            (("m.space.child", "*"), "m.space.child", "!r:maru.test", true),
            (("*", "*"), "test", "x", true),
            (("*", ""), "test", "", true),
            (("*", ""), "test", "x", false),
            (("m.room.member", "$ME"), "m.room.member", "@kim:maru.test", true),
            (("m.room.member", "$ME"), "m.room.member", "@min:maru.test", false),
            (("m.room.member", "$LAZY"), "m.room.member", "@min:maru.test", true),
            (("m.room.member", "$LAZY"), "m.room.member", "@kim:maru.test", false),
            (("*", "$LAZY"), "test", "@min:maru.test", false),
            (("m.room.member", "@seo:maru.test"), "m.room.member", "@seo:maru.test", true),
        ] {
            let reader = Reader { user: &kim, senders: &senders };
            assert_eq!(
                required(&[entry]).matches(&kind.into(), key, reader),
                expected,
                "{entry:?} {kind} {key}"
            );
        }
    }

    #[test]
    fn new_entries_are_those_that_were_not_there() {
        let old = required(&[("a", ""), ("b", "*")]);
        let new = required(&[("a", ""), ("b", "x"), ("c", "")]);
        assert_eq!(new.without(&old), required(&[("b", "x"), ("c", "")]));
        assert!(old.without(&old).is_empty() && RequiredState::default().is_empty());
    }
}
