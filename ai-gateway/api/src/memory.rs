//! The memory that opened text is written to.

/// A token: allocations made now are in memory that is suitable for people's text.
///
/// Functions that open or decode sealed text take such a token, so that a caller cannot forget to choose the memory.
/// The gateway gets one only from its locked memory; an app of the person uses [`OwnMemory`].
pub trait Memory {}

/// Ordinary memory, of the person's own app or of a test.
#[derive(Clone, Copy, Debug)]
pub struct OwnMemory;

impl Memory for OwnMemory {}
