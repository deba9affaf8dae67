//! Styles, as parameters of SGR (ECMA-48, section 8.3.117).

/// Most bytes that wait for a style. Emphasis that is longer is shown with its marks.
pub(super) const HELD_MAX: usize = 1024;

/// Headings and strong emphasis.
pub(super) const BOLD: &str = "1";
/// Quotes and rules.
pub(super) const DIM: &str = "2";
/// Code.
pub(super) const CODE: &str = "36";
