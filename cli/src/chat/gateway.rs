//! What the commands need of the gateway.

use ai_gateway_api::sealed::Operation;

use super::print::Sink;

/// A gateway that answers sealed operations.
pub(super) trait Gateway {
    /// Asks, and hands each event of the reply to the sink as it comes.
    ///
    /// # Errors
    ///
    /// The gateway is not reached or refuses, or the reply is not whole.
    async fn ask<S: Sink>(&mut self, operation: &Operation, sink: &mut S) -> anyhow::Result<()>;
}

/// A gateway whose answers a test says.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Scripted {
    /// The next answers. When there are none, a reply does not end.
    pub(super) answers: std::collections::VecDeque<Vec<ai_gateway_api::sealed::Event>>,
    /// What was asked.
    pub(super) asked: Vec<Operation>,
}

#[cfg(test)]
impl Scripted {
    pub(super) fn new<const N: usize>(answers: [Vec<ai_gateway_api::sealed::Event>; N]) -> Self {
        Self { answers: answers.into(), asked: Vec::new() }
    }
}

#[cfg(test)]
impl Gateway for Scripted {
    async fn ask<S: Sink>(&mut self, operation: &Operation, sink: &mut S) -> anyhow::Result<()> {
        self.asked.push(operation.clone());
        let Some(events) = self.answers.pop_front() else { return std::future::pending().await };
        for event in &events {
            sink.event(event)?;
        }
        Ok(sink.end()?)
    }
}
