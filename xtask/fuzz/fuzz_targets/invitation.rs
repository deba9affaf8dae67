//! What a person hands to `maru join`: read, and if it is an invitation, written and read again; and the form in which a
//! person hands it to the page of a device.
#![no_main]

use coordinator_api::{
    Secret,
    invitation::{Destination, Invitation},
};
use coordinator_core::{code, invitation_form, key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(offer) = invitation_form::parse(bytes) {
        assert!(key::hash(offer.key.reveal()).is_some(), "what is no key is looked up");
        assert!(!format!("{offer:?}").contains(offer.key.reveal()));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(read) = code::read(text) {
        assert_eq!(code::read(&read).as_deref(), Some(read.as_str()));
    }
    match Destination::read(text) {
        Ok(Destination::Invitation(invitation)) => {
            let written = invitation.to_text();
            assert!(!written.reveal().starts_with("http://"));
            // Whatever the key is: the rest of an invitation may hold the same letters.
            let other =
                Invitation { auth_key: Secret::new("another".to_owned()), ..invitation.clone() };
            assert_eq!(format!("{invitation:?}"), format!("{other:?}"));
            let again = Destination::read(written.reveal());
            assert_eq!(again, Ok(Destination::Invitation(invitation)));
        }
        Ok(Destination::Address(server)) => {
            let again = Destination::read(&server.to_string());
            assert_eq!(again, Ok(Destination::Address(server)));
        }
        Err(error) => drop(error.to_string()),
    }
});
