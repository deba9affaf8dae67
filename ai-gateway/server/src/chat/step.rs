//! What a turn is told in, step by step.

use std::sync::Arc;

use ai_gateway_api::sealed::SessionName;
use chat_vocabulary::{Delta, Evidence, FinishReason, Usage};
use mesh_identity::Person;

use crate::{limits::Exceeded, models::Failure, openclaw::ModelRef};

/// One step of a turn.
#[derive(Clone, Debug)]
pub enum Step {
    /// Its turn has come: a model is asked.
    Started,
    /// This model answers.
    Model(AnsweringModel),
    /// What it says next.
    Delta(Delta),
    /// It failed; nothing follows.
    Failed(Failure),
    /// No model was asked, because too much else is; nothing follows.
    Refused(Exceeded),
}

/// Which model answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweringModel {
    /// Its name.
    pub model: ModelRef,
    /// What proved itself before it was asked, where it is one of the confidential chain.
    pub evidence: Option<Arc<Evidence>>,
}

impl From<ModelRef> for AnsweringModel {
    fn from(model: ModelRef) -> Self {
        Self { model, evidence: None }
    }
}

/// Where a turn's question and answer are kept.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whose session.
    pub person: Person,
    /// Its name.
    pub session: SessionName,
    /// The question.
    pub question: String,
}

/// What is said with a reply that ended early because others waited for its slot.
const YIELDED: &str = "The reply ended here because others waited for the model. Ask it to go on.";

/// What one reply's end says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Why generation ended.
    pub finish_reason: Option<FinishReason>,
    /// Tokens counted.
    pub usage: Option<Usage>,
}

impl Ending {
    /// Takes what a delta says about the end.
    pub fn take(&mut self, delta: &Delta) {
        self.finish_reason = delta.finish_reason.or(self.finish_reason);
        self.usage = delta.usage.or(self.usage);
    }

    /// Why generation ended, in the words that other APIs have: a reply that others did not wait for would be longer.
    #[must_use]
    pub fn reason(&self) -> FinishReason {
        match self.finish_reason {
            Some(FinishReason::Yielded) => FinishReason::Length,
            reason => reason.unwrap_or(FinishReason::Stop),
        }
    }

    /// What to say beside that. It is no part of the text, which a program may read as JSON or code.
    #[must_use]
    pub fn notice(&self) -> Option<&'static str> {
        (self.finish_reason == Some(FinishReason::Yielded)).then_some(YIELDED)
    }
}
