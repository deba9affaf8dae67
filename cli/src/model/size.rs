//! Sizes as text.

/// A number of bytes with a binary unit.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
