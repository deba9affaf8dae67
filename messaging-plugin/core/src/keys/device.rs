//! The identity keys of a device (specification, client-server API, "Device keys").

use ruma::{CanonicalJsonObject, CanonicalJsonValue, DeviceId, UserId};

use super::signed::{Signature, SignedObject, is_public_key};
use crate::Error;

/// Most keys and most algorithms of a device.
const ENTRIES_MAX: usize = 16;

/// The identity keys of a device, signed by the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKeys {
    object: SignedObject,
    ed25519: String,
}

impl DeviceKeys {
    /// Reads what a device uploads.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] if the keys are another person's or device's, or are not signed by the device;
    /// [`Error::BadJson`] and [`Error::TooLarge`] as [`SignedObject::parse`] and if a member is missing.
    pub fn parse(bytes: &[u8], user: &UserId, device: &DeviceId) -> Result<Self, Error> {
        let object = SignedObject::parse(bytes)?;
        if object.text("user_id") != Some(user.as_str()) {
            return Err(Error::InvalidParam("`user_id` is not the sender's".to_owned()));
        }
        if object.text("device_id") != Some(device.as_str()) {
            return Err(Error::InvalidParam("`device_id` is not that of this session".to_owned()));
        }
        let is_list = object.get("algorithms").is_some_and(|list| {
            let CanonicalJsonValue::Array(list) = list else { return false };
            list.len() <= ENTRIES_MAX && list.iter().all(CanonicalJsonValue::is_string)
        });
        if !is_list {
            return Err(Error::BadJson("`algorithms` is a short list of names".to_owned()));
        }
        let ed25519 = ed25519(&object, device)?;
        if !object.is_signed_by(user, &format!("ed25519:{device}"), &ed25519) {
            return Err(Error::InvalidParam("the device did not sign its keys".to_owned()));
        }
        Ok(Self { object, ed25519 })
    }

    /// Reads stored keys, which were checked before they were stored.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`], if the stored text was damaged.
    pub fn stored(text: &str, device: &DeviceId) -> Result<Self, Error> {
        let object = SignedObject::parse(text.as_bytes())?;
        let ed25519 = ed25519(&object, device)?;
        Ok(Self { object, ed25519 })
    }

    /// The keys as a signed object.
    #[must_use]
    pub fn object(&self) -> &SignedObject {
        &self.object
    }

    /// The public key with which the device signs, in base64.
    #[must_use]
    pub fn ed25519(&self) -> &str {
        &self.ed25519
    }

    /// Whether another upload has the same identity keys. They never change: a client with new ones is a new device.
    #[must_use]
    pub fn has_same_identity(&self, other: &Self) -> bool {
        self.object.get("keys") == other.object.get("keys")
    }

    /// The keys with the device's own signature alone; the others are stored apart.
    #[must_use]
    pub fn to_stored(&self, user: &UserId, device: &DeviceId) -> String {
        let key_id = format!("ed25519:{device}");
        let own = self.object.signatures().into_iter();
        let own = own.filter(|of| of.signer == *user && of.key_id == key_id);
        self.object.with_signatures(own).to_json()
    }

    /// The keys for `/keys/query`, with further signatures and the device's name.
    #[must_use]
    pub fn to_json(&self, signatures: Vec<Signature>, name: Option<&str>) -> String {
        let all = self.object.signatures().into_iter().chain(signatures);
        let object = self.object.with_signatures(all);
        let Some(name) = name else { return object.to_json() };
        let name = ("device_display_name".to_owned(), name.into());
        object.to_json_with_unsigned(CanonicalJsonObject::from([name]))
    }
}

/// The key with which the device signs. All keys are named for the device.
fn ed25519(object: &SignedObject, device: &DeviceId) -> Result<String, Error> {
    let wrong = || Error::BadJson("`keys` are those of the device, by algorithm".to_owned());
    let keys = object.keys().ok_or_else(wrong)?;
    let is_own = |id: &str| id.split_once(':').is_some_and(|(_, name)| name == device.as_str());
    if keys.len() > ENTRIES_MAX || !keys.iter().all(|(id, _)| is_own(id)) {
        return Err(wrong());
    }
    let signing = keys.iter().find(|(id, _)| id.starts_with("ed25519:"));
    let signing = signing.filter(|(_, key)| is_public_key(key)).ok_or_else(wrong)?;
    Ok(signing.1.to_owned())
}

#[cfg(test)]
mod tests {
    use ruma::device_id;
    use serde_json::{Value, json};

    use super::DeviceKeys;
    use crate::{Error, keys::signed::Signature, testing::user};
    use telmeet_testkit::Signer;

    fn keys(phone: &Signer) -> Value {
        phone.device_keys("@kim:maru.test", "PHONE")
    }

    fn parse(keys: &Value) -> Result<DeviceKeys, Error> {
        DeviceKeys::parse(keys.to_string().as_bytes(), &user("kim"), device_id!("PHONE"))
    }

    #[test]
    fn a_device_uploads_its_own_keys() {
        let phone = Signer::new(1);
        let keys = parse(&keys(&phone)).unwrap();
        assert_eq!(keys.ed25519(), phone.public());
        let text = keys.to_stored(&user("kim"), device_id!("PHONE"));
        assert_eq!(DeviceKeys::stored(&text, device_id!("PHONE")).unwrap(), keys);
    }

    #[test]
    fn keys_of_somebody_else_are_refused() {
        let phone = Signer::new(1);
        for (user, device) in [("@min:maru.test", "PHONE"), ("@kim:maru.test", "LAPTOP")] {
            let refused = parse(&phone.device_keys(user, device));
            assert!(matches!(refused, Err(Error::InvalidParam(_))), "{user} {device}");
        }
    }

    #[test]
    fn keys_are_signed_by_the_device() {
        let phone = Signer::new(1);
        let mut unsigned = keys(&phone);
        unsigned["signatures"] = json!({});
        let mut changed = keys(&phone);
        changed["algorithms"] = json!([]);
        let mut other = keys(&phone);
        other["keys"]["ed25519:PHONE"] = Signer::new(2).public().into();
        for keys in [unsigned, changed, other] {
            assert!(matches!(parse(&keys), Err(Error::InvalidParam(_))), "{keys}");
        }
    }

    #[test]
    fn a_member_that_is_missing_or_wrong_is_refused() {
        let phone = Signer::new(1);
        for (member, value) in [
            ("algorithms", json!("m.olm")),
            ("algorithms", json!([1])),
            ("algorithms", json!(vec!["a"; 17])),
            ("keys", json!({})),
            ("keys", json!({"ed25519:PHONE": 1})),
            ("keys", json!({"ed25519:PHONE": "short"})),
            ("keys", json!({"ed25519:PHONE": phone.public(), "curve25519:LAPTOP": phone.public()})),
            ("signatures", json!([])),
            ("signatures", json!({"@kim:maru.test": {"ed25519:PHONE": 1}})),
        ] {
            let mut keys = keys(&phone);
            keys[member] = value;
            assert!(matches!(parse(&keys), Err(Error::BadJson(_))), "{keys}");
        }
        let large = phone.sign(
            "@kim:maru.test",
            "PHONE",
            json!({"user_id": "@kim:maru.test", "device_id": "PHONE", "more": "x".repeat(20_000)}),
        );
        assert!(matches!(parse(&large), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn identity_keys_do_not_change() {
        let phone = Signer::new(1);
        let first = parse(&keys(&phone)).unwrap();
        let mut again = keys(&phone);
        again["algorithms"] = json!(["m.olm.v1.curve25519-aes-sha2"]);
        let again = parse(&phone.sign("@kim:maru.test", "PHONE", again)).unwrap();
        let other = parse(&keys(&Signer::new(2))).unwrap();
        assert!(first.has_same_identity(&again) && !first.has_same_identity(&other));
    }

    #[test]
    fn signatures_and_the_name_are_added() {
        let (phone, own) = (Signer::new(1), Signer::new(2));
        let mut signed = keys(&phone);
        signed["unsigned"] = json!({"device_display_name": "not this one"});
        let keys = parse(&signed).unwrap();
        let signature = Signature {
            signer: "@kim:maru.test".to_owned(),
            key_id: format!("ed25519:{}", own.public()),
            signature: "c2ln".to_owned(),
        };
        let shown = keys.to_json(vec![signature], Some("Kim's phone"));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["unsigned"], json!({"device_display_name": "Kim's phone"}));
        assert_eq!(shown["signatures"]["@kim:maru.test"].as_object().unwrap().len(), 2);
        let plain: Value = serde_json::from_str(&keys.to_json(Vec::new(), None)).unwrap();
        assert_eq!(plain.get("unsigned"), None);
    }
}
