//! What a TPM's evidence is refused for.

mod bench;
mod forms;
mod keys;
mod quotes;
mod recorded;
mod sets;
