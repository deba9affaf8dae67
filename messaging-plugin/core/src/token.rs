//! Tokens that clients hold and send back: positions in syncs, in a room's history and among to-device messages.
//!
//! A position counts every change that syncs show. A token names its generation too, which a restored backup changes: a
//! position that was given out before may mean something else now. What cannot be used starts anew, without an error,
//! since clients repeat a refused request for ever.

/// A position in the server's one order.
pub type Position = u64;

/// What changes when positions that clients hold lose their meaning.
pub type Generation = u32;

/// What separates the two positions of a sync that did not show all to-device messages.
const PARTIAL: char = '~';

/// Where the order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The present generation.
    pub generation: Generation,
    /// The latest position that was given out.
    pub latest: Position,
}

/// Where a sync continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From nothing: everything is sent.
    Start,
    /// After this position.
    After(Position),
}

/// What a token is for. It is the token's first letter, so that one is not taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sync,
    Page,
    ToDevice,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Sync => 's',
            Self::Page => 'p',
            Self::ToDevice => 'd',
        }
    }
}

impl Clock {
    /// The `next_batch` of a sync that shows what happened up to `position`.
    #[must_use]
    pub fn sync_token(&self, position: Position) -> String {
        self.write(Kind::Sync, position)
    }

    /// The `next_batch` of a sync that shows what happened up to `position`, but to-device messages only up to
    /// `to_device`, since there are too many for one response.
    #[must_use]
    pub fn partial_sync_token(&self, position: Position, to_device: Position) -> String {
        format!("{}{PARTIAL}{}", self.sync_token(position), self.to_device_token(to_device))
    }

    /// Reads the `since` of a sync. A missing, unknown or older token starts anew.
    #[must_use]
    pub fn read_sync(&self, since: Option<&str>) -> Since {
        since.and_then(|text| self.read(Kind::Sync, text)).map_or(Since::Start, Since::After)
    }

    /// Reads up to where the `since` of a sync acknowledges to-device messages.
    #[must_use]
    pub fn read_acknowledged(&self, since: Option<&str>) -> Since {
        match since.and_then(|text| text.split_once(PARTIAL)) {
            Some((_, to_device)) => self.read_to_device(Some(to_device)),
            None => self.read_sync(since),
        }
    }

    /// The `prev_batch` of either sync, and `start` and `end` of `/messages`: a place in a room's history, after the
    /// event at `position`.
    #[must_use]
    pub fn page_token(&self, position: Position) -> String {
        self.write(Kind::Page, position)
    }

    /// Reads a `from` or `to` of `/messages`, or `at` of `/members`: a page token, or the `next_batch` of a sync. An
    /// unknown or older token means the present end.
    #[must_use]
    pub fn read_page(&self, text: &str) -> Position {
        self.read(Kind::Page, text).or_else(|| self.read(Kind::Sync, text)).unwrap_or(self.latest)
    }

    /// The `next_batch` of the to-device extension.
    #[must_use]
    pub fn to_device_token(&self, position: Position) -> String {
        self.write(Kind::ToDevice, position)
    }

    /// Reads the `since` of the to-device extension: what was sent up to it is acknowledged. An unknown or older token
    /// acknowledges nothing.
    #[must_use]
    pub fn read_to_device(&self, since: Option<&str>) -> Since {
        since.and_then(|text| self.read(Kind::ToDevice, text)).map_or(Since::Start, Since::After)
    }

    fn write(&self, kind: Kind, position: Position) -> String {
        format!("{}{}_{position}", kind.letter(), self.generation)
    }

    /// The position of a token that was given out in this generation.
    fn read(&self, kind: Kind, text: &str) -> Option<Position> {
        let text = match (kind, text.split_once(PARTIAL)) {
            (Kind::Sync, Some((sync, to_device))) => {
                self.read(Kind::ToDevice, to_device)?;
                sync
            }
            _ => text,
        };
        let (generation, position) = text.strip_prefix(kind.letter())?.split_once('_')?;
        let generation: Generation = number(generation)?;
        let position: Position = number(position)?;
        (generation == self.generation && position <= self.latest).then_some(position)
    }
}

/// A number of digits only, without leading zeros.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Clock, Since};

    const CLOCK: Clock = Clock { generation: 3, latest: 100 };

    #[test]
    fn a_token_is_read_as_it_was_written() {
        assert_eq!(CLOCK.sync_token(42), "s3_42");
        assert_eq!(CLOCK.read_sync(Some("s3_42")), Since::After(42));
        assert_eq!(CLOCK.read_sync(Some("s3_0")), Since::After(0));
        assert_eq!(CLOCK.read_to_device(Some(&CLOCK.to_device_token(7))), Since::After(7));
        assert_eq!(CLOCK.read_page(&CLOCK.page_token(7)), 7);
    }

    #[test]
    fn both_syncs_lead_into_the_history() {
        assert_eq!(CLOCK.read_page("p3_9"), 9);
        assert_eq!(CLOCK.read_page("s3_9"), 9);
        assert_eq!(CLOCK.read_page("d3_9"), CLOCK.latest);
    }

    #[test]
    fn a_sync_that_did_not_show_all_to_device_messages_acknowledges_those_that_it_showed() {
        let token = CLOCK.partial_sync_token(42, 7);
        assert_eq!((token.as_str(), CLOCK.read_page(&token)), ("s3_42~d3_7", 42));
        assert_eq!(CLOCK.read_sync(Some(&token)), Since::After(42));
        assert_eq!(CLOCK.read_acknowledged(Some(&token)), Since::After(7));
        assert_eq!(CLOCK.read_acknowledged(Some("s3_42")), Since::After(42));
        for text in ["s3_42~", "s3_42~d2_7", "s3_42~s3_7", "s3_42~d3_101", "s3_42~d3_7~d3_7"] {
            assert_eq!(CLOCK.read_sync(Some(text)), Since::Start, "{text}");
            assert_eq!(CLOCK.read_acknowledged(Some(text)), Since::Start, "{text}");
        }
        assert_eq!(CLOCK.read_acknowledged(None), Since::Start);
    }

    #[test]
    fn what_cannot_be_used_starts_anew() {
        assert_eq!(CLOCK.read_sync(None), Since::Start);
        for text in [
            "",
            "s",
            "s3",
            "s3_",
            "s2_42",
            "s4_42",
            "s3_101",
            "p3_42",
            "d3_42",
            "s3_042",
            "s+3_42",
            "s3_+42",
            "s3_4 ",
            "s3_-1",
            "s3_99999999999999999999",
            "S3_42",
            "s3_4_2",
            "0",
            "s１_2",
            "\u{0}",
        ] {
            assert_eq!(CLOCK.read_sync(Some(text)), Since::Start, "{text}");
        }
        assert_eq!(CLOCK.read_page("s2_4"), CLOCK.latest);
        assert_eq!(CLOCK.read_to_device(Some("d2_4")), Since::Start);
    }

    #[test]
    fn a_restored_backup_starts_anew() {
        let restored = Clock { generation: 4, latest: 60 };
        let token = CLOCK.sync_token(50);
        assert_eq!(restored.read_sync(Some(&token)), Since::Start);
        assert_eq!(restored.read_page(&token), 60);
    }

    proptest! {
        #[test]
        fn any_text_is_a_position_that_was_given_out_or_a_start(
            text in "([spd][0-9]{0,3}_[0-9]{0,22}(~d[0-9]{0,3}_[0-9]{0,22})?)|.{0,40}", generation: u32, latest: u64,
        ) {
            let clock = Clock { generation, latest };
            if let Since::After(position) = clock.read_sync(Some(&text)) {
                prop_assert!(position <= latest);
                let token = match clock.read_acknowledged(Some(&text)) {
                    Since::After(to_device) if text.contains('~') => clock.partial_sync_token(position, to_device),
                    Since::Start | Since::After(_) => clock.sync_token(position),
                };
                prop_assert_eq!(token, text.clone());
            }
            prop_assert!(clock.read_page(&text) <= latest);
        }

        #[test]
        fn tokens_survive(generation: u32, latest: u64, position: u64) {
            let clock = Clock { generation, latest: latest.max(position) };
            prop_assert_eq!(clock.read_sync(Some(&clock.sync_token(position))), Since::After(position));
            prop_assert_eq!(clock.read_page(&clock.page_token(position)), position);
        }
    }
}
