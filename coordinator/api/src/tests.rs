use proptest::prelude::*;

use crate::{Approve, CreateKey, CreateUser, Secret};

#[test]
fn a_secret_is_not_printed() {
    let secret = Secret::new("maru-key".to_owned());

    assert_eq!(format!("{secret:?}"), "[redacted]");
    assert_eq!(serde_json::to_string(&secret).unwrap(), "\"maru-key\"");
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    let error = serde_json::from_str::<CreateKey>(r#"{"reuseable":true}"#).unwrap_err();

    assert!(error.to_string().contains("reuseable"), "{error}");
}

#[test]
fn an_empty_object_approves_as_the_key_said() {
    assert_eq!(serde_json::from_str::<Approve>("{}").unwrap(), Approve::default());
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail_cleanly(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = serde_json::from_slice::<CreateUser>(&bytes);
    }

    #[test]
    fn a_body_is_read_as_it_was_written(
        text in any::<String>(),
        texts in prop::collection::vec(any::<String>(), 0..4),
        number in any::<Option<u64>>(),
        yes in any::<bool>(),
    ) {
        let user = Some(text.clone()).filter(|_| yes);
        let key = CreateKey {
            user: user.clone(),
            tags: texts.clone(),
            reusable: yes,
            ephemeral: !yes,
            pre_approved: yes,
            expires_in_s: number,
        };
        let approve = Approve { user: user.clone(), tags: texts, name: user };

        let body = serde_json::to_vec(&key).unwrap();
        prop_assert_eq!(serde_json::from_slice::<CreateKey>(&body).unwrap(), key);
        let body = serde_json::to_vec(&approve).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Approve>(&body).unwrap(), approve);
    }
}
