//! Headers and lengths of frames.

/// Length of the header of every frame but the first, in bytes.
pub const HEADER_LEN: usize = 3;

pub(super) const TYPE_INIT: u8 = 1;

pub(super) const TYPE_RESPONSE: u8 = 2;

pub(super) const TYPE_ERROR: u8 = 3;

pub(super) const TYPE_RECORD: u8 = 4;

/// Length of the longest frame with its header, in bytes.
pub const MAX_FRAME_LEN: usize = 4096;

/// Longest plaintext of one record, in bytes.
pub const MAX_PLAINTEXT_LEN: usize = MAX_FRAME_LEN - HEADER_LEN - TAG_LEN;

pub(super) const TAG_LEN: usize = 16;
