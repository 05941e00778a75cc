//! Vm: owns the parts of one VM and orders capture and restore.
//!
//! ```text
//!            rlua_* that needs V1: lock, ask Lua
//!   Idle  ----------------------------------------->  Working
//!    ^  <-----------------------------------------  (capture, restore, close)
//!    |               done, or an error                   |
//!    | Lua returns                                       | a panic (V2)
//!    v                                                   v
//!  Running (Lua's own depth counter says so)          Poisoned: only lua_close is left
//! ```
//!
//! # Invariants
//! - V1 *idle*: capture, restore, discard and close run only when no Lua frame of this VM is on
//!   the C stack, of any thread.
//! - V2 *poison*: a Rust panic is caught at the ABI and poisons the VM: later calls answer
//!   POISONED, the host lives.
//!
//! # Not here
//! NULL checks and codes ([`crate::ffi`]); which address belongs to which VM ([`registry`]).

mod heap;
pub mod host;
pub mod registry;

use crate::arena::Arena;
use crate::error::{Error, Result, Sentence};
use crate::lua::{self, lua_State};
use crate::region;
use crate::snapshot::History;
use crate::tracker::{self, Backend, Live};
use crate::units::{Frame, pages_for};
use std::ffi::c_char;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most snapshots that a VM keeps: a bound on nonsense, not on memory.
pub const MAX_SNAPSHOTS: usize = 1 << 20;

/// How fast the incremental collector works; 0 in a field leaves Lua's own value.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// Percent of the live bytes at which the next cycle starts.
    pub pause: i32,
    /// Work per byte that is allocated, in percent.
    pub step_multiplier: i32,
    /// Logarithm of the bytes that are allocated between two steps.
    pub step_size: i32,
    /// Divides the work of a step while it sweeps; 1 is Lua's own.
    pub sweep_divisor: u32,
}

impl Pacing {
    /// Lua's own.
    pub const STOCK: Pacing =
        Pacing { pause: 0, step_multiplier: 0, step_size: 0, sweep_divisor: 0 };

    /// For rollback: a cycle is spread over many frames. Lua's own pacing marks and sweeps within
    /// a frame or two and writes to nearly every page then (93 % of a 4 MiB world, where this
    /// writes to 28 to 34 %, 99 of 100 frames to 24 %); this takes up to 1.2 times the memory.
    pub const ROLLBACK: Pacing =
        Pacing { pause: 200, step_multiplier: 4, step_size: 12, sweep_divisor: 8 };
}

/// How a VM is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// The state never exceeds this; 0 is the maximum.
    pub memory_bytes: usize,
    /// Snapshots kept; 0 keeps none.
    pub max_snapshots: usize,
    /// Seed of string hashes; `None` takes a random one, as stock Lua does.
    pub seed: Option<u64>,
    /// `rlua_Tracker`; 0 chooses.
    pub tracker: i32,
    /// Of the collector.
    pub pacing: Pacing,
}

/// One VM. In C's order and from the start of a cache line, so that what a call needs first comes
/// first, and sentences last: see [`warm`].
#[repr(C, align(64))]
pub struct Vm {
    /// The OS thread inside a call of ours, 0 for none; a second one gets BUSY.
    holder: AtomicUsize,
    /// Set while a call that needs V1 works: what it calls back gets BUSY.
    working: AtomicBool,
    poisoned: AtomicBool,
    main: *mut lua_State,
    /// Boxed by hand: Lua's allocation function holds this pointer too.
    arena: *mut Arena,
    tracker: Backend,
    history: History,
    host: host::Host,
    /// Locked, since two threads may fail at once by mistake.
    last_error: Mutex<Sentence>,
}

impl Vm {
    /// Makes a VM; it is not in the registry yet.
    pub fn open(config: &Config) -> Result<Box<Vm>> {
        if config.max_snapshots > MAX_SNAPSHOTS {
            return Err(Error::TooManySnapshots {
                wanted: config.max_snapshots,
                max: MAX_SNAPSHOTS,
            });
        }
        let limit = match config.memory_bytes {
            0 => region::MAX_BYTES,
            bytes => bytes,
        };
        let arena = Box::new(Arena::new(limit)?);
        // SAFETY: the arena's region lives as long as the VM, which owns both.
        let tracker =
            unsafe { tracker::open(config.tracker, arena.base(), arena.reserved_bytes())? };
        let arena = Box::into_raw(arena);
        let mut vm = Box::new(Vm {
            arena,
            main: std::ptr::null_mut(),
            history: History::new(config.max_snapshots),
            tracker,
            host: host::Host::default(),
            holder: AtomicUsize::new(0),
            working: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            last_error: Mutex::new(Sentence::new()),
        });
        let seed = config.seed.map(fold_seed);
        let seed = seed.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the arena lives as long as the VM, and nothing else uses it while Lua runs.
        vm.main = unsafe { lua::rlua_c_open(Arena::allocate, arena.cast(), seed) };
        if vm.main.is_null() {
            return Err(Error::NoMemoryForVm { limit_bytes: limit });
        }
        let Pacing { pause, step_multiplier, step_size, sweep_divisor } = config.pacing;
        // SAFETY: a new state, on which nothing runs; the call raises nothing and allocates nothing.
        unsafe { lua::rlua_c_pace(vm.main, pause, step_multiplier, step_size, sweep_divisor) };
        Ok(vm)
    }

    /// The main thread.
    pub fn main(&self) -> *mut lua_State {
        self.main
    }

    /// Whether a panic was caught in this VM.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// The allocator; only for reading while Lua is not running.
    pub fn arena(&self) -> &Arena {
        // SAFETY: made by open(), freed by drop().
        unsafe { &*self.arena }
    }

    /// The held snapshots.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The tracker's number in the C API.
    pub fn tracker_id(&self) -> i32 {
        self.tracker.id()
    }

    /// The sentence of the last failure; empty before the first. Valid until the next failure.
    pub fn last_error(&self) -> *const c_char {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).as_ptr()
    }

    /// Keeps the sentence of a failure.
    pub fn set_last_error(&self, sentence: fmt::Arguments<'_>) {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).set(sentence);
    }

    fn live(&self) -> Live {
        let arena = self.arena();
        Live { base: arena.base(), used_pages: pages_for(arena.used_bytes()) }
    }

    /// The label of the next snapshot: `frame`, or the one after the newest.
    fn next_frame(&self, frame: Option<Frame>) -> Result<Frame> {
        if self.history.max_snapshots() == 0 {
            return Err(Error::Disabled);
        }
        let newest = self.history.frames().map(|(_, newest)| newest.0);
        match (frame, newest) {
            (Some(Frame(wanted)), Some(newest)) if wanted <= newest => {
                Err(Error::BadFrame { wanted, newest })
            }
            (Some(frame), _) => Ok(frame),
            (None, Some(newest)) => newest.checked_add(1).map(Frame).ok_or(Error::NoMoreFrames),
            (None, None) => Ok(Frame(0)),
        }
    }

    /// How many restores back the snapshot with that label is.
    fn steps_to(&self, frame: Frame) -> Result<usize> {
        self.history.steps_to(frame).ok_or_else(|| {
            let range = self.history.frames().map(|(oldest, newest)| (oldest.0, newest.0));
            Error::NoSuchFrame { wanted: frame.0, range }
        })
    }

    /// Walks everything and verifies the invariants.
    pub fn check(&self) -> Result<()> {
        let check = self.arena().check().and_then(|()| self.history.check());
        let check = check.and_then(|()| self.host.check(self.history.count()));
        check.map_err(|what| Error::Corrupt { what })?;
        heap::check(self)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: made by open(); Lua is gone, so nothing else holds the pointer.
        drop(unsafe { Box::from_raw(self.arena) });
    }
}

/// Holds a VM for this OS thread. Calls nest: a host function makes calls of its own.
struct Hold {
    /// Raw, since the VM that it lies in is borrowed mutably meanwhile.
    holder: *const AtomicUsize,
    outermost: bool,
}

impl Hold {
    /// A number that is this thread's own, never 0. A thread-local's address in a shared library
    /// takes a call; the thread pointer is one load.
    #[inline(always)]
    fn me() -> usize {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        {
            let pointer: usize;
            // SAFETY: the System V ABI keeps the thread pointer at fs:0; only that is read.
            unsafe {
                std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, pure, readonly));
            }
            pointer
        }
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        {
            thread_local! {
                static MARK: u8 = const { 0 };
            }
            MARK.with(|mark| std::ptr::from_ref(mark) as usize)
        }
    }

    /// # Safety
    /// `holder` outlives the hold.
    unsafe fn take(holder: *const AtomicUsize) -> Result<Hold> {
        let me = Hold::me();
        // SAFETY: the contract above.
        let taken =
            unsafe { (*holder).compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) };
        match taken {
            Ok(_) => Ok(Hold { holder, outermost: true }),
            Err(other) if other == me => Ok(Hold { holder, outermost: false }),
            Err(_) => Err(Error::Busy),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.outermost {
            // SAFETY: the contract of take().
            unsafe { (*self.holder).store(0, Ordering::Release) };
        }
    }
}

/// Runs a protected call: Lua may be running, on this OS thread.
///
/// # Safety
/// `vm` is live, and no other thread closes it during the call.
#[inline]
pub unsafe fn when_mine<T>(vm: *mut Vm, work: impl FnOnce() -> T) -> Result<T> {
    // SAFETY: live, by the contract above; only atomics are touched. `work` returns normally (L1).
    unsafe {
        if (*vm).is_poisoned() {
            return Err(Error::Poisoned);
        }
        let _hold = Hold::take(&raw const (*vm).holder)?;
        Ok(work())
    }
}

/// Takes a VM for a protected call, which is C: the word to clear at its end, or NULL where an
/// outer call on this thread does that.
///
/// # Safety
/// As for [`when_mine`].
#[inline]
pub unsafe fn enter(vm: *mut Vm) -> Result<*const AtomicUsize> {
    // SAFETY: live, by the contract above; only atomics are touched.
    unsafe {
        if (*vm).is_poisoned() {
            return Err(Error::Poisoned);
        }
        let hold = ManuallyDrop::new(Hold::take(&raw const (*vm).holder)?);
        Ok(if hold.outermost { hold.holder } else { std::ptr::null() })
    }
}

/// As [`enter`], whoever holds the VM: what held it is gone, as the host promises.
///
/// # Safety
/// As for [`when_mine`].
pub unsafe fn seize(vm: *mut Vm) -> Result<*const AtomicUsize> {
    // SAFETY: live, by the contract above; only atomics are touched.
    unsafe {
        if (*vm).is_poisoned() {
            return Err(Error::Poisoned);
        }
        if (*vm).working.load(Ordering::Relaxed) {
            return Err(Error::Busy);
        }
        (*vm).holder.store(Hold::me(), Ordering::Relaxed);
        Ok(&raw const (*vm).holder)
    }
}

/// Sees that a call may look at a VM that Lua may be running in, without holding it.
///
/// # Safety
/// As for [`when_mine`].
#[inline]
pub unsafe fn look(vm: *mut Vm) -> Result<()> {
    // SAFETY: live, by the contract above; only atomics are touched.
    unsafe {
        if (*vm).is_poisoned() {
            return Err(Error::Poisoned);
        }
        match (*vm).holder.load(Ordering::Relaxed) {
            0 => Ok(()),
            other if other == Hold::me() => Ok(()),
            _ => Err(Error::Busy),
        }
    }
}

/// Runs `work` on an idle VM: the lock, V1 and V2 in one place. `work` gets a pointer, since what
/// it calls back enters the VM again.
///
/// # Safety
/// `vm` is live, and no other thread closes it during the call.
pub unsafe fn when_idle<T>(vm: *mut Vm, work: impl FnOnce(*mut Vm) -> Result<T>) -> Result<T> {
    // SAFETY: the contract above.
    unsafe {
        when_held(vm, |vm| {
            see_idle(vm)?;
            let outcome = work(vm);
            host::settle(vm);
            outcome
        })
    }
}

/// Asks the cache for all of a VM but its sentence. Of 10,000 idle VMs each is cold when its turn
/// comes: its lines come at once then, while the kernel counts faults, instead of one by one.
#[inline]
fn warm(vm: *const Vm) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..std::mem::offset_of!(Vm, last_error)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, at any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(vm.byte_add(line).cast()) }
    }
}

/// V1, as Lua knows it.
///
/// # Safety
/// `vm` is live and held.
unsafe fn see_idle(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    match unsafe { lua::rlua_c_is_idle((*vm).main) } {
        0 => Err(Error::Busy),
        _ => Ok(()),
    }
}

/// The lock and V2. `work` sees to V1 by itself, and settles.
///
/// # Safety
/// As for [`when_idle`].
pub unsafe fn when_held<T>(vm: *mut Vm, work: impl FnOnce(*mut Vm) -> Result<T>) -> Result<T> {
    // SAFETY: live, by the contract above. Until the VM is held only atomics are touched.
    unsafe {
        warm(vm);
        if (*vm).is_poisoned() {
            return Err(Error::Poisoned);
        }
        let _hold = Hold::take(&raw const (*vm).holder)?;
        if (*vm).working.swap(true, Ordering::Relaxed) {
            return Err(Error::Busy);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| work(vm)));
        let outcome = outcome.unwrap_or_else(|_| {
            (*vm).poisoned.store(true, Ordering::Relaxed);
            Err(Error::Poisoned)
        });
        (*vm).working.store(false, Ordering::Relaxed);
        outcome
    }
}

/// Lua's seed has 32 bits; every bit of ours counts.
fn fold_seed(seed: u64) -> u32 {
    let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32 ^ mixed as u32
}
