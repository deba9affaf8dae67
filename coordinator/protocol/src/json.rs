//! Decoding of JSON that Go wrote.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, SeqAccess, Visitor},
};

use crate::{ZERO_TIME, key::NodePublic};

/// Reads `null` as the default: Go writes nil slices and maps as `null`.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a map, with `null` values as their default.
pub(crate) fn null_values<'de, D, K, V>(
    deserializer: D,
) -> Result<std::collections::BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de> + Default,
{
    Ok(optional_null_values(deserializer)?.unwrap_or_default())
}

/// As [`null_values`], but absent and empty differ.
#[allow(clippy::option_option, reason = "absent and empty differ")]
pub(crate) fn optional_null_values<'de, D, K, V>(
    deserializer: D,
) -> Result<Option<std::collections::BTreeMap<K, V>>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de> + Default,
{
    let map: Option<std::collections::BTreeMap<K, Option<V>>> = Option::deserialize(deserializer)?;
    Ok(map
        .map(|map| map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()))
}

/// Reads a list of texts and skips invalid ones, so that one of them does not invalidate the whole message.
pub(crate) fn lenient_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
{
    Ok(optional_lenient_list(deserializer)?.unwrap_or_default())
}

/// As [`lenient_list`], but absent and empty differ.
pub(crate) fn optional_lenient_list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
{
    let texts: Option<Vec<String>> = Option::deserialize(deserializer)?;
    Ok(texts.map(|texts| texts.iter().filter_map(|text| text.parse().ok()).collect()))
}

/// Reads a time; an empty text and Go's zero time are `None`.
pub(crate) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty() && text != ZERO_TIME))
}

/// Reads a node key; the zero key, Go's "none", is `None`.
pub(crate) fn node_key<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NodePublic>, D::Error> {
    let key: Option<NodePublic> = Option::deserialize(deserializer)?;
    Ok(key.filter(|key| !key.is_zero()))
}

/// Reads a list of objects and skips `null` entries of Go's slices of pointers.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(optional_objects(deserializer)?.unwrap_or_default())
}

/// As [`objects`], but absent and empty differ.
pub(crate) fn optional_objects<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    struct Objects<T>(std::marker::PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for Objects<T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list or null")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = seq.next_element::<Option<T>>()? {
                list.extend(entry);
            }
            Ok(Some(list))
        }
    }

    deserializer.deserialize_any(Objects(std::marker::PhantomData))
}

/// Whether a value is the default, which is omitted.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
