//! The process that makes one thumbnail: `maru-telmeet thumbnail`. The size comes on standard input, in one line, then the
//! picture; the thumbnail leaves on standard output.
//!
//! Before it reads, the process gives up what a hostile picture could use: it can open no file and no socket, start no
//! process, write to no place, and takes so much memory and processor time at most. Whatever fails, telmeet sends the picture
//! itself.

use std::{
    fs::File,
    io::{self, BufRead as _, Cursor, Read as _, Write as _},
};

use chassis::{confine, process};
use image::{
    DynamicImage, ImageDecoder as _, ImageError, ImageReader, Limits,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    imageops::FilterType,
};
use rustix::process::Resource;
use telmeet_core::media::{PICTURE_MAX, ThumbnailSize};

/// Most memory of the process, in bytes. A photograph of 12 megapixels takes 36 MiB, or 110 MiB if it is progressive.
const MEMORY: u64 = 144 << 20;
/// Most memory of one picture, in bytes.
const PIXELS: u64 = 64 << 20;
/// Most processor time, in seconds.
const SECONDS: u64 = 5;
/// Longest line with the size, in bytes.
const LINE: u64 = 64;
/// Quality of a JPEG, of 100.
const QUALITY: u8 = 80;
/// The kernel ends this process before telmeet, should their container be out of memory.
const OUT_OF_MEMORY: &str = "/proc/self/oom_score_adj";

/// Why there is no thumbnail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process cannot give up its rights.
    #[error("cannot confine the process")]
    Confine(#[source] io::Error),
    /// The input ends early, or the output is closed.
    #[error("cannot read the picture, or write the thumbnail")]
    Io(#[from] io::Error),
    /// The first line is no size.
    #[error("the first line is no size")]
    Size,
    /// The picture is damaged, too large, or of another type.
    #[error("the picture cannot be decoded")]
    Image(#[from] ImageError),
    /// The picture is as small as the thumbnail would be.
    #[error("the picture is small already")]
    Small,
}

/// Makes a thumbnail.
///
/// # Errors
///
/// [`Error`]; nothing, or a part, was written.
pub fn run() -> Result<(), Error> {
    confine().map_err(Error::Confine)?;
    let mut input = io::stdin().lock();
    let mut line = String::new();
    input.by_ref().take(LINE).read_line(&mut line)?;
    let size = ThumbnailSize::parse(line.trim_end()).ok_or(Error::Size)?;
    let mut picture = Vec::new();
    input.take(PICTURE_MAX).read_to_end(&mut picture)?;
    let thumbnail = make(&picture, size)?;
    let mut output = io::stdout().lock();
    output.write_all(&thumbnail)?;
    Ok(output.flush()?)
}

/// Gives up rights. A limit that is lowered stays lowered.
fn confine() -> io::Result<()> {
    process::forbid_dumps()?;
    // A kernel, or a container, may refuse it: the other limits hold.
    drop(std::fs::write(OUT_OF_MEMORY, "1000"));
    confine::write_only::<File>(&[])?;
    for (resource, most) in [
        (Resource::Data, MEMORY),
        (Resource::Cpu, SECONDS),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
        (Resource::Nofile, 0),
    ] {
        process::limit(resource, most)?;
    }
    Ok(())
}

/// The picture, or the first one of an animation, in this size. Pixels that are seen through stay so.
fn make(picture: &[u8], size: ThumbnailSize) -> Result<Vec<u8>, Error> {
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(PIXELS);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    let (width, height) = (size.width, size.height);
    if image.width() <= width && image.height() <= height {
        return Err(Error::Small);
    }
    image.apply_orientation(orientation);
    let image = if size.is_cropped {
        image.resize_to_fill(width, height, FilterType::Triangle)
    } else {
        image.thumbnail(width, height)
    };
    let mut bytes = Vec::new();
    if image.color().has_alpha() {
        image.into_rgba8().write_with_encoder(PngEncoder::new(&mut bytes))?;
    } else {
        image.into_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))?;
    }
    Ok(bytes)
}
