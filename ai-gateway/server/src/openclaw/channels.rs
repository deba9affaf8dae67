//! `channels.matrix`: which messages of rooms the AI answers, in OpenClaw's names.
//!
//! OpenClaw pairs strangers; here everyone in a room is a person of the network, whom the mesh identified. So `pairing`
//! is the same as `open`, and both policies are `open` by default.

use std::collections::BTreeMap;

use ai_gateway_api::rooms::{Group, Policy, RoomMessage, Settings};
use serde::Deserialize;

use super::error::{OpenClawError, wrong};

/// The AI's name unless `ui.assistant.name` says otherwise.
const ASSISTANT: &str = "Maru";

/// Which messages of rooms are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomPolicy {
    /// What the participant is told.
    pub settings: Settings,
    /// Ids of the people whose direct chats are answered under [`Policy::Allowlist`]; `*` is everyone.
    allow_from: Vec<String>,
    /// Ids of the people who are answered in groups; `None` is everyone.
    group_allow_from: Option<Vec<String>>,
}

/// `channels` of the file.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawChannels {
    matrix: RawMatrix,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMatrix {
    enabled: Option<bool>,
    dm_policy: Option<String>,
    group_policy: Option<String>,
    allow_from: Vec<String>,
    group_allow_from: Option<Vec<String>>,
    groups: BTreeMap<String, Group>,
}

/// `ui` of the file.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUi {
    assistant: RawAssistant,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAssistant {
    name: Option<String>,
}

impl RoomPolicy {
    pub(super) fn read(channels: RawChannels, ui: RawUi) -> Result<Self, OpenClawError> {
        let RawMatrix { enabled, dm_policy, group_policy, allow_from, group_allow_from, groups } =
            channels.matrix;
        let (mut direct, mut group) =
            (policy(dm_policy, "dmPolicy")?, policy(group_policy, "groupPolicy")?);
        if enabled == Some(false) {
            (direct, group) = (Policy::Disabled, Policy::Disabled);
        }
        let settings = Settings {
            direct_policy: direct,
            group_policy: group,
            groups,
            assistant_name: ui.assistant.name.unwrap_or_else(|| ASSISTANT.to_owned()),
            ..Settings::default()
        };
        Ok(Self { settings, allow_from, group_allow_from })
    }

    /// Whether this message is answered.
    #[must_use]
    pub fn answers(&self, message: &RoomMessage) -> bool {
        let (room, sender) = (&message.room, message.sender.id.as_str());
        let lists = |list: &[String]| list.iter().any(|id| id == "*" || id == sender);
        if room.direct {
            return match self.settings.direct_policy {
                Policy::Open => true,
                Policy::Allowlist => lists(&self.allow_from),
                Policy::Disabled => false,
            };
        }
        let groups = &self.settings.groups;
        let is_allowed = match self.settings.group_policy {
            Policy::Open => true,
            Policy::Allowlist => groups.contains_key("*") || groups.contains_key(room.id.as_str()),
            Policy::Disabled => false,
        };
        is_allowed
            && self.group_allow_from.as_deref().is_none_or(lists)
            && (message.mention || !self.settings.requires_mention(&room.id))
    }
}

fn policy(value: Option<String>, key: &str) -> Result<Policy, OpenClawError> {
    match value.as_deref() {
        None | Some("open" | "pairing") => Ok(Policy::Open),
        Some("allowlist") => Ok(Policy::Allowlist),
        Some("disabled") => Ok(Policy::Disabled),
        Some(other) => Err(wrong(
            format!("channels.matrix.{key}"),
            format!("{other:?} is unknown; use \"open\", \"allowlist\" or \"disabled\""),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openclaw::OpenClaw;

    const MODELS: &str =
        r#"models: {providers: {p: {baseUrl: "unix:///a.sock", models: [{id: "m"}]}}}"#;

    fn parse(matrix: &str) -> Result<OpenClaw, OpenClawError> {
        OpenClaw::parse(&format!("{{{MODELS}, channels: {{matrix: {matrix}}}}}"))
    }

    /// Which messages of Ada's and Bob's are answered: a direct one, one of a group, and one that mentions the AI there.
    fn answered(matrix: &str) -> [[bool; 3]; 2] {
        let policy = parse(matrix).unwrap().rooms;
        ["@ada:home", "@bob:home"].map(|sender| {
            [(true, false), (false, false), (false, true)].map(|(direct, mention)| {
                let body = json!({
                    "version": 1, "event_id": "$e", "room": {"id": "!r:home", "direct": direct},
                    "sender": {"id": sender}, "mention": mention, "text": "hi",
                });
                policy.answers(&RoomMessage::decode(body.to_string()).unwrap())
            })
        })
    }

    #[test]
    fn direct_chats_and_mentions_are_answered_unless_the_file_says_otherwise() {
        const USUAL: [bool; 3] = [true, false, true];
        for matrix in ["{}", r#"{dmPolicy: "open"}"#, r#"{dmPolicy: "pairing", enabled: true}"#] {
            assert_eq!(answered(matrix), [USUAL; 2], "{matrix}");
        }
        let ada =
            r#"{dmPolicy: "allowlist", allowFrom: ["@ada:home"], groupAllowFrom: ["@ada:home"]}"#;
        for (matrix, expected) in [
            ("{enabled: false}", [[false; 3]; 2]),
            (r#"{dmPolicy: "disabled"}"#, [[false, false, true]; 2]),
            (r#"{dmPolicy: "allowlist"}"#, [[false, false, true]; 2]),
            (r#"{dmPolicy: "allowlist", allowFrom: ["*"]}"#, [USUAL; 2]),
            (ada, [USUAL, [false; 3]]),
            (r#"{groupPolicy: "disabled"}"#, [[true, false, false]; 2]),
            (r#"{groupPolicy: "allowlist"}"#, [[true, false, false]; 2]),
            (r#"{groupPolicy: "allowlist", groups: {"!other": {}}}"#, [[true, false, false]; 2]),
            (r#"{groupPolicy: "allowlist", groups: {"!r:home": {}}}"#, [USUAL; 2]),
            (r#"{groups: {"*": {requireMention: false}}}"#, [[true; 3]; 2]),
            (r#"{groups: {"!r:home": {requireMention: false}}}"#, [[true; 3]; 2]),
        ] {
            assert_eq!(answered(matrix), expected, "{matrix}");
        }
    }

    #[test]
    fn what_has_no_effect_is_a_warning_and_another_policy_an_error() {
        let loaded = parse(r#"{homeserver: "x", groups: {"*": {skills: []}}}"#).unwrap();
        assert_eq!(
            loaded.warnings,
            [
                "`channels.matrix.groups.*.skills` has no effect in Maru",
                "`channels.matrix.homeserver` has no effect in Maru"
            ]
        );
        let error = parse(r#"{groupPolicy: "opne"}"#).unwrap_err().to_string();
        assert!(error.contains("`channels.matrix.groupPolicy` is wrong"), "{error}");
        let text = format!(
            "{{{MODELS}, channels: {{telegram: {{}}}}, ui: {{assistant: {{name: \"Nari\"}}}}}}"
        );
        let loaded = OpenClaw::parse(&text).unwrap();
        assert_eq!(loaded.warnings, ["`channels.telegram` has no effect in Maru"]);
        assert_eq!(loaded.rooms.settings.assistant_name, "Nari");
    }
}
