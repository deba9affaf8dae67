//! Locked memory for keys and people's text.
//!
//! A fixed arena, mapped once at the start: locked (never swapped), excluded from core dumps, not inherited by
//! children. A page takes memory from its first use on, and is locked before anything is written to it (mlock2(2),
//! `MLOCK_ONFAULT`); the whole arena counts against the limit at once. Allocations inside [`locked`] are made in it and stay in it when they grow or move; all others are made by
//! the system allocator. Every block of either kind is zeroed before it is freed, so copies that libraries make are
//! zeroed, too.
//!
//! ```text
//!            inside locked(…)                    elsewhere
//! alloc      arena; the system if it is full     system
//! realloc    stays where it is                   system
//! dealloc    wipe, where it came from            wipe, system
//! ```
//!
//! The arena is bounded by `RLIMIT_MEMLOCK` (8 MiB in most containers), so callers check [`has_room`] first and answer
//! 503 if there is none. A growing block is copied, so that both copies exist for a moment: a text of unknown length
//! grows by [`append`], which checks for room for both. The switch is per thread and closures passed to [`locked`]
//! cannot await, so no other task's allocations get into it.
//!
//! Not covered: the backend's client serializes a prompt into ordinary memory (zeroed after use); registers and stacks.
#![allow(
    unsafe_code,
    reason = "an allocator and a memory map; nothing else in this crate is unsafe"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    arch::asm,
    cell::Cell,
    hint::black_box,
    iter,
    marker::PhantomData,
    ptr::{self, NonNull},
    slice,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use ai_gateway_api::memory::Memory;
use linked_list_allocator::Heap;
use rustix::{
    mm::{Advice, MapFlags, MlockFlags, ProtFlags, madvise, mlock_with, mmap_anonymous},
    process::{Resource, getrlimit},
};

/// Smallest useful size.
const MIN: usize = 256 << 10;
/// The kernel's page size, in bytes. If pages are larger, more than necessary is checked.
const PAGE: usize = 4096;
/// Part of the limit that is left to other users of locked memory in this process (io_uring, TLS libraries).
const MARGIN: usize = 256 << 10;

static HEAP: Mutex<Heap> = Mutex::new(Heap::empty());
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static SPILLED: AtomicUsize = AtomicUsize::new(0);
/// Bytes that growing texts are about to allocate.
static GROWING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is inside [`locked`].
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The process's allocator; a binary installs it with `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

/// The arena could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The system allows too little.
    #[error("only {0} bytes can be locked in memory: raise the memlock limit (ulimit -l)")]
    Limit(usize),
    /// The system refused.
    #[error("memory cannot be locked")]
    System(#[from] rustix::io::Errno),
    /// An arena exists already.
    #[error("an arena exists already")]
    Twice,
}

/// There is no room for a growing text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("locked memory is full")]
pub struct ArenaFull;

/// Usage of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub used: usize,
    /// Bytes in total; 0 if there is no arena.
    pub size: usize,
    /// Blocks that did not fit into the arena.
    pub spilled: usize,
}

/// Creates the arena, of `size` bytes or what `RLIMIT_MEMLOCK` allows; returns its size.
///
/// # Errors
///
/// See [`ArenaError`]; without an arena, [`locked`] allocates from the system.
pub fn init(size: usize) -> Result<usize, ArenaError> {
    let allowed = getrlimit(Resource::Memlock).current.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(MARGIN)
    });
    let size = size.min(allowed) & !0xfff;
    if size < MIN {
        return Err(ArenaError::Limit(allowed));
    }
    let mut heap = HEAP.lock().unwrap_or_else(PoisonError::into_inner);
    if END.load(Ordering::Acquire) != 0 {
        return Err(ArenaError::Twice);
    }
    // SAFETY: a new anonymous mapping, chosen by the kernel, overlaps nothing.
    let start = unsafe {
        mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }?;
    // SAFETY: the range is the mapping just made, which nothing else uses; none of these calls changes its contents.
    unsafe {
        mlock_with(start, size, MlockFlags::ONFAULT)?;
        madvise(start, size, Advice::LinuxDontDump)?;
        madvise(start, size, Advice::LinuxDontFork)?;
        // The heap is given the whole mapping, which is never unmapped.
        heap.init(start.cast(), size);
    }
    START.store(start as usize, Ordering::Release);
    END.store(start as usize + size, Ordering::Release);
    Ok(size)
}

/// Proof that allocations are made in the arena. Only [`locked`] creates it, for its own thread and while its closure
/// runs.
#[derive(Clone, Copy, Debug)]
pub struct InArena<'a>(PhantomData<*const &'a ()>);

impl Memory for InArena<'_> {}

/// Runs `work` with its allocations in the arena.
pub fn locked<T>(work: impl for<'a> FnOnce(InArena<'a>) -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            INSIDE.set(self.0);
        }
    }
    let _restore = Restore(INSIDE.replace(true));
    work(InArena(PhantomData))
}

/// Whether `bytes` more fit, leaving an eighth free for requests in progress.
#[must_use]
pub fn has_room(bytes: usize) -> bool {
    let usage = usage();
    let used = usage.used.saturating_add(GROWING.load(Ordering::Acquire));
    usage.size == 0 || used.saturating_add(bytes) <= usage.size / 8 * 7
}

/// Appends to a text in the arena. To grow it, there must be room for the larger copy beside the old one, which is
/// zeroed after copying.
///
/// # Errors
///
/// [`ArenaFull`]; then the text is as it was.
pub fn append(text: &mut String, more: &str) -> Result<(), ArenaFull> {
    let len = text.len().saturating_add(more.len());
    if len > text.capacity() {
        // Half more than needed, so that it is not copied for each word.
        grow(text, len.saturating_add(len / 2)).or_else(|ArenaFull| grow(text, len))?;
    }
    text.push_str(more);
    Ok(())
}

/// Moves a text into a block of `bytes` bytes.
fn grow(text: &mut String, bytes: usize) -> Result<(), ArenaFull> {
    let _growth = GrowthReservation::begin(bytes)?;
    let mut larger = locked(|_| String::with_capacity(bytes));
    // The free space may be fragmented.
    if END.load(Ordering::Acquire) != 0 && !holds(larger.as_mut_ptr()) {
        return Err(ArenaFull);
    }
    larger.push_str(text);
    *text = larger;
    Ok(())
}

/// A reservation for a growing text, in bytes.
struct GrowthReservation(usize);

impl GrowthReservation {
    fn begin(bytes: usize) -> Result<Self, ArenaFull> {
        GROWING.fetch_add(bytes, Ordering::AcqRel);
        let growth = Self(bytes);
        if has_room(0) { Ok(growth) } else { Err(ArenaFull) }
    }
}

impl Drop for GrowthReservation {
    fn drop(&mut self) {
        GROWING.fetch_sub(self.0, Ordering::AcqRel);
    }
}

/// The arena's current usage.
#[must_use]
pub fn usage() -> Usage {
    let heap = HEAP.lock().unwrap_or_else(PoisonError::into_inner);
    Usage { used: heap.used(), size: heap.size(), spilled: SPILLED.load(Ordering::Relaxed) }
}

fn is_inside() -> bool {
    INSIDE.try_with(Cell::get).unwrap_or(false)
}

fn holds(block: *mut u8) -> bool {
    (START.load(Ordering::Acquire)..END.load(Ordering::Acquire)).contains(&(block as usize))
}

fn take(layout: Layout) -> Option<*mut u8> {
    if END.load(Ordering::Acquire) == 0 {
        return None;
    }
    let mut heap = HEAP.lock().unwrap_or_else(PoisonError::into_inner);
    let block = heap.allocate_first_fit(layout).ok();
    if block.is_none() {
        SPILLED.fetch_add(1, Ordering::Relaxed);
    }
    block.map(NonNull::as_ptr)
}

/// Zeroes a block. Pages that contain only zeros are only read, so that the kernel need not allocate pages that were
/// never written.
///
/// # Safety
///
/// `block` has `size` bytes that nothing else uses.
unsafe fn wipe(block: *mut u8, size: usize) {
    // SAFETY: the assembly may have written any bytes, so the compiler must treat all of them as initialized after it.
    let bytes = unsafe {
        asm!("/* {} */", in(reg) block, options(nostack, preserves_flags));
        slice::from_raw_parts_mut(block, size)
    };
    if size < PAGE {
        bytes.fill(0);
    } else {
        let (first, pages) = bytes.split_at_mut(block.align_offset(PAGE).min(size));
        for page in iter::once(first).chain(pages.chunks_mut(PAGE)) {
            // The whole page, without a branch for each byte.
            if page.iter().fold(0, |all, byte| all | byte) != 0 {
                page.fill(0);
            }
        }
    }
    // Keeps the compiler from removing writes that are never read.
    black_box(block);
}

// SAFETY: every block comes from exactly one of two allocators, told apart by its address for as long as it lives:
// the arena's range is fixed before any block of it exists and belongs to no one else. Both keep the contract of
// their layouts, neither unwinds, and neither allocates through this one (the lock and the heap need no memory).
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_inside()
            && let Some(block) = take(layout)
        {
            return block;
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_inside() {
            // SAFETY: the caller keeps the contract of `alloc`; a block that is not null has `size` bytes.
            unsafe {
                let block = self.alloc(layout);
                if !block.is_null() {
                    ptr::write_bytes(block, 0, layout.size());
                }
                return block;
            }
        }
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up a block of this layout, so its bytes may be written until it is given back.
        unsafe { wipe(block, layout.size()) };
        if holds(block) {
            let mut heap = HEAP.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(block) = NonNull::new(block) {
                // SAFETY: it lies in the arena, so `take` allocated it with this layout.
                unsafe { heap.deallocate(block, layout) };
            }
            return;
        }
        // SAFETY: it does not lie in the arena, so the system allocated it with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller makes sure that `size`, rounded up to the alignment, does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // A block in the arena stays in the arena.
        let block_of = || unsafe { self.alloc(new_layout) };
        let new = if holds(block) { locked(|_| block_of()) } else { block_of() };
        if !new.is_null() {
            // SAFETY: two live blocks that do not overlap, of at least so many bytes; the old one is given up.
            unsafe {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}
