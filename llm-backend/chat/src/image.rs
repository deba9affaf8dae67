//! Images inside messages.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The resolution at which the model processes an image, if it has a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// The model decides.
    Auto,
    /// Fewer tokens.
    Low,
    /// More tokens.
    High,
}

impl Detail {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Low => "low",
            Self::High => "high",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Auto, Self::Low, Self::High].into_iter().find(|detail| detail.as_str() == word)
    }
}

/// An image, as base64 of a PNG, JPEG, WebP or GIF file. `Debug` prints only its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// The resolution at which it is processed; the model's choice if absent.
    pub detail: Option<Detail>,
    media_type: &'static str,
    base64: String,
}

/// A text is not a valid image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The URL of an image on another server.
    #[error(
        "must be a data: URL with base64, because this gateway fetches nothing from the network"
    )]
    Url,
    /// Not base64.
    #[error("must be base64 with padding (RFC 4648, section 4)")]
    Base64,
    /// Another format.
    #[error("must be a PNG, JPEG, WebP or GIF image")]
    Format,
}

impl Image {
    /// Parses a `data:` URL. The media type is detected from the content; the URL's own is ignored.
    ///
    /// # Errors
    ///
    /// See [`ImageError`].
    pub fn from_data_url(mut url: String) -> Result<Self, ImageError> {
        let scheme = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        let comma = url.find(',').filter(|_| scheme).ok_or(ImageError::Url)?;
        if !url[..comma].to_ascii_lowercase().ends_with(";base64") {
            return Err(ImageError::Url);
        }
        url.drain(..=comma);
        Self::from_base64(url)
    }

    /// Parses base64 without a URL, which is Ollama's format.
    ///
    /// # Errors
    ///
    /// [`ImageError::Base64`] or [`ImageError::Format`].
    pub fn from_base64(base64: String) -> Result<Self, ImageError> {
        if !is_base64(base64.as_bytes()) {
            return Err(ImageError::Base64);
        }
        let head = base64.get(..base64.len().min(16)).unwrap_or_default();
        let head = STANDARD.decode(head).map_err(|_| ImageError::Base64)?;
        let media_type = sniff(&head).ok_or(ImageError::Format)?;
        Ok(Self { detail: None, media_type, base64 })
    }

    /// The media type, such as `image/png`, by the file's first bytes.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// The file as base64.
    #[must_use]
    pub fn base64(&self) -> &str {
        &self.base64
    }

    /// The image in OpenAI's format.
    #[must_use]
    pub fn to_data_url(&self) -> String {
        format!("data:{};base64,{}", self.media_type, self.base64)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}, {} bytes)", self.media_type, self.base64.len())
    }
}

/// Whether it is base64 with padding, without decoding it.
fn is_base64(text: &[u8]) -> bool {
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    text.len().is_multiple_of(4)
        && !text.is_empty()
        && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// The format that these first bytes of a file show.
fn sniff(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if head.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if head.starts_with(b"GIF8") {
        Some("image/gif")
    } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}
