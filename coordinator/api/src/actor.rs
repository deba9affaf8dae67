//! Who makes a change.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who makes a change: a user of the machine, the owner of a key, a device, or the coordinator.
///
/// Displayed in one word, such as `root`, `api-key:ci` or `key:5`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A user of the coordinator's machine, over the admin socket.
    Uid {
        /// Its number.
        uid: u32,
    },
    /// A program or a person with an API key.
    ApiKey {
        /// Number of the key.
        id: u64,
        /// What it is called.
        name: String,
    },
    /// A person of the network, in the admin page (which is not there yet).
    Person {
        /// Number of the user.
        id: u64,
        /// Login name.
        name: String,
    },
    /// A device that presented a pre-auth key.
    Key {
        /// Number of the key.
        id: u64,
    },
    /// A device without a key: it registers, logs out, or updates what it reports about itself.
    Device {
        /// Its number, once it has one.
        id: Option<u64>,
    },
    /// The coordinator, after a timeout.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid { uid: 0 } => f.write_str("root"),
            Self::Uid { uid } => write!(f, "uid:{uid}"),
            Self::ApiKey { name, .. } => write!(f, "api-key:{name}"),
            Self::Person { name, .. } => write!(f, "user:{name}"),
            Self::Key { id } => write!(f, "key:{id}"),
            Self::Device { id: Some(id) } => write!(f, "device:{id}"),
            Self::Device { id: None } => f.write_str("device"),
            Self::System => f.write_str("system"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_one_word_and_is_read_as_it_was_written() {
        let actors = [
            (Actor::Uid { uid: 0 }, "root"),
            (Actor::Uid { uid: 1000 }, "uid:1000"),
            (Actor::ApiKey { id: 3, name: "ci".to_owned() }, "api-key:ci"),
            (Actor::Person { id: 4, name: "alice".to_owned() }, "user:alice"),
            (Actor::Key { id: 5 }, "key:5"),
            (Actor::Device { id: Some(6) }, "device:6"),
            (Actor::Device { id: None }, "device"),
            (Actor::System, "system"),
        ];
        for (actor, word) in actors {
            assert_eq!(actor.to_string(), word);
            let text = serde_json::to_string(&actor).unwrap();
            assert_eq!(serde_json::from_str::<Actor>(&text).unwrap(), actor, "{text}");
        }
    }
}
