//! Takes a conversation's state out of llama.cpp, and puts it back.
#![allow(
    unsafe_code,
    reason = "llama-cpp-2's safe functions keep the state where it cannot be zeroed"
)]

use llama_cpp_2::context::{LlamaContext, session::LlamaStateSeqFlags};
use zeroize::Zeroizing;

/// Bytes that the state of a sequence takes.
pub(super) fn size(context: &LlamaContext<'_>, sequence: i32) -> usize {
    context.state_seq_get_size_ext(sequence, LlamaStateSeqFlags::empty())
}

/// The state of a sequence; [`None`] if llama.cpp fails.
pub(super) fn save(context: &LlamaContext<'_>, sequence: i32) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; size(context, sequence)]);
    // SAFETY: llama.cpp writes as many bytes as it just said; nothing is decoded in between, because this thread owns
    // the context.
    let written = unsafe {
        context.state_seq_get_data_ext(bytes.as_mut_ptr(), sequence, LlamaStateSeqFlags::empty())
    };
    (written == bytes.len() && written > 0).then_some(bytes)
}

/// Restores a state that [`save`] made in this process, into any sequence. Returns whether that worked.
pub(super) fn restore(context: &mut LlamaContext<'_>, sequence: i32, bytes: &[u8]) -> bool {
    // SAFETY: the bytes are llama.cpp's own, from a context with the same model and settings: they never leave memory.
    unsafe { context.state_seq_set_data_ext(bytes, sequence, LlamaStateSeqFlags::empty()) }
}
