//! Thumbnails, and the process that makes each.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
use testkit::blocking::eventually;

use crate::process::Root;

/// A picture with so much in it that it is larger than 32 KiB.
fn picture(width: u32, height: u32) -> DynamicImage {
    let shade =
        |x: u32, y: u32| (x.wrapping_mul(y).wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0];
    RgbImage::from_fn(width, height, |x, y| image::Rgb([shade(x, y), shade(y, x + 7), shade(x, 3)]))
        .into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-telmeet"));
    command.arg("thumbnail").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// What the process makes of a picture; nothing if it fails.
fn made(size: &str, picture: &[u8]) -> Option<DynamicImage> {
    let mut child = command().spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // It may end before it read everything.
    drop(input.write_all(&[size.as_bytes(), b"\n", picture].concat()));
    drop(input);
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| image::load_from_memory(&output.stdout).unwrap())
}

#[test]
fn pictures_of_every_kind_become_smaller() {
    let original = picture(640, 320);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
        let bytes = encoded(&original, format);
        let scaled = made("96 96 scale", &bytes).unwrap();
        assert_eq!((scaled.width(), scaled.height()), (96, 48), "{format:?}");
        let cropped = made("96 96 crop", &bytes).unwrap();
        assert_eq!((cropped.width(), cropped.height()), (96, 96), "{format:?}");
    }
    let glass = RgbaImage::from_pixel(200, 200, image::Rgba([1, 2, 3, 0])).into();
    let glass = made("96 96 scale", &encoded(&glass, ImageFormat::Png)).unwrap();
    assert!(glass.color().has_alpha(), "what is seen through stays so");
    assert!(made("800 800 scale", &encoded(&original, ImageFormat::Png)).is_none(), "it is small");
}

#[test]
fn hostile_pictures_make_nothing() {
    let jpeg = encoded(&picture(640, 480), ImageFormat::Jpeg);
    let png = encoded(&picture(640, 480), ImageFormat::Png);
    // A GIF and a JPEG that say that they have four gigapixels.
    let gif = [b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;".as_slice()].concat();
    let mut bomb = jpeg.clone();
    let start = bomb.windows(2).position(|it| it == [0xff, 0xc0]).unwrap();
    bomb[start + 5..start + 9].fill(0xff);
    for (what, bytes) in [
        ("a GIF of four gigapixels", gif),
        ("a JPEG of four gigapixels", bomb),
        ("half of a PNG", png[..png.len() / 2].to_vec()),
        ("a PNG without its data", png[..60].to_vec()),
        ("another format", b"BM and more".to_vec()),
        ("nothing", Vec::new()),
    ] {
        assert!(made("96 96 scale", &bytes).is_none(), "{what}");
    }
    assert!(made("801 96 scale", &png).is_none() && made("", &png).is_none());
}

#[test]
fn the_process_can_open_nothing_and_start_nothing() {
    let mut child = command().spawn().unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let limit = |name: &str| {
        let text = fs::read_to_string(&limits).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("it lowers the last limit", || limit("Max open files")[..2] == ["0", "0"]);
    for name in ["Max processes", "Max file size"] {
        assert_eq!(limit(name)[..2], ["0", "0"], "{name}");
    }
    assert!(limit("Max data size")[1].parse::<u64>().unwrap() <= 144 << 20);
    assert_eq!(limit("Max cpu time")[..2], ["5", "5"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_app_gets_a_thumbnail_and_the_picture_itself_where_none_can_be_made() {
    let root = Root::new();
    let _telmeet = root.start();
    let kim = root.person(1);
    let png = encoded(&picture(640, 320), ImageFormat::Png);
    for (picture, is_made) in [(png.clone(), true), (png[..png.len() / 2].to_vec(), false)] {
        let (head, body) = kim.bytes("POST /_matrix/media/v3/upload", &picture);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let uploaded: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let id =
            uploaded["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
        let ask =
            format!("GET /_matrix/client/v1/media/thumbnail/{id}?width=96&height=96&method=scale");
        let (head, body) = kim.bytes(&ask, b"");
        assert!(head.contains("content-security-policy: sandbox"), "{head}");
        assert!(head.contains("\r\nx-content-type-options: nosniff"), "{head}");
        if is_made {
            assert!(head.contains("content-type: image/jpeg"), "{head}");
            let thumbnail = image::load_from_memory(&body).unwrap();
            assert_eq!((thumbnail.width(), thumbnail.height()), (96, 48));
        } else {
            assert!(head.contains("content-type: image/png") && body == picture, "{head}");
        }
    }
}
