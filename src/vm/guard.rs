//! Guard: who may enter a VM, and what a caller that may not is told.
//!
//! ```text
//!            work(): hold, ask Lua (V1)
//!   Idle  ----------------------------------------->  Working
//!    ^  <-----------------------------------------  (capture, restore, close)
//!    |               done, or an error                   |
//!    | Lua returns                                       | a panic (V2)
//!    v                                                   v
//!  Running (Lua's own depth counter says so)          Poisoned: only lua_close is left
//! ```
//!
//! Three doors, by what a call needs. Each takes a pointer that may be NULL, foreign or closed, and
//! answers a status; the sentence of a failure is noted on the VM and on the OS thread.
//!
//! | door | for | refused |
//! |---|---|---|
//! | [`look`] | reading | another OS thread is inside |
//! | [`call`] | what may also run while Lua does | that, poison, and a seal ([`Mark::sealed`]) |
//! | [`work`] | what needs an idle VM | that, and a call that works already; the job sees to V1 |
//!
//! # Not here
//! The order of what a job does ([`super::timeline`]).

use super::registry::{self, Owner};
use super::{Vm, timeline};
use crate::error::{Busy, Error, Result, Sentence, Status, Text};
use crate::lua::{self, lua_State};
use crate::sys;
use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::fmt;
use std::mem::{self, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

thread_local! {
    static THREAD_ERROR: RefCell<Sentence> = const { RefCell::new(Sentence::new()) };
}

/// Notes a failure to enter the VM of that thread and answers its code. The VM gets the sentence
/// too, but for the one that another OS thread is inside.
///
/// # Safety
/// As for [`look`].
pub unsafe fn refuse(thread: *mut lua_State, error: &Error) -> c_int {
    // SAFETY: live where it is found, by the contract above; held while it is noted.
    unsafe {
        let held = find(thread).and_then(|vm| Ok((vm, Hold::take(vm)?)));
        fail(held.as_ref().ok().map(|(vm, _)| *vm), error)
    }
}

/// Notes a failure and answers its code. `vm` is held.
pub fn fail(vm: Option<*mut Vm>, error: &Error) -> c_int {
    note(vm, format_args!("{error}"));
    error.status() as c_int
}

/// Keeps a sentence for rlua_last_error, on the thread and on the VM it belongs to, which is held.
pub fn note(vm: Option<*mut Vm>, sentence: fmt::Arguments<'_>) {
    if let Some(vm) = vm {
        // SAFETY: callers pass a VM that they hold; only the holder touches the sentence.
        unsafe { (*vm).last_error.set(sentence) };
    }
    // A thread that is being torn down has no place for it any more; the VM has.
    let _ = THREAD_ERROR.try_with(|slot| slot.borrow_mut().set(sentence));
}

/// The sentence of the last failure on a VM; for a state that is not one of ours, or that another
/// OS thread is inside, of the last one on this thread.
///
/// # Safety
/// As for [`look`].
pub unsafe fn last_error(thread: *mut lua_State) -> *const c_char {
    // SAFETY: live where it is found; the sentence is the holder's.
    unsafe {
        match find(thread).and_then(|vm| Ok((vm, Hold::take(vm)?))) {
            Ok((vm, _hold)) => (*vm).last_error.as_ptr(),
            Err(_) => THREAD_ERROR.try_with(|slot| slot.borrow().as_ptr()).unwrap_or(c"".as_ptr()),
        }
    }
}

/// What C answered to a protected call: 0, [`lua::REFUSED_STACK`], or one of Lua's errors, whose
/// value is then on top.
///
/// # Safety
/// `thread` is live and held.
pub unsafe fn answered(
    thread: *mut lua_State,
    function: &'static str,
    answer: c_int,
) -> Result<()> {
    match answer {
        0 => Ok(()),
        lua::REFUSED_STACK => Err(Error::StackFull),
        // SAFETY: by the contract above.
        _ => unsafe {
            let (status, text) = (lua_status(answer), error_text(thread));
            Err(Error::Lua { function, status, text })
        },
    }
}

/// The status that goes with Lua's.
pub fn lua_status(status: c_int) -> Status {
    match status {
        1 => Status::Yield,
        3 => Status::ErrSyntax,
        4 => Status::ErrMem,
        5 => Status::ErrErr,
        6 => Status::ErrFile,
        7 => Status::Budget,
        _ => Status::ErrRun,
    }
}

/// The error value on top, when it is a string; cut where it is long.
///
/// # Safety
/// `thread` is live and held, with an error value on top.
pub unsafe fn error_text<const ROOM: usize>(thread: *mut lua_State) -> Text<ROOM> {
    let (mut copy, mut length) = ([0; ROOM], 0);
    // SAFETY: by the contract above; a raw copy of at most the copy's length (R3).
    unsafe {
        let text = lua::rlua_c_error_text(thread, &mut length).cast::<u8>();
        if text.is_null() {
            return Text::from("an error value that is no string");
        }
        length = length.min(ROOM);
        ptr::copy_nonoverlapping(text, copy.as_mut_ptr(), length);
    }
    Text::from_lossy(&copy[..length])
}

/// The VM that a thread belongs to.
#[inline]
pub fn find(thread: *mut lua_State) -> Result<*mut Vm> {
    if thread.is_null() {
        return Err(Error::NullArg { name: "L" });
    }
    match registry::find(thread) {
        Owner::Live(vm) => Ok(vm),
        Owner::Closed | Owner::Foreign => Err(Error::NotRollback),
    }
}

/// Holds a VM for this OS thread. Calls nest: a host function makes calls of its own.
struct Hold {
    holder: *const AtomicUsize,
    outermost: bool,
}

impl Hold {
    /// # Safety
    /// `vm` outlives the hold, or the hold is forgotten.
    #[inline]
    unsafe fn take(vm: *mut Vm) -> Result<Hold> {
        let me = sys::thread::id();
        // SAFETY: the contract above; an atomic.
        let holder = unsafe { &raw const (*vm).holder };
        // SAFETY: as above.
        let taken =
            unsafe { (*holder).compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) };
        match taken {
            Ok(_) => Ok(Hold { holder, outermost: true }),
            Err(other) if other == me => Ok(Hold { holder, outermost: false }),
            Err(_) => Err(Error::Busy(Busy::OtherThread)),
        }
    }
}

impl Drop for Hold {
    #[inline]
    fn drop(&mut self) {
        if self.outermost {
            // SAFETY: the contract of take().
            unsafe { (*self.holder).store(0, Ordering::Release) };
        }
    }
}

/// A mark on a VM, for as long as this lives.
#[must_use]
pub struct Mark {
    flag: *const AtomicBool,
    before: bool,
}

impl Mark {
    /// # Safety
    /// The flag outlives the mark, or the mark is forgotten.
    unsafe fn set(flag: *const AtomicBool) -> Mark {
        // SAFETY: the contract above; an atomic.
        Mark { flag, before: unsafe { (*flag).swap(true, Ordering::Relaxed) } }
    }

    /// It is between two states: what needs V1 answers BUSY. It may be marked already.
    ///
    /// # Safety
    /// `vm` is held and outlives the mark, or the mark is forgotten.
    pub(super) unsafe fn working(vm: *mut Vm) -> Mark {
        // SAFETY: the contract above.
        unsafe { Mark::set(&raw const (*vm).working) }
    }

    /// The same, where it is not marked yet.
    ///
    /// # Safety
    /// As for [`Mark::working`].
    pub(super) unsafe fn begin(vm: *mut Vm) -> Result<Mark> {
        // SAFETY: the contract above.
        let mark = unsafe { Mark::working(vm) };
        if mark.before { Err(Error::Busy(Busy::Working)) } else { Ok(mark) }
    }

    /// A function of the host runs that must not use it: all but reading answers BUSY.
    ///
    /// # Safety
    /// `vm` is live, and outlives the mark.
    pub unsafe fn sealed(vm: *const Vm) -> Mark {
        // SAFETY: the contract above.
        unsafe { Mark::set(&raw const (*vm).sealed) }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // SAFETY: the contract of set().
        unsafe { (*self.flag).store(self.before, Ordering::Relaxed) };
    }
}

/// Runs a job on the VM of that thread, held, with V2.
///
/// # Safety
/// `thread` is NULL, foreign, or a thread of a VM that no other OS thread closes during the call.
#[inline]
unsafe fn enter(thread: *mut lua_State, job: impl FnOnce(*mut Vm) -> Result<()>) -> c_int {
    // SAFETY: live where it is found, by the contract above.
    unsafe {
        let held = find(thread).and_then(|vm| Ok((vm, Hold::take(vm)?)));
        let (vm, _hold) = match held {
            Ok(held) => held,
            Err(error) => return fail(None, &error),
        };
        match contain(vm, Err(Error::Poisoned), job) {
            Ok(()) => Status::Ok as c_int,
            Err(error) => fail(Some(vm), &error),
        }
    }
}

/// Runs a hook's job on the VM of a thread, with V2: the way of C in, while Lua runs and the VM is
/// held. `or` is the answer where there is no VM, or the job panicked. A job that calls a host's
/// code or Lua keeps no reference meanwhile (V3).
///
/// # Safety
/// Lua runs in the VM, or a function of ours that holds it, on this OS thread.
pub(super) unsafe fn hooked<T>(thread: *mut lua_State, or: T, job: impl FnOnce(*mut Vm) -> T) -> T {
    let Ok(vm) = find(thread) else { return or };
    // SAFETY: live, by the contract above.
    unsafe { contain(vm, or, job) }
}

/// Runs a job; a panic poisons the VM (V2), and the answer is `or`.
///
/// # Safety
/// `vm` is live.
#[inline]
pub(super) unsafe fn contain<T>(vm: *mut Vm, or: T, job: impl FnOnce(*mut Vm) -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| job(vm))).unwrap_or_else(|_| {
        // SAFETY: the contract above.
        unsafe { (*vm).poisoned.store(true, Ordering::Relaxed) };
        or
    })
}

unsafe fn see_sound(vm: *mut Vm) -> Result<()> {
    // SAFETY: live (the callers).
    unsafe {
        match ((*vm).is_poisoned(), (*vm).sealed.load(Ordering::Relaxed)) {
            (true, _) => Err(Error::Poisoned),
            (_, true) => Err(Error::Busy(Busy::Sealed)),
            _ => Ok(()),
        }
    }
}

/// V1, as Lua knows it.
///
/// # Safety
/// `vm` is live and held.
pub(super) unsafe fn see_idle(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    match unsafe { lua::rlua_c_is_idle((*vm).main) } {
        0 => Err(Error::Busy(Busy::Running)),
        _ => Ok(()),
    }
}

/// Runs a job that only reads, also while Lua is running.
///
/// # Safety
/// `thread` is NULL, foreign, or a thread of a VM that no other OS thread closes during the call.
pub unsafe fn look(thread: *mut lua_State, job: impl FnOnce(&Vm) -> Result<()>) -> c_int {
    // SAFETY: the contract above; Lua's own use of the VM is suspended in the caller.
    unsafe { enter(thread, |vm| job(&*vm)) }
}

/// Runs a job that may also run while Lua does, on this OS thread. The job gets a pointer, since
/// what it calls back enters the VM again (V3).
///
/// # Safety
/// As for [`look`].
#[inline]
pub unsafe fn call(thread: *mut lua_State, job: impl FnOnce(*mut Vm) -> Result<()>) -> c_int {
    // SAFETY: the contract above.
    unsafe { enter(thread, |vm| see_sound(vm).and_then(|()| job(vm))) }
}

/// Runs a job that needs an idle VM, which it sees to by itself (V1), first of all: a capture can
/// know it without a look at the region. When it is done, what it dropped is settled.
///
/// # Safety
/// As for [`look`].
pub unsafe fn work(thread: *mut lua_State, job: impl FnOnce(*mut Vm) -> Result<()>) -> c_int {
    // SAFETY: the contract above.
    unsafe {
        warm(thread);
        enter(thread, |vm| {
            see_sound(vm)?;
            let _working = Mark::begin(vm)?;
            let outcome = job(vm);
            timeline::settle(vm);
            outcome
        })
    }
}

/// Takes a VM for a protected call, which is C: the word to clear at its end, or NULL where an
/// outer call on this OS thread does that.
///
/// # Safety
/// As for [`look`].
#[inline]
pub unsafe fn hold(thread: *mut lua_State) -> Result<*const AtomicUsize> {
    // SAFETY: live where it is found, by the contract above.
    unsafe {
        let vm = find(thread)?;
        see_sound(vm)?;
        let hold = mem::ManuallyDrop::new(Hold::take(vm)?);
        Ok(if hold.outermost { hold.holder } else { ptr::null() })
    }
}

/// As [`hold`], whoever holds the VM: what held it is gone, as the host promises.
///
/// # Safety
/// As for [`look`].
pub unsafe fn seize(thread: *mut lua_State) -> Result<*const AtomicUsize> {
    // SAFETY: live where it is found, by the contract above.
    unsafe {
        let vm = find(thread)?;
        see_sound(vm)?;
        if (*vm).working.load(Ordering::Relaxed) {
            return Err(Error::Busy(Busy::Working));
        }
        (*vm).holder.store(sys::thread::id(), Ordering::Relaxed);
        Ok(&raw const (*vm).holder)
    }
}

/// Whether a call may look at a VM without holding it: it is sound, and no other OS thread is
/// inside. One that enters meanwhile is not kept out.
///
/// # Safety
/// As for [`look`].
#[inline]
pub unsafe fn glance(thread: *mut lua_State) -> bool {
    let Owner::Live(vm) = registry::find(thread) else { return false };
    // SAFETY: live, by the contract above; only atomics are touched.
    unsafe {
        let holder = (*vm).holder.load(Ordering::Relaxed);
        !(*vm).is_poisoned() && (holder == 0 || holder == sys::thread::id())
    }
}

/// Asks the cache for all of a VM but its sentence. Of 10,000 idle VMs each is cold when its turn
/// comes: its lines come at once then, instead of one by one. Before anything else: an atomic
/// operation waits for what it needs, and nothing overtakes it.
#[inline]
fn warm(thread: *mut lua_State) {
    let vm = registry::hint(thread);
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let ask = |address: *const u8| {
            // SAFETY: a hint, at any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        };
        // Each region has page tables of its own, which take longest.
        ask(thread.wrapping_byte_sub(size_of::<usize>()).cast());
        for line in (0..offset_of!(Vm, last_error)).step_by(64) {
            ask(vm.wrapping_byte_add(line).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (vm, offset_of!(Vm, last_error));
}

/// Closes a VM: finalizers run, what is outside is released, memory goes. Refused, with a sentence,
/// while the VM is in use. A poisoned VM is closed without running anything in it.
///
/// # Safety
/// `vm` is live, and no other OS thread uses it any more.
pub unsafe fn close(vm: *mut Vm) {
    // SAFETY: live, by the contract above, until it is freed.
    unsafe {
        let hold = match Hold::take(vm) {
            Ok(hold) => hold,
            Err(error) => return refuse_close(None, &error),
        };
        if !(*vm).is_poisoned() {
            let finalized = catch_unwind(AssertUnwindSafe(|| {
                let _working = Mark::begin(vm)?;
                timeline::finalize(vm)
            }));
            if let Ok(Err(error)) = finalized {
                return refuse_close(Some(vm), &error);
            }
        }
        // Whatever a panic there leaves undone, the VM goes.
        let _ = catch_unwind(AssertUnwindSafe(|| timeline::close(vm)));
        registry::leave(vm);
        mem::forget(hold);
        Vm::free(vm);
    }
}

fn refuse_close(vm: Option<*mut Vm>, error: &Error) {
    match error {
        Error::Busy(busy) => note(vm, format_args!("{}", Error::BusyClose(*busy))),
        other => note(vm, format_args!("{other}")),
    }
}
