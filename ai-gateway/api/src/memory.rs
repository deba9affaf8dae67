//! Where sealed text lies once it is opened.

/// Shows that what is allocated now lies in memory that is fit for what people write.
///
/// What opens or decodes sealed text takes one, so that forgetting where its result lies does not compile. The
/// gateway's is made by its locked memory alone; an app, to whose person the text belongs, says [`OwnMemory`].
pub trait Memory {}

/// The memory of the person's own app, or of a test.
#[derive(Clone, Copy, Debug)]
pub struct OwnMemory;

impl Memory for OwnMemory {}
