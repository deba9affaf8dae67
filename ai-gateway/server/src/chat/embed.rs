//! Embeddings, which wait in the queue like replies.

use std::{sync::Arc, time::Instant};

use chat_vocabulary::Usage;
use llm_backend::Embeddings;
use mesh_identity::Person;

use crate::{App, Error, metrics::ChatTimer, models::Chain, openclaw::ModelRef, usage::UsageGuard};

/// Makes a vector of each text, once the request has a slot.
pub(crate) async fn embed(
    app: &Arc<App>,
    surface: &'static str,
    person: &Person,
    chain: &Chain,
    input: Vec<String>,
    dimensions: Option<u32>,
) -> Result<(ModelRef, Embeddings), Error> {
    let bytes = input.iter().map(String::len).sum();
    // Vectors of another model are not comparable, so no other queue is tried.
    let entered = app.queues.enter([chain.first.provider.as_str()], person, bytes);
    let (_, mut ticket) = entered.map_err(Error::Exceeded)?;
    let mut watch = ChatTimer::start(Arc::clone(&app.metrics), surface);
    let acquired = ticket.acquire(|| None::<()>).await;
    acquired.inspect_err(|_| watch.end(false)).map_err(Error::Exceeded)?;
    let mut usage_guard = UsageGuard::open(Arc::clone(&app.usage), person.clone());
    let sent_at = Instant::now();
    let result = tokio::select! {
        biased;
        result = chain.embed(input, dimensions) => result,
        () = ticket.preempted().cancelled() => {
            watch.end(false);
            return Err(Error::Exceeded(ticket.preempted_error()));
        }
    };
    watch.answered(&chain.first.provider, sent_at);
    watch.end(result.is_ok());
    let (model, embeddings) = result?;
    let prompt_tokens = embeddings.prompt_tokens.unwrap_or_default();
    let usage = Usage { prompt_tokens, completion_tokens: 0 };
    app.metrics.count_tokens(usage);
    usage_guard.set_counted(usage);
    Ok((model, embeddings))
}
