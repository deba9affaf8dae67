//! The thread that computes: all slots are decoded together, one batch after the other.

use std::{
    num::NonZeroU32,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use chat_vocabulary::Message;
use gguf::CacheType;
use llama_cpp_2::{
    context::{
        LlamaContext,
        params::{KvCacheType, LlamaContextParams},
    },
    llama_batch::LlamaBatch,
};
use tokio::sync::mpsc;

use super::{
    cache::{self, Conversation, Source, Store, Stored},
    event::{EVENTS_MAX, Event, Request},
    fit,
    model::{self, Model},
    processor,
    prompt_batch::{BATCH, Pending, PromptBatch},
    queue::Job,
    shared::{Shared, SlotGauge},
    slot::{Slot, SlotState},
    state,
    worker_config::WorkerConfig,
};
use crate::{Error, options::Load, request::Sampling};

/// How long a client may read nothing before its slot is freed.
const STALL_MAX: Duration = Duration::from_secs(60);
/// How long a model that was loaded for a request stays at least.
const IDLE_MIN: Duration = Duration::from_secs(10);
/// Pause when every client is slow.
const PAUSE: Duration = Duration::from_millis(10);

/// Loads the model and serves until the queue is closed.
pub(super) fn run(engine: &Arc<Shared>, plan: &WorkerConfig) -> Result<(), Error> {
    processor::check()?;
    let file = model::check(&plan.path)?;
    let mut fit = fit::measure(plan, &file);
    if plan.load == Load::Asked || (plan.load == Load::Room && fit.is_short(plan.ctx)) {
        tracing::info!("standby: the model is loaded when a request comes");
        engine.is_standby.store(true, Relaxed);
        engine.queue.wait_until_wanted();
        if engine.queue.is_closed() {
            return Ok(());
        }
        // Another engine may have left its memory.
        fit = fit::measure(plan, &file);
    }
    let free = fit.free;
    let ctx = fit.context(plan.ctx)?;
    let plan = &WorkerConfig { cache_bytes: fit.stored(ctx), ..plan.clone() };
    llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
    let begin = Instant::now();
    let watched = Arc::clone(engine);
    let loaded = Model::load(&plan.path, ctx, move || !watched.queue.is_closed());
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
        trained = model.llama().n_ctx_train(),
        cache = ?plan.cache_type,
        memory_mib = fit.needed(ctx) >> 20,
        free_mib = free.map(|free| free >> 20),
        slots = plan.slots,
        threads = plan.threads,
        took = ?begin.elapsed(),
        "ready"
    );
    if ctx < fit::PROMPT_MAX {
        tracing::warn!(
            ctx,
            prompt = fit::PROMPT_MAX,
            "conversations are so short that the household's prompt may leave no room in them; give a larger --ctx, free memory, or choose another model"
        );
    }
    engine.model.send_replace(Some(Arc::clone(&model)));
    worker.serve()
}

struct Worker<'a> {
    engine: &'a Shared,
    model: &'a Model,
    context: LlamaContext<'a>,
    batch: LlamaBatch<'static>,
    slots: Vec<Option<Slot>>,
    /// What idle slots still hold.
    kept: Vec<Option<Conversation>>,
    store: Store,
    cache_life: Duration,
    /// When a slot became free last.
    used: Instant,
    prompt_batch: PromptBatch,
    /// Whether the buffers still contain conversations that are in no slot.
    dirty: bool,
}

impl<'a> Worker<'a> {
    fn new(engine: &'a Shared, model: &'a Model, plan: &WorkerConfig) -> Result<Self, Error> {
        let threads = i32::try_from(plan.threads).unwrap_or(1);
        let kind = match plan.cache_type {
            CacheType::F16 => KvCacheType::F16,
            CacheType::Q8_0 => KvCacheType::Q8_0,
            CacheType::Q4_0 => KvCacheType::Q4_0,
        };
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(model.ctx().saturating_mul(plan.slots)))
            .with_n_seq_max(plan.slots)
            .with_n_batch(BATCH)
            .with_n_ubatch(BATCH)
            .with_type_k(kind)
            .with_type_v(kind)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_no_perf(true);
        let failed = Error::NoContext { slots: plan.slots, ctx: model.ctx() };
        let context = model.llama().new_context(model.backend(), params).map_err(|_| failed)?;
        Ok(Self {
            engine,
            model,
            context,
            batch: LlamaBatch::new(BATCH as usize, 1),
            slots: (0..plan.slots).map(|_| None).collect(),
            kept: (0..plan.slots).map(|_| None).collect(),
            store: Store::new(plan.cache_bytes),
            cache_life: plan.cache_life,
            used: Instant::now(),
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
        let (max_tokens, stops) = (Some(2), Vec::new());
        let request = Request { prompt, owner: None, max_tokens, stops, sampling, grammar: None };
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

    /// Serves until the queue is closed or, if the model was loaded for a request, until nothing is remembered of any.
    fn serve(&mut self) -> Result<(), Error> {
        let is_standby = self.engine.is_standby.load(Relaxed);
        while !self.engine.queue.is_closed() {
            self.release_left();
            self.forget();
            if self.slots.iter().all(Option::is_none) {
                self.wipe();
                let end = is_standby.then(|| self.used + self.cache_life.max(IDLE_MIN));
                self.engine.queue.wait(self.next_end().into_iter().chain(end).min());
                if end.is_some_and(|end| end <= Instant::now()) && self.engine.queue.is_empty() {
                    tracing::info!("standby: nobody asks any more");
                    return Ok(());
                }
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
        while let Some(free) = self.slots.iter().position(Option::is_none) {
            let Some(job) = self.engine.queue.take() else { return };
            let (owner, prompt) = (job.request.owner.as_deref(), &job.request.prompt);
            let idle = self.kept.iter().enumerate().filter_map(|(at, it)| Some((at, it.as_ref()?)));
            let source = cache::source(idle, self.store.conversations(), owner, prompt);
            // Taken out first: a slot that is emptied stores its own, and that moves and drops what is stored.
            let stored = match source {
                Source::Stored(at, _) => Some(self.store.take(at)),
                Source::Nothing | Source::Slot(..) => None,
            };
            let id = match source {
                Source::Slot(id, _) => id,
                Source::Nothing | Source::Stored(..) => self.emptied().unwrap_or(free),
            };
            let cached = self.prepare(id, source, stored);
            self.take_after(id, job, cached);
        }
    }

    /// An idle slot without a conversation; if there is none, the one that was used least recently is stored.
    fn emptied(&mut self) -> Option<usize> {
        let idle = (0..self.slots.len()).filter(|id| self.slots[*id].is_none());
        let id = idle.min_by_key(|id| self.kept[*id].as_ref().map(|kept| kept.used))?;
        if let Some(conversation) = self.kept[id].take() {
            self.put(id, conversation);
            self.unlink(id);
        }
        Some(id)
    }

    /// Leaves in a slot what a request continues; returns how many of its tokens that are.
    fn prepare(&mut self, id: usize, source: Source, stored: Option<Stored>) -> usize {
        let common = match source {
            Source::Nothing => return 0,
            Source::Slot(_, common) => {
                // Only its beginning is the same: the rest may be continued later.
                if let Some(kept) = self.kept[id].take() {
                    // What is cut stays in llama.cpp's buffers until they are wiped.
                    self.dirty |= kept.read.len() > common;
                    if kept.is_other(common) {
                        self.put(id, kept);
                    }
                }
                common
            }
            Source::Stored(_, common) => {
                let Some(stored) = stored else { return 0 };
                let restored = state::restore(&mut self.context, sequence(id), &stored.state);
                self.dirty = true;
                if restored && stored.conversation.is_other(common) {
                    self.store.put(stored);
                }
                if restored { common } else { 0 }
            }
        };
        // Models that keep no state for each token cannot go back to one of them.
        let from_start = self.context.kv_cache_seq_pos_min(sequence(id)) == 0;
        let (sequence, end) = (sequence(id).cast_unsigned(), u32::try_from(common).ok());
        let cut =
            from_start && self.context.clear_kv_cache_seq(Some(sequence), end, None) == Ok(true);
        if common > 0 && cut {
            return common;
        }
        self.unlink(id);
        0
    }

    /// Stores the conversation of a slot, if there is room for it.
    fn put(&mut self, id: usize, conversation: Conversation) {
        // Others make room before there is a copy.
        if self.store.make_room(state::size(&self.context, sequence(id)))
            && let Some(state) = state::save(&self.context, sequence(id))
        {
            self.store.put(Stored { conversation, state });
        }
    }

    fn take(&mut self, id: usize, job: Job) {
        self.take_after(id, job, 0);
    }

    /// Starts a request in a slot that holds its first `cached` tokens.
    fn take_after(&mut self, id: usize, job: Job, cached: usize) {
        let slot = Slot::start(job, cached, self.model, Instant::now());
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
        let (replies, prompt_tokens) = self.fill();
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
        self.prompt_batch.learn(replies, prompt_tokens, begin.elapsed());
        for id in 0..self.slots.len() {
            self.sample(id);
        }
    }

    /// Fills the batch: one token for each reply, the rest for prompts. Returns the number of both.
    fn fill(&mut self) -> (usize, usize) {
        self.batch.clear();
        let now = Instant::now();
        let slots = &mut self.slots;
        let shares = self.prompt_batch.shares(slots.len(), |id| {
            let slot = slots[id].as_mut()?;
            let is_fed = slot.stalled(now).is_none();
            let (is_reading, tokens) = (slot.is_reading(), slot.pending().len());
            is_fed.then_some(Pending { is_reading, tokens })
        });
        let (mut replies, mut prompt_tokens) = (0, 0);
        for (id, n) in shares.into_iter().enumerate() {
            self.make_room(id);
            let Some(slot) = self.slots[id].as_mut().filter(|_| n > 0) else { continue };
            let whole = n == slot.pending().len();
            for (position, &token) in (slot.position()..).zip(&slot.pending()[..n]) {
                let last = whole && position + 1 == slot.position() + u32::try_from(n).unwrap_or(0);
                // There is room for all, and positions stay below the context's size.
                let added = self.batch.add(token, position.cast_signed(), &[sequence(id)], last);
                debug_assert!(added.is_ok(), "the batch is full");
            }
            slot.output = whole.then(|| self.batch.n_tokens() - 1);
            *(if slot.is_reading() { &mut prompt_tokens } else { &mut replies }) += n;
            slot.fed(n);
            self.update_gauge(id);
        }
        (replies, prompt_tokens)
    }

    /// Drops the older half of a full conversation that may continue.
    fn make_room(&mut self, id: usize) {
        let Some(slot) = &mut self.slots[id] else { return };
        let ctx = self.model.ctx();
        if slot.position() < ctx {
            return;
        }
        let dropped = ctx / 2;
        let removed =
            self.context.clear_kv_cache_seq(u32::try_from(id).ok(), Some(0), Some(dropped));
        // Even if it does not go on, what is left of it is not its beginning.
        slot.shifted(dropped);
        let back = -dropped.cast_signed();
        let moved = matches!(removed, Ok(true))
            && self.context.kv_cache_seq_add(sequence(id), Some(dropped), None, back).is_ok();
        if !moved {
            self.end(id, Event::Failed);
        }
    }

    /// Chooses the next token of a slot, if the batch gave it an output.
    fn sample(&mut self, id: usize) {
        let Some(slot) = &mut self.slots[id] else { return };
        let Some(output) = slot.output.take() else { return };
        let Some(token) = slot.sampler.sample(&self.context, output, self.model) else {
            return self.end(id, Event::NoToken);
        };
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

    /// Frees a slot. Its conversation stays there if it may be remembered.
    fn release(&mut self, id: usize) -> Option<Slot> {
        let slot = self.slots[id].take()?;
        self.kept[id] = slot.remembered(Instant::now()).filter(|_| !self.cache_life.is_zero());
        if self.kept[id].is_none() {
            self.unlink(id);
        }
        self.gauge(id).is_processing.store(false, Relaxed);
        self.used = Instant::now();
        Some(slot)
    }

    /// Removes what a slot holds. Its bytes stay in llama.cpp's buffers until [`Self::wipe`], because other slots use
    /// the rest of them.
    fn unlink(&mut self, id: usize) {
        let sequence = sequence(id).cast_unsigned();
        if !matches!(self.context.clear_kv_cache_seq(Some(sequence), None, None), Ok(true)) {
            tracing::error!(slot = id, "llama.cpp did not clear the slot");
        }
        self.dirty = true;
    }

    /// Forgets the conversations that nobody has continued for long.
    fn forget(&mut self) {
        let Some(since) = Instant::now().checked_sub(self.cache_life) else { return };
        self.store.forget(since);
        for id in 0..self.kept.len() {
            if self.kept[id].take_if(|kept| kept.used < since).is_some() {
                self.unlink(id);
            }
        }
    }

    /// When the next conversation is to be forgotten.
    fn next_end(&self) -> Option<Instant> {
        let kept = self.kept.iter().flatten();
        let kept = kept.filter_map(|kept| kept.used.checked_add(self.cache_life));
        // A moment later, so that it is older by then.
        let next = kept.chain(self.store.next_end(self.cache_life)).min()?;
        Some(next + Duration::from_millis(10))
    }

    /// Zeroes llama.cpp's buffers while no slot is busy. Conversations that are remembered are stored before.
    fn wipe(&mut self) {
        if !self.dirty {
            return;
        }
        for id in 0..self.kept.len() {
            if let Some(conversation) = self.kept[id].take() {
                self.put(id, conversation);
            }
        }
        self.context.clear_kv_cache();
        self.dirty = false;
    }

    /// Ends every reply in progress with an error.
    fn fail(&mut self) {
        for id in 0..self.slots.len() {
            self.end(id, Event::Failed);
            // What llama.cpp holds of it is not known.
            if self.kept[id].take().is_some() {
                self.unlink(id);
            }
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
