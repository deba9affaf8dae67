//! The steps of a reply.

use std::sync::Arc;

use chat_vocabulary::{Delta, Evidence, FinishReason, Usage};

use crate::{
    limits::Exceeded,
    models::Failure,
    openclaw::ModelRef,
    sessions::{CompletedTurn, NotKept},
};

/// A step of a reply.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// It has a slot; the request is sent to a model.
    Started,
    /// This model begins to answer.
    Model(AnsweringModel),
    /// The next piece.
    Delta(Delta),
    /// The reply is whole and this turn is to be kept, or it cannot be kept. The last step of a reply in a session.
    Turn(Result<CompletedTurn, NotKept>),
    /// The reply failed. The last step.
    Failed(Failure),
    /// A limit was exceeded. The last step.
    Refused(Exceeded),
}

/// The model that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnsweringModel {
    pub(crate) model: ModelRef,
    /// Evidence of the node, for a model of the confidential chain.
    pub(crate) evidence: Option<Arc<Evidence>>,
}

impl From<ModelRef> for AnsweringModel {
    fn from(model: ModelRef) -> Self {
        Self { model, evidence: None }
    }
}

/// The notice of a reply that was preempted.
const YIELDED: &str = "The reply ended here because others waited for the model. Ask it to go on.";

/// Finish reason and usage of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Why generation ended.
    pub(crate) finish_reason: Option<FinishReason>,
    /// Tokens counted.
    pub(crate) usage: Option<Usage>,
}

impl Ending {
    /// Takes over a delta's finish reason and usage.
    pub(crate) fn take(&mut self, delta: &Delta) {
        self.finish_reason = delta.finish_reason.or(self.finish_reason);
        self.usage = delta.usage.or(self.usage);
    }

    /// The finish reason in other APIs' terms: a preempted reply has `length`.
    #[must_use]
    pub(crate) fn reason(&self) -> FinishReason {
        match self.finish_reason {
            Some(FinishReason::Yielded) => FinishReason::Length,
            reason => reason.unwrap_or(FinishReason::Stop),
        }
    }

    /// The notice to send with the reply. It is not part of the text, which a program may parse as JSON or code.
    #[must_use]
    pub(crate) fn notice(&self) -> Option<&'static str> {
        (self.finish_reason == Some(FinishReason::Yielded)).then_some(YIELDED)
    }
}
