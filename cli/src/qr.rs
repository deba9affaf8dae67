//! QR codes in a terminal, two modules in the height of a line.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2, types::QrError};

/// White on black, so that light modules are light whatever the terminal's own colours are.
const COLOURS: (&str, &str) = ("\u{1b}[40;97m", "\u{1b}[0m");

/// Draws a text as a QR code (ISO/IEC 18004, error correction level L), with the quiet zone around it.
///
/// Where `is_coloured`, each line sets its colours; elsewhere it is right on a dark background.
///
/// # Errors
///
/// Fails if the text is too long for any QR code.
pub(crate) fn draw(text: &str, is_coloured: bool) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
    let drawing = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    if !is_coloured {
        return Ok(drawing);
    }
    let (begin, end) = COLOURS;
    let lines: Vec<_> = drawing.lines().map(|line| format!("{begin}{line}{end}")).collect();
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use testkit::qr::read_drawing;

    use super::*;

    #[test]
    fn a_drawing_is_read_as_the_invitation_that_it_is() {
        let link = format!(
            "https://a-rather-long-name.example.org:8443/join#1.{}.marukey-{}",
            "5a".repeat(32),
            "c3".repeat(24)
        );

        let drawing = draw(&link, false).unwrap();

        assert_eq!(read_drawing(&drawing), link);
        assert!(drawing.lines().all(|line| line.chars().count() <= 72), "it fits a terminal");
        let coloured = draw(&link, true).unwrap();
        assert!(
            coloured.lines().all(|line| line.starts_with(COLOURS.0) && line.ends_with(COLOURS.1))
        );
        assert!(draw(&"x".repeat(4000), false).is_err());
    }
}
