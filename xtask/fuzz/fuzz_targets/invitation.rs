//! What a person hands to `maru join`: read, and if it is an invitation, written and read again.
#![no_main]

use coordinator_api::{
    Secret,
    invitation::{Destination, Invitation},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
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
