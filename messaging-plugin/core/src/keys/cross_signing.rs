//! A person's identity: the keys with which devices and other people are signed (specification, client-server API,
//! "Cross-signing").

use ruma::{CanonicalJsonValue, UserId};

use super::signed::{Signature, SignedObject, is_public_key};
use crate::Error;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// The other two keys.
    Master,
    /// The person's devices.
    SelfSigning,
    /// Other people's master keys. Nobody else sees it.
    UserSigning,
}

/// A key of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossSigningKey {
    object: SignedObject,
    public: String,
}

/// A person's keys, as far as they were uploaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The master key.
    pub master: Option<CrossSigningKey>,
    /// The key for devices.
    pub self_signing: Option<CrossSigningKey>,
    /// The key for other people.
    pub user_signing: Option<CrossSigningKey>,
}

impl Usage {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Master, Self::SelfSigning, Self::UserSigning];

    /// The name in `usage` and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

impl CrossSigningKey {
    /// Reads a key of this person.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] if it is another person's or for another usage, or is not one Ed25519 key that has its
    /// own name; [`Error::BadJson`] and [`Error::TooLarge`] as [`SignedObject::parse`].
    pub fn parse(bytes: &[u8], user: &UserId, usage: Usage) -> Result<Self, Error> {
        let object = SignedObject::parse(bytes)?;
        if object.text("user_id") != Some(user.as_str()) {
            return Err(Error::InvalidParam("`user_id` is not the sender's".to_owned()));
        }
        let expected = CanonicalJsonValue::Array(vec![usage.as_str().into()]);
        if object.get("usage") != Some(&expected) {
            return Err(Error::InvalidParam(format!("`usage` is not `{}`", usage.as_str())));
        }
        let wrong =
            || Error::InvalidParam("`keys` is one Ed25519 key with its own name".to_owned());
        let keys = object.keys().ok_or_else(wrong)?;
        let [(id, key)] = keys[..] else { return Err(wrong()) };
        if id.strip_prefix("ed25519:") != Some(key) || !is_public_key(key) {
            return Err(wrong());
        }
        let public = key.to_owned();
        Ok(Self { object, public })
    }

    /// The key as a signed object.
    #[must_use]
    pub fn object(&self) -> &SignedObject {
        &self.object
    }

    /// The public key in base64.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The name under which its signatures stand.
    #[must_use]
    pub fn key_id(&self) -> String {
        format!("ed25519:{}", self.public)
    }

    /// The key for `/keys/query`, with further signatures.
    #[must_use]
    pub fn to_json(&self, signatures: Vec<Signature>) -> String {
        let all = self.object.signatures().into_iter().chain(signatures);
        self.object.with_signatures(all).to_json()
    }
}

impl Identity {
    /// The key for a usage.
    #[must_use]
    pub fn get(&self, usage: Usage) -> Option<&CrossSigningKey> {
        match usage {
            Usage::Master => self.master.as_ref(),
            Usage::SelfSigning => self.self_signing.as_ref(),
            Usage::UserSigning => self.user_signing.as_ref(),
        }
    }

    /// The identity after an upload. Keys that an earlier master key signed are not kept.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] if there is no master key, or it did not sign one of the uploaded keys.
    pub fn update(&self, uploaded: Self, user: &UserId) -> Result<Self, Error> {
        let master = uploaded.master.as_ref().or(self.master.as_ref());
        let master = master
            .ok_or_else(|| Error::InvalidParam("there is no master key yet".to_owned()))?
            .clone();
        let is_signed =
            |key: &CrossSigningKey| key.object.is_signed_by(user, &master.key_id(), &master.public);
        let choose =
            |uploaded: Option<CrossSigningKey>, known: &Option<CrossSigningKey>| match uploaded {
                Some(key) if !is_signed(&key) => {
                    Err(Error::InvalidParam("the master key did not sign this key".to_owned()))
                }
                Some(key) => Ok(Some(key)),
                None => Ok(known.clone().filter(is_signed)),
            };
        let self_signing = choose(uploaded.self_signing, &self.self_signing)?;
        let user_signing = choose(uploaded.user_signing, &self.user_signing)?;
        Ok(Self { master: Some(master), self_signing, user_signing })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CrossSigningKey, Identity, Usage};
    use telmeet_testkit::Signer;

    use crate::{Error, testing::user};

    fn parse(key: &Value, usage: Usage) -> Result<CrossSigningKey, Error> {
        CrossSigningKey::parse(key.to_string().as_bytes(), &user("kim"), usage)
    }

    fn identity(master: &Signer, sub: u8) -> Identity {
        let key = |seed: u8, usage: Usage| {
            let key = Signer::new(seed).cross_signing_key("@kim:maru.test", usage.as_str());
            Some(parse(&master.sign("@kim:maru.test", &master.public(), key), usage).unwrap())
        };
        Identity {
            master: parse(&master.cross_signing_key("@kim:maru.test", "master"), Usage::Master)
                .ok(),
            self_signing: key(sub, Usage::SelfSigning),
            user_signing: key(sub + 1, Usage::UserSigning),
        }
    }

    #[test]
    fn a_key_is_its_owners_and_for_one_usage() {
        let key = Signer::new(1).cross_signing_key("@kim:maru.test", "master");
        assert_eq!(parse(&key, Usage::Master).unwrap().public(), Signer::new(1).public());
        assert!(matches!(parse(&key, Usage::SelfSigning), Err(Error::InvalidParam(_))));
        for (member, value) in [
            ("user_id", json!("@min:maru.test")),
            ("usage", json!(["master", "self_signing"])),
            ("keys", json!({})),
            ("keys", json!({"ed25519:a": Signer::new(1).public()})),
            ("keys", json!({"ed25519:a": "a"})),
            ("keys", json!({"ed25519:a": 1})),
        ] {
            let mut key = key.clone();
            key[member] = value;
            assert!(matches!(parse(&key, Usage::Master), Err(Error::InvalidParam(_))), "{key}");
        }
    }

    #[test]
    fn an_identity_is_uploaded_at_once_or_in_parts() {
        let (whole, nothing) = (identity(&Signer::new(1), 2), Identity::default());
        assert_eq!(nothing.update(whole.clone(), &user("kim")), Ok(whole.clone()));
        let first = Identity { master: whole.master.clone(), ..Identity::default() };
        let first = nothing.update(first, &user("kim")).unwrap();
        let second = Identity { master: None, ..whole.clone() };
        assert_eq!(first.update(second.clone(), &user("kim")), Ok(whole));
        assert!(nothing.update(second, &user("kim")).is_err(), "there is no master key");
    }

    #[test]
    fn a_new_master_key_makes_a_new_identity() {
        let (old, new) = (identity(&Signer::new(1), 2), identity(&Signer::new(4), 5));
        assert_eq!(old.update(new.clone(), &user("kim")), Ok(new.clone()));
        let master = Identity { master: new.master.clone(), ..Identity::default() };
        let changed = old.update(master.clone(), &user("kim")).unwrap();
        assert_eq!(changed, master, "the old master key signed the other two");
        let mixed = Identity { master: new.master, ..old.clone() };
        assert!(matches!(old.update(mixed, &user("kim")), Err(Error::InvalidParam(_))));
    }
}
