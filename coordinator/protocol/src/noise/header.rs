//! Frames: what stands before the payload of every one but the first, and how long they are.

/// Length of what stands before the payload of every frame but the first, in bytes.
pub const HEADER_LEN: usize = 3;

pub(super) const TYPE_INIT: u8 = 1;

pub(super) const TYPE_RESPONSE: u8 = 2;

pub(super) const TYPE_ERROR: u8 = 3;

pub(super) const TYPE_RECORD: u8 = 4;

/// Length of the longest frame, header included, in bytes.
pub const MAX_FRAME_LEN: usize = 4096;

/// Length of the most that one record can carry, in bytes.
pub const MAX_PLAINTEXT_LEN: usize = MAX_FRAME_LEN - HEADER_LEN - TAG_LEN;

pub(super) const TAG_LEN: usize = 16;
