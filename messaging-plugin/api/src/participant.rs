//! What the participant serves to `maru`, for root.

use endpoint::Raw;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

endpoint::declare! {
    /// The AI as a member of rooms.
    PARTICIPANT for Root;

    /// Answers as long as the participant runs.
    HEALTHZ: GET "/healthz" => Raw;
    /// Returns how people recognise the AI's device.
    FINGERPRINT: GET "/maru/v1/fingerprint" => Fingerprint;
    /// Takes the identity that a person has now for the person's, after it was reset.
    ACCEPT: POST "/maru/v1/people/{user}/accept" => AcceptedIdentity;
}

/// A person's identity in messengers, which the AI takes for the person's from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedIdentity {
    /// The person.
    pub user_id: String,
    /// The public master key, in base64.
    pub master_key: String,
}

/// How people recognise the AI's device in their apps. Keys are public, in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fingerprint {
    /// The AI.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// Its Ed25519 key, which apps show as the session's key.
    pub device_key: String,
    /// The master key, with which the AI signs its devices.
    pub master_key: String,
}

impl Fingerprint {
    /// The device's key in groups of four characters, as apps show it.
    #[must_use]
    pub fn grouped_key(&self) -> String {
        let characters: Vec<char> = self.device_key.chars().collect();
        let groups: Vec<String> = characters.chunks(4).map(|it| it.iter().collect()).collect();
        groups.join(" ")
    }
}
