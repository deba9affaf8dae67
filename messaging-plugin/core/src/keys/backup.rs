//! Backed up sessions (specification, client-server API, "Server-side key backups"). Their content is encrypted.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int};

use crate::{Error, json};

/// Most sessions of one version.
pub const SESSIONS_MAX: usize = 100_000;

/// Most versions that a person has; the oldest are deleted.
pub const VERSIONS_MAX: usize = 5;

/// Largest session, in bytes of JSON. Clients write about 1,000.
pub const SESSION_MAX: usize = 8_192;

/// Longest id of a room or session, in bytes.
pub const ID_MAX: usize = 255;

/// Largest description of a backup, in bytes of JSON.
pub const DESCRIPTION_MAX: usize = 65_536;

/// A session as it is backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The first message that it decrypts.
    pub first_message_index: u64,
    /// How often its keys were forwarded.
    pub forwarded_count: u64,
    /// Whether the device that backed it up verified where it is from.
    pub is_verified: bool,
    /// `session_data`, as canonical JSON.
    pub data: String,
}

/// How a backup is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The algorithm.
    pub algorithm: String,
    /// `auth_data`, as canonical JSON.
    pub auth_data: String,
    /// The version that an update names again.
    pub version: Option<String>,
}

impl Session {
    /// Reads a session.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond [`SESSION_MAX`]; [`Error::BadJson`] if a member is missing or wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > SESSION_MAX {
            return Err(Error::TooLarge { what: "the session", max: "8,192 bytes" });
        }
        let object = json::content(bytes)?;
        let number = |name: &str| match object.get(name) {
            Some(CanonicalJsonValue::Integer(number)) => u64::try_from(i64::from(*number)).ok(),
            _ => None,
        };
        let wrong = |name: &str| Error::BadJson(format!("`{name}` of a session is missing"));
        let index = "first_message_index";
        let count = "forwarded_count";
        let Some(CanonicalJsonValue::Bool(is_verified)) = object.get("is_verified") else {
            return Err(wrong("is_verified"));
        };
        let data = object.get("session_data").filter(|data| data.is_object());
        Ok(Self {
            first_message_index: number(index).ok_or_else(|| wrong(index))?,
            forwarded_count: number(count).ok_or_else(|| wrong(count))?,
            is_verified: *is_verified,
            data: data.ok_or_else(|| wrong("session_data"))?.to_string(),
        })
    }

    /// Whether this session replaces the one that is stored under its id (specification, client-server API, "Backup
    /// algorithms", "Conflicts"): a verified one, else that which decrypts more, else that which was forwarded less.
    #[must_use]
    pub fn is_better_than(&self, stored: &Self) -> bool {
        let rank = |of: &Self| (!of.is_verified, of.first_message_index, of.forwarded_count);
        rank(self) < rank(stored)
    }

    /// The session as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::BadJson`] if the stored data was damaged.
    pub fn to_json(&self) -> Result<String, Error> {
        let number = |number: u64| {
            let number = i64::try_from(number).ok().and_then(|number| Int::try_from(number).ok());
            number.map(CanonicalJsonValue::Integer).ok_or_else(damaged)
        };
        let data = json::content(self.data.as_bytes())?;
        let object = CanonicalJsonObject::from([
            ("first_message_index".to_owned(), number(self.first_message_index)?),
            ("forwarded_count".to_owned(), number(self.forwarded_count)?),
            ("is_verified".to_owned(), self.is_verified.into()),
            ("session_data".to_owned(), data.into()),
        ]);
        Ok(CanonicalJsonValue::Object(object).to_string())
    }
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond [`DESCRIPTION_MAX`]; [`Error::BadJson`] if a member is missing or wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > DESCRIPTION_MAX {
            return Err(Error::TooLarge { what: "the backup's description", max: "65,536 bytes" });
        }
        let object = json::content(bytes)?;
        let text = |name: &str| object.get(name).and_then(CanonicalJsonValue::as_str);
        let algorithm = text("algorithm").filter(|text| !text.is_empty() && text.len() <= ID_MAX);
        let auth_data = object.get("auth_data").filter(|data| data.is_object());
        let (Some(algorithm), Some(auth_data)) = (algorithm, auth_data) else {
            return Err(Error::BadJson("a backup has `algorithm` and `auth_data`".to_owned()));
        };
        Ok(Self {
            algorithm: algorithm.to_owned(),
            auth_data: auth_data.to_string(),
            version: text("version").map(str::to_owned),
        })
    }
}

fn damaged() -> Error {
    Error::BadJson("a stored session is damaged".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Description, SESSION_MAX, Session};
    use crate::Error;

    fn json() -> Value {
        json!({
            "first_message_index": 3,
            "forwarded_count": 1,
            "is_verified": true,
            "session_data": {"ciphertext": "c", "ephemeral": "e", "mac": "m"},
        })
    }

    fn parse(value: &Value) -> Result<Session, Error> {
        Session::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_session_is_read_and_written() {
        let session = parse(&json()).unwrap();
        assert_eq!(session.to_json().unwrap(), json().to_string());
        for (member, value) in [
            ("first_message_index", json!(-1)),
            ("first_message_index", json!("1")),
            ("forwarded_count", json!(null)),
            ("is_verified", json!(1)),
            ("session_data", json!("text")),
        ] {
            let mut wrong = json();
            wrong[member] = value;
            assert!(matches!(parse(&wrong), Err(Error::BadJson(_))), "{wrong}");
        }
        let mut large = json();
        large["session_data"]["ciphertext"] = "x".repeat(SESSION_MAX).into();
        assert!(matches!(parse(&large), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_description_has_an_algorithm() {
        let description = Description::parse(
            br#"{"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"a": 1}, "version": "2"}"#,
        );
        let description = description.unwrap();
        assert_eq!(description.auth_data, r#"{"a":1}"#);
        assert_eq!(description.version.as_deref(), Some("2"));
        for bad in
            ["{}", r#"{"algorithm":"","auth_data":{}}"#, r#"{"algorithm":"a","auth_data":1}"#]
        {
            assert!(matches!(Description::parse(bad.as_bytes()), Err(Error::BadJson(_))), "{bad}");
        }
    }

    #[test]
    fn the_better_session_is_kept() {
        let stored = parse(&json()).unwrap();
        let with = |change: fn(&mut Session)| {
            let mut session = stored.clone();
            change(&mut session);
            session.is_better_than(&stored)
        };
        assert!(!with(|_| ()), "the same session replaces nothing");
        assert!(with(|session| session.first_message_index = 2));
        assert!(!with(|session| session.first_message_index = 4));
        assert!(with(|session| session.forwarded_count = 0));
        assert!(!with(|session| session.forwarded_count = 2));
        assert!(!with(|session| {
            session.is_verified = false;
            session.first_message_index = 0;
        }));
        assert!(with(|session| {
            session.first_message_index = 2;
            session.forwarded_count = 9;
        }));
    }

    proptest! {
        /// Of any sessions one is the best, in whatever order they are uploaded.
        #[test]
        fn the_order_of_uploads_does_not_matter(mut sessions in prop::collection::vec(session(), 1..6), seed: usize) {
            let best = |sessions: &[Session]| {
                sessions.iter().skip(1).fold(sessions[0].clone(), |kept, next| {
                    if next.is_better_than(&kept) { next.clone() } else { kept }
                })
            };
            let rank = |of: &Session| (of.is_verified, of.first_message_index, of.forwarded_count);
            let first = best(&sessions);
            let middle = seed % sessions.len();
            sessions.rotate_left(middle);
            prop_assert_eq!(rank(&best(&sessions)), rank(&first));
            prop_assert!(sessions.iter().all(|session| !session.is_better_than(&first)));
        }

        #[test]
        fn what_is_read_is_written_and_read_again(session in session()) {
            let text = session.to_json().unwrap();
            prop_assert_eq!(Session::parse(text.as_bytes()), Ok(session));
        }
    }

    fn session() -> impl Strategy<Value = Session> {
        let number = || prop_oneof![0..4_u64, Just((1 << 53) - 1)];
        (number(), number(), any::<bool>()).prop_map(|(index, count, is_verified)| Session {
            first_message_index: index,
            forwarded_count: count,
            is_verified,
            data: r#"{"ciphertext":"c"}"#.to_owned(),
        })
    }
}
