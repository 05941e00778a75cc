//! Hooks: what the protected calls, which are C, ask of the guard before and after they run Lua.
//!
//! None of these runs Lua, and none is on the stack while Lua or a host's function runs: so a raise
//! or a foreign unwinding crosses no Rust frame (L1).
//!
//! # Not here
//! The calls themselves (`src/lua/calls.h`).

use crate::error::{Error, Status};
use crate::ffi::{fail, find, note};
use crate::lua::{self, Hold, Hooks, lua_State};
use crate::vm::{self, Vm, host};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::AtomicUsize;

/// As in the header, of `src/lua/calls.h`.
pub type rlua_HostFunction =
    Option<unsafe extern "C" fn(L: *mut lua_State, ud: *mut c_void) -> c_int>;

static HOOKS: Hooks = Hooks {
    enter,
    seize,
    same,
    null: null_argument,
    refuse,
    full,
    failed,
    collected: host::collected,
    exiting: host::exiting,
};

/// Before anything else of the library runs: a call with no VM at all has its sentence too.
#[ctor::ctor(unsafe)]
fn set_hooks() {
    // SAFETY: the table lives as long as the library, and no other thread runs yet.
    unsafe { lua::rlua_c_set_hooks(&HOOKS) }
}

/// All functions below share one contract.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread closes during the call; pointers
/// to text are strings; `hold` is a place for one.
unsafe extern "C" fn enter(L: *mut lua_State, hold: *mut Hold) -> c_int {
    // SAFETY: the contract above.
    unsafe {
        if let Ok(vm) = find(L)
            && let Ok(word) = vm::enter(vm)
        {
            (*hold).word = word;
            return Status::Ok as c_int;
        }
        refused(L, vm::enter)
    }
}

/// As `enter`, whoever holds the VM.
unsafe extern "C" fn seize(L: *mut lua_State, hold: *mut Hold) -> c_int {
    // SAFETY: the contract above.
    unsafe {
        if let Ok(vm) = find(L)
            && let Ok(word) = vm::seize(vm)
        {
            (*hold).word = word;
            return Status::Ok as c_int;
        }
        refused(L, vm::seize)
    }
}

/// Asks again, for the error: so the way that succeeds saves no registers. Where it succeeds now,
/// the thread that was in the way has just gone.
#[cold]
#[inline(never)]
unsafe fn refused(
    L: *mut lua_State,
    take: unsafe fn(*mut Vm) -> crate::error::Result<*const AtomicUsize>,
) -> c_int {
    let vm = match find(L) {
        Ok(vm) => vm,
        Err(error) => return fail(None, &error),
    };
    // SAFETY: live, by the contract above; what was taken is given back at once.
    unsafe {
        match take(vm) {
            Err(error) => fail(Some(vm), &error),
            Ok(word) => {
                if let Some(word) = word.as_ref() {
                    word.store(0, std::sync::atomic::Ordering::Release);
                }
                fail(Some(vm), &Error::Busy)
            }
        }
    }
}

unsafe extern "C" fn same(L: *mut lua_State, other: *mut lua_State) -> c_int {
    matches!((find(L), find(other)), (Ok(vm), Ok(others)) if vm == others) as c_int
}

/// Notes that a pointer is NULL.
pub(super) fn null(L: *mut lua_State, name: &'static str) -> c_int {
    fail(find(L).ok(), &Error::NullArg { name })
}

unsafe extern "C" fn null_argument(
    L: *mut lua_State,
    function: *const c_char,
    argument: *const c_char,
) -> c_int {
    // SAFETY: the contract above.
    let (function, argument) = unsafe { (text(function), text(argument)) };
    note(find(L).ok(), format_args!("{function}: {argument} is NULL"));
    Status::NullArg as c_int
}

unsafe extern "C" fn refuse(
    L: *mut lua_State,
    function: *const c_char,
    why: *const c_char,
) -> c_int {
    // SAFETY: the contract above.
    let (function, why) = unsafe { (text(function), text(why)) };
    note(find(L).ok(), format_args!("{function}: {why}"));
    Status::BadArg as c_int
}

unsafe extern "C" fn full(L: *mut lua_State, function: *const c_char) -> c_int {
    // SAFETY: the contract above.
    let function = unsafe { text(function) };
    let error = Error::StackFull;
    note(find(L).ok(), format_args!("{function}: {error}"));
    error.status() as c_int
}

/// `L` has an error value on top, but after a yield.
unsafe extern "C" fn failed(L: *mut lua_State, function: *const c_char, status: c_int) -> c_int {
    // SAFETY: the contract above.
    unsafe { note_failed(L, text(function), status) as c_int }
}

/// The status that goes with Lua's; notes the error value on top.
///
/// # Safety
/// `L` is a live thread, with an error value on top if the status is one of an error.
pub(super) unsafe fn note_failed(L: *mut lua_State, function: &str, status: c_int) -> Status {
    let status = match status {
        1 => return Status::Yield,
        3 => Status::ErrSyntax,
        4 => Status::ErrMem,
        5 => Status::ErrErr,
        6 => Status::ErrFile,
        _ => Status::ErrRun,
    };
    let mut copy = [0; 400];
    // SAFETY: the contract above.
    let text = unsafe { error_text(L, &mut copy) };
    note(find(L).ok(), format_args!("{function}: {text}"));
    status
}

/// A copy of the error value on top, when it is a string; cut where it is long.
///
/// # Safety
/// `L` is live and has an error value on top.
unsafe fn error_text(L: *mut lua_State, copy: &mut [u8; 400]) -> &str {
    let mut length = 0;
    // SAFETY: the contract above; a raw copy of at most the copy's length (R3).
    unsafe {
        let text = lua::rlua_c_error_text(L, &mut length).cast::<u8>();
        if text.is_null() {
            return "an error value that is no string";
        }
        length = length.min(copy.len());
        ptr::copy_nonoverlapping(text, copy.as_mut_ptr(), length);
    }
    copy[..length].utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// What C says, which is ASCII but for what a host called its names.
unsafe fn text<'a>(text: *const c_char) -> &'a str {
    // SAFETY: a string, by the contract above.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}
