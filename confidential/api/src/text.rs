//! Encoding of bytes and times in OpenPCC's fields: base64 with padding, RFC 3339.

/// Base64 with padding (RFC 4648, section 4).
pub(crate) mod base64_padded {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        STANDARD.decode(text.as_bytes()).map_err(|_| D::Error::custom("not base64 with padding"))
    }
}

/// A time in milliseconds since 1970, written as RFC 3339.
pub(crate) mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};

    pub(crate) fn parse(text: &str) -> Option<u64> {
        text.parse::<Timestamp>().ok()?.as_millisecond().try_into().ok()
    }

    pub(crate) fn serialize<S: Serializer>(at_ms: &u64, to: S) -> Result<S::Ok, S::Error> {
        let time = i64::try_from(*at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        to.collect_str(&time.ok_or_else(|| S::Error::custom("the time is beyond the year 9999"))?)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time since 1970"))
    }
}
