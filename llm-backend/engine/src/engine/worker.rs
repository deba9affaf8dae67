//! The thread that computes: all slots are decoded together, one batch after the other.

use std::{
    num::NonZeroU32,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use chat_vocabulary::Message;
use llama_cpp_2::{
    context::{LlamaContext, params::LlamaContextParams},
    llama_batch::LlamaBatch,
};
use tokio::sync::mpsc;

use super::{
    event::{EVENTS_MAX, Event, Request},
    model::{self, Model},
    queue::Job,
    shared::{Shared, SlotGauge},
    slot::{Slot, SlotState},
};
use crate::{Error, request::Sampling};

/// Most tokens in a batch.
const BATCH: u32 = 256;
/// How long a batch should take. Prompts are read in pieces of this duration, so that other replies continue meanwhile
/// and a disconnected client is noticed in time. Pieces are not smaller, because each batch has a fixed cost.
const STEP: Range<Duration> = Duration::from_millis(120)..Duration::from_millis(360);
/// How long a client may read nothing before its slot is freed.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Pause when every client is slow.
const PAUSE: Duration = Duration::from_millis(10);

/// Settings of the thread.
pub(super) struct WorkerConfig {
    pub(super) path: PathBuf,
    pub(super) ctx: u32,
    pub(super) slots: u32,
    pub(super) threads: u32,
}

/// Loads the model and serves until the queue is closed.
pub(super) fn run(engine: &Arc<Shared>, plan: &WorkerConfig) -> Result<(), Error> {
    processor()?;
    model::check(&plan.path)?;
    llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
    let begin = Instant::now();
    let watched = Arc::clone(engine);
    let loaded = Model::load(&plan.path, plan.ctx, move || !watched.queue.is_closed());
    let model = match loaded {
        Ok(model) => Arc::new(model),
        // Stopped while loading.
        Err(_) if engine.queue.is_closed() => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut worker = Worker::new(engine, &model, plan)?;
    worker.warm_up(&plan.path)?;
    tracing::info!(
        model = engine.name,
        parameters = model.llama().n_params(),
        ctx = model.ctx(),
        slots = plan.slots,
        threads = plan.threads,
        took = ?begin.elapsed(),
        "ready"
    );
    // Only this thread sets it.
    let _ = engine.model.set(Arc::clone(&model));
    worker.serve()
}

struct Worker<'a> {
    engine: &'a Shared,
    model: &'a Model,
    context: LlamaContext<'a>,
    batch: LlamaBatch<'static>,
    slots: Vec<Option<Slot>>,
    prompt_batch: PromptBatch,
    /// Whether the buffers still contain ended conversations.
    dirty: bool,
}

impl<'a> Worker<'a> {
    fn new(engine: &'a Shared, model: &'a Model, plan: &WorkerConfig) -> Result<Self, Error> {
        let threads = i32::try_from(plan.threads).unwrap_or(1);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(model.ctx().saturating_mul(plan.slots)))
            .with_n_seq_max(plan.slots)
            .with_n_batch(BATCH)
            .with_n_ubatch(BATCH)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_no_perf(true);
        let failed = Error::Context { slots: plan.slots, ctx: model.ctx() };
        let context = model.llama().new_context(model.backend(), params).map_err(|_| failed)?;
        Ok(Self {
            engine,
            model,
            context,
            batch: LlamaBatch::new(BATCH as usize, 1),
            slots: (0..plan.slots).map(|_| None).collect(),
            prompt_batch: PromptBatch::default(),
            dirty: false,
        })
    }

    /// Generates a short reply, so that the first request does not wait for pages of the file, and a model that fails
    /// is not reported as ready.
    fn warm_up(&mut self, path: &Path) -> Result<(), Error> {
        let failed = || Error::Load { path: path.to_owned() };
        let prompt = self.model.prompt(&[Message::user("Hi")]).map_err(|_| failed())?;
        let sampling = Sampling { ignore_eos: true, ..Sampling::default() };
        let request = Request { prompt, max_tokens: Some(2), stops: Vec::new(), sampling };
        let (events, mut receiver) = mpsc::channel(EVENTS_MAX);
        self.take(0, Job { task: 0, request, events });
        while self.slots[0].is_some() && !self.engine.queue.is_closed() {
            self.step();
        }
        self.release(0);
        self.wipe();
        self.gauge(0).clear();
        let has_failed =
            std::iter::from_fn(|| receiver.try_recv().ok()).any(|it| matches!(it, Event::Failed));
        if has_failed { Err(failed()) } else { Ok(()) }
    }

    fn serve(&mut self) -> Result<(), Error> {
        while !self.engine.queue.is_closed() {
            self.release_left();
            if self.slots.iter().all(Option::is_none) {
                self.wipe();
                self.engine.queue.wait();
            }
            self.admit();
            self.step();
        }
        Ok(())
    }

    /// Frees the slots whose clients have disconnected or stopped reading.
    fn release_left(&mut self) {
        let now = Instant::now();
        for id in 0..self.slots.len() {
            let Some(slot) = &mut self.slots[id] else { continue };
            let stuck = slot.stalled(now).is_some_and(|since| now - since > STALL_MAX);
            if slot.is_left() || stuck {
                tracing::debug!(task = slot.task, stuck, "cancelled");
                self.release(id);
            }
        }
    }

    /// Assigns free slots to waiting requests.
    fn admit(&mut self) {
        for id in 0..self.slots.len() {
            if self.slots[id].is_some() {
                continue;
            }
            let Some(job) = self.engine.queue.take() else { return };
            self.take(id, job);
        }
    }

    fn take(&mut self, id: usize, job: Job) {
        let slot = Slot::start(job, self.model, Instant::now());
        let gauge = self.gauge(id);
        gauge.task.store(slot.task, Relaxed);
        gauge.is_processing.store(true, Relaxed);
        self.slots[id] = Some(slot);
        self.update_gauge(id);
        // Sent last, so that a client that receives it finds the slot busy.
        self.notify(id, Event::Started);
    }

    /// Computes the next batch.
    fn step(&mut self) {
        let prompt_tokens = self.fill();
        if self.batch.n_tokens() == 0 {
            if self.slots.iter().any(Option::is_some) {
                thread::sleep(PAUSE);
            }
            return;
        }
        let begin = Instant::now();
        if let Err(error) = self.context.decode(&mut self.batch) {
            tracing::error!(%error, "llama.cpp failed; the replies in progress are lost");
            return self.fail();
        }
        self.dirty = true;
        self.prompt_batch.learn(prompt_tokens, begin.elapsed());
        for id in 0..self.slots.len() {
            self.sample(id);
        }
    }

    /// Fills the batch: one token for each slot that generates, the rest for prompts. Returns the number of prompt
    /// tokens.
    fn fill(&mut self) -> usize {
        self.batch.clear();
        let now = Instant::now();
        let generating = self.slots.iter().flatten().filter(|slot| !slot.is_reading()).count();
        let reading = self.slots.iter().flatten().filter(|slot| slot.is_reading()).count();
        let room = (BATCH as usize).saturating_sub(generating).min(self.prompt_batch.tokens);
        let share = (room / reading.max(1)).max(1);
        let mut prompt_tokens = 0;
        for id in 0..self.slots.len() {
            self.make_room(id);
            let Some(slot) = &mut self.slots[id] else { continue };
            if slot.stalled(now).is_some() {
                continue;
            }
            let n = slot.pending().len().min(share);
            let whole = n == slot.pending().len();
            for (position, &token) in (slot.position()..).zip(&slot.pending()[..n]) {
                let last = whole && position + 1 == slot.position() + u32::try_from(n).unwrap_or(0);
                // `share` leaves room for all, and positions stay below the context's size.
                let added = self.batch.add(token, position.cast_signed(), &[sequence(id)], last);
                debug_assert!(added.is_ok(), "the batch is full");
            }
            slot.output = whole.then(|| self.batch.n_tokens() - 1);
            prompt_tokens += if slot.is_reading() { n } else { 0 };
            slot.fed(n);
            self.update_gauge(id);
        }
        prompt_tokens
    }

    /// Drops the older half of a full conversation that may continue.
    fn make_room(&mut self, id: usize) {
        let Some(slot) = &mut self.slots[id] else { return };
        let ctx = self.model.ctx();
        if slot.position() < ctx {
            return;
        }
        let (sequence, dropped) = (i32::try_from(id).unwrap_or(0), ctx / 2);
        let removed =
            self.context.clear_kv_cache_seq(u32::try_from(id).ok(), Some(0), Some(dropped));
        let moved =
            self.context.kv_cache_seq_add(sequence, Some(dropped), None, -(dropped.cast_signed()));
        match (removed, moved) {
            (Ok(true), Ok(())) => slot.shifted(dropped),
            _ => self.end(id, Event::Failed),
        }
    }

    /// Chooses the next token of a slot, if the batch gave it an output.
    fn sample(&mut self, id: usize) {
        let Some(slot) = &mut self.slots[id] else { return };
        let Some(output) = slot.output.take() else { return };
        let token = slot.sampler.sample(&self.context, output);
        let next = slot.handle_token(token, self.model, Instant::now());
        self.update_gauge(id);
        if let SlotState::Ended(ending) = next {
            self.end(id, Event::Ended(ending));
        }
    }

    /// Frees a slot and then sends the last event, so that a client that receives it finds the slot idle.
    fn end(&mut self, id: usize, event: Event) {
        if let Some(slot) = self.release(id) {
            slot.notify(event);
        }
    }

    /// Frees a slot and removes its conversation from the cache.
    fn release(&mut self, id: usize) -> Option<Slot> {
        let sequence = sequence(id).cast_unsigned();
        if !matches!(self.context.clear_kv_cache_seq(Some(sequence), None, None), Ok(true)) {
            tracing::error!(slot = id, "llama.cpp did not clear the slot");
        }
        self.gauge(id).is_processing.store(false, Relaxed);
        self.slots[id].take()
    }

    /// Zeroes the cache. [`Self::release`] only unlinks a conversation's part of it, because other slots use the rest.
    fn wipe(&mut self) {
        if self.dirty {
            self.context.clear_kv_cache();
            self.dirty = false;
        }
    }

    /// Ends every reply in progress with an error.
    fn fail(&mut self) {
        for id in 0..self.slots.len() {
            self.end(id, Event::Failed);
        }
    }

    fn notify(&self, id: usize, event: Event) {
        if let Some(slot) = &self.slots[id] {
            slot.notify(event);
        }
    }

    /// Copies a slot's counts to its gauge.
    fn update_gauge(&self, id: usize) {
        let Some(slot) = &self.slots[id] else { return };
        let (n_prompt, n_read, n_decoded) = slot.counts();
        let gauge = self.gauge(id);
        gauge.n_prompt.store(n_prompt, Relaxed);
        gauge.n_read.store(n_read, Relaxed);
        gauge.n_decoded.store(n_decoded, Relaxed);
    }

    fn gauge(&self, id: usize) -> &'a SlotGauge {
        &self.engine.gauges[id]
    }
}

/// A slot's sequence id in llama.cpp; there are at most 64 slots.
fn sequence(slot: usize) -> i32 {
    i32::try_from(slot).unwrap_or(i32::MAX)
}

/// The number of prompt tokens that take one [`STEP`], learned from the last batches.
#[derive(Debug)]
struct PromptBatch {
    tokens: usize,
}

impl Default for PromptBatch {
    fn default() -> Self {
        Self { tokens: 4 }
    }
}

impl PromptBatch {
    /// Learns from the duration of a batch with this many prompt tokens.
    fn learn(&mut self, prompt_tokens: usize, duration: Duration) {
        if prompt_tokens >= self.tokens && duration < STEP.start {
            self.tokens = (self.tokens * 2).min(BATCH as usize);
        } else if prompt_tokens > 0 && duration > STEP.end {
            // Half, or less if the processor has become much slower.
            let times = duration.as_millis() / STEP.end.as_millis().max(1);
            self.tokens = (self.tokens / usize::try_from(times + 1).unwrap_or(usize::MAX)).max(1);
        }
    }
}

/// Checks for the instruction sets that llama.cpp was built with; without them it would crash.
fn processor() -> Result<(), Error> {
    #[cfg(target_arch = "x86_64")]
    for (name, has) in [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("F16C", is_x86_feature_detected!("f16c")),
        ("BMI2", is_x86_feature_detected!("bmi2")),
    ] {
        if !has {
            return Err(Error::Processor { missing: name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learns until the number of tokens is steady, with a fixed cost per batch and one per token.
    fn settle(batch: Duration, token: Duration) -> usize {
        let mut prompt_batch = PromptBatch::default();
        for _ in 0..20 {
            let tokens = prompt_batch.tokens;
            prompt_batch.learn(tokens, batch + token * u32::try_from(tokens).unwrap());
        }
        prompt_batch.tokens
    }

    #[test]
    fn slow_models_read_in_small_pieces_and_fast_ones_in_large() {
        let ms = Duration::from_millis;
        assert_eq!(settle(ms(500), ms(100)), 1, "even one token takes too long");
        assert_eq!(settle(ms(0), ms(40)), 4);
        assert_eq!(settle(ms(80), ms(1)), 64, "most of the cost is that of a batch");
        assert_eq!(settle(ms(0), ms(0)), BATCH as usize);
    }

    #[test]
    fn batches_with_few_prompt_tokens_are_ignored() {
        let mut prompt_batch = PromptBatch::default();
        prompt_batch.learn(3, Duration::ZERO);
        prompt_batch.learn(0, Duration::from_secs(9));
        assert_eq!(prompt_batch.tokens, 4);
    }
}
