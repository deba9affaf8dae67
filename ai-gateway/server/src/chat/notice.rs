//! What a person is told beside a reply.

/// A sentence, and a kind of [`ai_gateway_api::kind`] for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}
