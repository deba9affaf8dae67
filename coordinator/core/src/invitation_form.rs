//! The form on the page of a waiting device: an invitation, or the key in it.

use control_protocol::key::MachinePublic;
use coordinator_api::{
    Secret,
    invitation::{Destination, MAX_LEN},
};

use crate::key;

/// Largest form, in bytes: an invitation of maximum length with every byte escaped.
pub const FORM_MAX: usize = 3 * MAX_LEN + 64;
/// Name of the field in the form.
pub const FIELD: &str = "invitation";

/// The submitted form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationForm {
    /// The pre-auth key.
    pub key: Secret,
    /// The Noise key of the coordinator that the invitation is for; `None` for a key alone.
    pub coordinator: Option<MachinePublic>,
}

/// Parses the form (`application/x-www-form-urlencoded`, WHATWG URL standard, section 5.1). `None` if it has neither an
/// invitation nor a key.
#[must_use]
pub fn parse(body: &[u8]) -> Option<InvitationForm> {
    if body.len() > FORM_MAX {
        return None;
    }
    let mut fields = form_urlencoded::parse(body);
    let (_, text) = fields.find(|(name, _)| name == FIELD)?;
    read(&text)
}

/// Reads what a person pasted.
fn read(text: &str) -> Option<InvitationForm> {
    let text = text.trim();
    if text.starts_with(key::PREFIX) {
        key::hash(text)?;
        return Some(InvitationForm { key: Secret::new(text.to_owned()), coordinator: None });
    }
    match Destination::read(text).ok()? {
        Destination::Invitation(invitation) => Some(InvitationForm {
            key: invitation.auth_key,
            coordinator: Some(invitation.noise_key),
        }),
        Destination::Address(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> Vec<u8> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("other", "x").append_pair(FIELD, text).finish().into_bytes()
    }

    #[test]
    fn an_invitation_or_its_key_is_taken() {
        let secret = key::format(&[7; key::RANDOM_LEN]);
        let link = format!("https://home.example/join#1.{}.{}", "ab".repeat(32), secret.reveal());

        let offer = parse(&form(&format!("\n {link} "))).unwrap();
        assert_eq!(
            offer,
            InvitationForm {
                key: secret.clone(),
                coordinator: Some(MachinePublic::from_bytes([0xab; 32]))
            }
        );
        let alone = parse(&form(secret.reveal())).unwrap();
        assert_eq!(alone, InvitationForm { key: secret.clone(), coordinator: None });
        for text in ["", "https://home.example", &link[..link.len() - 1], "tskey-auth-1"] {
            assert_eq!(parse(&form(text)), None, "{text}");
        }
        assert_eq!(parse(b"other=x"), None);
        assert_eq!(parse(&form(&format!("{link}{}", " ".repeat(FORM_MAX)))), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_offer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..256), text in any::<String>()) {
            let _ = parse(&bytes);
            if let Some(offer) = parse(&form(&format!("{}5ec7e7{text}", key::PREFIX))) {
                prop_assert!(!format!("{offer:?}").contains("5ec7e7"), "a key is shown");
            }
        }
    }
}
