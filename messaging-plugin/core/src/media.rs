//! Uploaded files: how they are shown, which part of one is asked for, and which events name one (specification,
//! client-server API, "Content Repository").

use std::{collections::BTreeSet, fmt, ops::Range};

use ruma::{CanonicalJsonObject, CanonicalJsonValue, MxcUri, ServerName};

/// Longest content type, in bytes.
const CONTENT_TYPE_MAX: usize = 127;

/// Longest name of a file, in bytes.
const NAME_MAX: usize = 255;

/// Types that a browser shows without running anything ("Serving inline content").
const INLINE: [&str; 26] = [
    "application/json",
    "application/ld+json",
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/wave",
    "audio/webm",
    "audio/x-flac",
    "audio/x-pn-wav",
    "audio/x-wav",
    "image/apng",
    "image/avif",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/css",
    "text/csv",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// The type of files that say none.
pub const UNKNOWN: &str = "application/octet-stream";

/// The type that a client says a file has, or [`UNKNOWN`] if it is not one.
#[must_use]
pub fn content_type(text: Option<&str>) -> &str {
    let is_type = |text: &&str| {
        text.len() <= CONTENT_TYPE_MAX
            && text.contains('/')
            && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    };
    text.map(str::trim).filter(is_type).unwrap_or(UNKNOWN)
}

/// Whether a file of this type may be shown in a browser, rather than saved.
#[must_use]
pub fn is_inline(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    INLINE.iter().any(|inline| inline.eq_ignore_ascii_case(essence))
}

/// Whether a thumbnail of this type may be the file itself: pictures, which apps draw in any size.
#[must_use]
pub fn is_picture(content_type: &str) -> bool {
    is_inline(content_type)
        && content_type.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("image/"))
}

/// Largest picture of which a thumbnail is made, in bytes.
pub const PICTURE_MAX: u64 = 16 << 20;
/// Largest width or height of a thumbnail, in pixels: that of the largest which the specification suggests.
const SIDE_MAX: u64 = 800;
/// How PNG and JPEG begin.
const STARTS: [(&[u8], &str); 2] =
    [(b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg")];

/// The size of a thumbnail. Displays as `320 240 scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbnailSize {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether the picture fills it, and what does not fit is cut off; otherwise the whole picture fits into it.
    pub is_cropped: bool,
}

impl ThumbnailSize {
    /// The size that a client asks for, within what there is.
    #[must_use]
    pub fn new(width: u64, height: u64, is_cropped: bool) -> Self {
        let side = |asked: u64| u32::try_from(asked.clamp(1, SIDE_MAX)).unwrap_or(1);
        Self { width: side(width), height: side(height), is_cropped }
    }

    /// Reads what it displays as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (width, height) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let is_cropped = match words.next()? {
            "crop" => true,
            "scale" => false,
            _ => return None,
        };
        let size = Self::new(width, height, is_cropped);
        (words.next().is_none() && size.to_string() == text).then_some(size)
    }
}

impl fmt::Display for ThumbnailSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.is_cropped { "crop" } else { "scale" };
        write!(f, "{} {} {method}", self.width, self.height)
    }
}

/// The type of a thumbnail with these bytes; none if it is neither PNG nor JPEG.
#[must_use]
pub fn thumbnail_type(bytes: &[u8]) -> Option<&'static str> {
    STARTS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, content_type)| *content_type)
}

/// The name of a file without folders and control characters; none if nothing is left.
#[must_use]
pub fn file_name(text: &str) -> Option<String> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name = String::new();
    for c in last.chars().filter(|&c| !common::foreign::steers(c)) {
        if name.len() + c.len_utf8() > NAME_MAX {
            break;
        }
        name.push(c);
    }
    let name = name.trim();
    (!name.is_empty() && name != "." && name != "..").then(|| name.to_owned())
}

/// A `Range` header for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole file: there is no range, or one that is not understood.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// The file has none of the bytes.
    NotSatisfiable,
}

/// Reads a `Range` header (RFC 9110, section 14.2): one range of bytes. Several ranges mean the whole file.
#[must_use]
pub fn part(header: Option<&str>, size: u64) -> Part {
    let spec = header.and_then(|text| text.trim().strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number beyond 2^64 lies behind every file.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let bytes = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(last)) if first.is_empty() => size.saturating_sub(last)..size,
        _ => return Part::Whole,
    };
    if bytes.is_empty() { Part::NotSatisfiable } else { Part::Bytes(bytes) }
}

/// The ids of this server's files that a content names, wherever in it.
#[must_use]
pub fn named(content: &CanonicalJsonObject, server: &ServerName) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    content.values().for_each(|value| add_named(value, server, &mut ids));
    ids
}

/// The depth of contents is limited: see [`crate::json::DEPTH_MAX`].
fn add_named(value: &CanonicalJsonValue, server: &ServerName, ids: &mut BTreeSet<String>) {
    match value {
        CanonicalJsonValue::Object(object) => {
            object.values().for_each(|value| add_named(value, server, ids));
        }
        CanonicalJsonValue::Array(array) => {
            array.iter().for_each(|value| add_named(value, server, ids));
        }
        CanonicalJsonValue::String(text) if text.starts_with("mxc://") => {
            let uri: &MxcUri = text.as_str().into();
            if let Ok((of, id)) = uri.parts()
                && !id.is_empty()
                && of == server
            {
                ids.insert(id.to_owned());
            }
        }
        CanonicalJsonValue::String(_)
        | CanonicalJsonValue::Null
        | CanonicalJsonValue::Bool(_)
        | CanonicalJsonValue::Integer(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruma::server_name;
    use serde_json::json;

    use super::{
        NAME_MAX, Part, ThumbnailSize, content_type, file_name, is_inline, is_picture, named, part,
        thumbnail_type,
    };

    #[test]
    fn a_size_of_a_thumbnail_is_bounded_and_read_as_it_is_written() {
        let size = ThumbnailSize::new(0, 1 << 40, true);
        assert_eq!((size.width, size.height), (1, 800));
        assert_eq!(ThumbnailSize::parse(&size.to_string()), Some(size));
        for wrong in
            ["", "1 800", "1 800 fit", "1 801 crop", "0 1 crop", "1 800 crop ", "+1 1 crop"]
        {
            assert_eq!(ThumbnailSize::parse(wrong), None, "{wrong}");
        }
        assert_eq!(thumbnail_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(thumbnail_type(b"<html>"), None);
    }

    #[test]
    fn only_types_without_script_are_inline() {
        for shown in ["image/png", "IMAGE/PNG", "text/plain; charset=utf-8", "video/mp4"] {
            assert!(is_inline(shown), "{shown}");
        }
        for saved in
            ["text/html", "image/svg+xml", "application/pdf", "text/javascript", "", "image"]
        {
            assert!(!is_inline(saved), "{saved}");
        }
        assert!(
            is_picture("image/png") && !is_picture("text/plain") && !is_picture("image/svg+xml")
        );
    }

    #[test]
    fn a_type_is_one_line_of_ascii() {
        assert_eq!(content_type(Some(" image/png ")), "image/png");
        for bad in ["", "png", "image/\npng", "이미지/png", &"a/".repeat(64)] {
            assert_eq!(content_type(Some(bad)), "application/octet-stream", "{bad}");
        }
    }

    #[test]
    fn a_name_has_no_folder() {
        assert_eq!(file_name("a b.png").as_deref(), Some("a b.png"));
        assert_eq!(file_name("/etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(file_name("c:\\사진.jpg").as_deref(), Some("사진.jpg"));
        assert_eq!(file_name("gpj\u{202e}.exe").as_deref(), Some("gpj.exe"));
        for nothing in ["", "a/", "..", "\n"] {
            assert_eq!(file_name(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        for (header, expected) in [
            (None, Part::Whole),
            (Some("bytes=0-"), Part::Bytes(0..10)),
            (Some("bytes=0-0"), Part::Bytes(0..1)),
            (Some("bytes=2-5"), Part::Bytes(2..6)),
            (Some("bytes=2-99999999999999999999999"), Part::Bytes(2..10)),
            (Some("bytes=-3"), Part::Bytes(7..10)),
            (Some("bytes=-30"), Part::Bytes(0..10)),
            (Some("bytes=10-"), Part::NotSatisfiable),
            (Some("bytes=-0"), Part::NotSatisfiable),
            (Some("bytes=99999999999999999999999-"), Part::NotSatisfiable),
            (Some("bytes=5-2"), Part::Whole),
            (Some("bytes=0-1,3-4"), Part::Whole),
            (Some("bytes=+1-2"), Part::Whole),
            (Some("bytes=-"), Part::Whole),
            (Some("lines=0-1"), Part::Whole),
        ] {
            assert_eq!(part(header, 10), expected, "{header:?}");
        }
    }

    #[test]
    fn files_are_named_anywhere_in_a_content() {
        let content = json!({
            "url": "mxc://maru.test/one",
            "info": {"thumbnail_file": {"url": "mxc://maru.test/two"}, "w": 1},
            "list": ["mxc://maru.test/three", "mxc://other.test/four", "mxc://maru.test/", "text"],
        });
        let content = crate::json::content(content.to_string().as_bytes()).unwrap();
        let ids = named(&content, server_name!("maru.test"));
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["one", "three", "two"]);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(header in "(bytes=)?[0-9]{0,22}-[0-9]{0,22}|.{0,20}", size: u64) {
            if let Part::Bytes(bytes) = part(Some(&header), size) {
                prop_assert!(bytes.start < bytes.end && bytes.end <= size);
            }
        }

        #[test]
        fn a_name_is_one_line(text in any::<String>()) {
            if let Some(name) = file_name(&text) {
                prop_assert!(name.len() <= NAME_MAX && !name.contains(['/', '\\']));
                prop_assert!(!name.contains(char::is_control));
                prop_assert_eq!(file_name(&name), Some(name.clone()));
            }
        }
    }
}
