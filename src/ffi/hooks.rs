//! Hooks: what the protected calls, which are C, ask of the guard before and after they run Lua.
//!
//! None of these runs Lua, and none is on the stack while Lua or a host's function runs: so a raise
//! or a foreign unwinding crosses no Rust frame (L1).
//!
//! # Not here
//! The calls themselves (`src/lua/calls.h`).

use crate::digits;
use crate::error::{Error, Result, Status};
use crate::lua::{self, Hold, Hooks, lua_State};
use crate::vm::{Vm, guard, guarded, resources, streams};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::AtomicUsize;

/// As in the header, of `src/lua/calls.h`.
pub type rlua_HostFunction =
    Option<unsafe extern "C" fn(L: *mut lua_State, ud: *mut c_void) -> c_int>;

static HOOKS: Hooks = Hooks {
    allocate: Vm::ALLOCATE,
    allocate_for_host: Vm::ALLOCATE_FOR_HOST,
    enter,
    seize,
    same,
    null: null_argument,
    refuse,
    full,
    failed,
    collected: resources::collected,
    guard: guarded::guard,
    given_up: guarded::given_up,
    kept: guarded::kept,
    opened: streams::opened,
    closed: streams::closed,
    exiting: resources::exiting,
    scientific: digits::scientific,
    fixed: digits::fixed,
    nearest: digits::nearest,
};

/// Before anything else of the library runs: a call with no VM at all has its sentence too.
#[cfg_attr(not(miri), ctor::ctor(unsafe))]
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
    unsafe { taken(L, guard::hold(L), hold) }
}

/// As `enter`, whoever holds the VM.
unsafe extern "C" fn seize(L: *mut lua_State, hold: *mut Hold) -> c_int {
    // SAFETY: the contract above.
    unsafe { taken(L, guard::seize(L), hold) }
}

#[inline(always)]
unsafe fn taken(L: *mut lua_State, word: Result<*const AtomicUsize>, hold: *mut Hold) -> c_int {
    match word {
        Ok(word) => {
            // SAFETY: a place for one, by the contract above.
            unsafe { (*hold).word = word };
            Status::Ok as c_int
        }
        // SAFETY: the contract above.
        Err(error) => unsafe { refused(L, error) },
    }
}

/// Out of line, so that the way that succeeds saves no registers.
#[cold]
#[inline(never)]
unsafe fn refused(L: *mut lua_State, error: Error) -> c_int {
    // SAFETY: the contract above.
    unsafe { guard::refuse(L, &error) }
}

unsafe extern "C" fn same(L: *mut lua_State, other: *mut lua_State) -> c_int {
    matches!((guard::find(L), guard::find(other)), (Ok(vm), Ok(others)) if vm == others) as c_int
}

/// Notes what goes wrong in a call that holds the VM.
fn note(L: *mut lua_State, sentence: std::fmt::Arguments<'_>) {
    guard::note(guard::find(L).ok(), sentence);
}

unsafe extern "C" fn null_argument(
    L: *mut lua_State,
    function: *const c_char,
    argument: *const c_char,
) -> c_int {
    // SAFETY: the contract above.
    let (function, argument) = unsafe { (text(function), text(argument)) };
    note(L, format_args!("{function}: {argument} is NULL"));
    Status::NullArg as c_int
}

unsafe extern "C" fn refuse(
    L: *mut lua_State,
    function: *const c_char,
    why: *const c_char,
) -> c_int {
    // SAFETY: the contract above.
    let (function, why) = unsafe { (text(function), text(why)) };
    note(L, format_args!("{function}: {why}"));
    Status::BadArg as c_int
}

unsafe extern "C" fn full(L: *mut lua_State, function: *const c_char) -> c_int {
    // SAFETY: the contract above.
    let function = unsafe { text(function) };
    let error = Error::StackFull;
    note(L, format_args!("{function}: {error}"));
    error.status() as c_int
}

/// `L` has an error value on top, but after a yield.
unsafe extern "C" fn failed(L: *mut lua_State, function: *const c_char, status: c_int) -> c_int {
    // SAFETY: the contract above.
    unsafe {
        let answer = guard::lua_status(status);
        if answer != Status::Yield {
            let (function, value) = (text(function), guard::error_text::<400>(L));
            note(L, format_args!("{function}: {value}"));
        }
        answer as c_int
    }
}

/// What C says, which is ASCII but for what a host called its names.
unsafe fn text<'a>(text: *const c_char) -> &'a str {
    // SAFETY: a string, by the contract above.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}
