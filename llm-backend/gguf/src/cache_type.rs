//! Numbers that a conversation's memory is made of.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Numbers that a conversation's memory is made of: the smaller, the more tokens fit, and the less exact is what is remembered of
/// each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheType {
    /// 16 bits for each.
    #[default]
    F16,
    /// 8 bits, and a factor for each 32 of them.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 4 bits, and a factor for each 32 of them.
    #[serde(rename = "q4_0")]
    Q4_0,
}

impl CacheType {
    /// All of them, the largest first.
    pub const ALL: [Self; 3] = [Self::F16, Self::Q8_0, Self::Q4_0];

    /// Its name, as in llama.cpp.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// Bytes of 32 numbers (`ggml-common.h`).
    #[must_use]
    pub const fn bytes_of_32(self) -> u64 {
        match self {
            Self::F16 => 64,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
        }
    }
}

impl FromStr for CacheType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or("write f16, q8_0 or q4_0")
    }
}
