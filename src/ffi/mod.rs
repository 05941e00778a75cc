//! The C ABI: NULL checks, busy, poison, panic guard, codes.
//!
//! Every function here is thin: one helper finds the VM, one more owns V1 and V2, and an error
//! becomes a status, a sentence on the VM and the same sentence on the thread.
//!
//! # Not here
//! What the calls do ([`crate::vm`]); protected calls, which are C (`src/lua/calls.h`).

#![allow(non_camel_case_types, non_snake_case)] // C's names

pub mod hooks;
pub mod host;
pub mod life;
pub mod snapshots;
pub mod status;

use crate::error::{Error, Result, Sentence, Status};
use crate::lua::lua_State;
use crate::vm::registry::{self, Owner};
use crate::vm::{self, Vm};
use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::fmt;

thread_local! {
    static THREAD_ERROR: RefCell<Sentence> = const { RefCell::new(Sentence::new()) };
}

/// Notes a failure and answers its code.
fn fail(vm: Option<*mut Vm>, error: &Error) -> c_int {
    note(vm, format_args!("{error}"));
    error.status() as c_int
}

/// Keeps a sentence for rlua_last_error, on the thread and on the VM it belongs to.
fn note(vm: Option<*mut Vm>, sentence: fmt::Arguments<'_>) {
    if let Some(vm) = vm {
        // SAFETY: callers pass a VM that they just found alive.
        unsafe { (*vm).set_last_error(sentence) };
    }
    // A thread that is being torn down has no place for it any more; the VM has.
    let _ = THREAD_ERROR.try_with(|slot| slot.borrow_mut().set(sentence));
}

fn thread_error() -> *const c_char {
    THREAD_ERROR.try_with(|slot| slot.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The VM that a thread belongs to.
fn find(L: *mut lua_State) -> Result<*mut Vm> {
    if L.is_null() {
        return Err(Error::NullArg { name: "L" });
    }
    match registry::find(L) {
        Owner::Live(vm) => Ok(vm),
        Owner::Closed | Owner::Foreign => Err(Error::NotRollback),
    }
}

fn code(vm: Option<*mut Vm>, outcome: Result<()>) -> c_int {
    match outcome {
        Ok(()) => Status::Ok as c_int,
        Err(error) => fail(vm, &error),
    }
}

/// Runs what only reads, also while Lua is running.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread closes during the call.
unsafe fn with_vm(L: *mut lua_State, work: impl FnOnce(&Vm) -> Result<()>) -> c_int {
    match find(L) {
        // SAFETY: live; Lua's own use of it is suspended in the caller.
        Ok(vm) => code(Some(vm), unsafe { work(&*vm) }),
        Err(error) => fail(None, &error),
    }
}

/// Runs what needs V1.
///
/// # Safety
/// As for [`with_vm`].
unsafe fn with_idle(L: *mut lua_State, work: impl FnOnce(*mut Vm) -> Result<()>) -> c_int {
    match find(L) {
        // SAFETY: live, by the contract above.
        Ok(vm) => code(Some(vm), unsafe { vm::when_idle(vm, work) }),
        Err(error) => fail(None, &error),
    }
}

/// Runs what sees to V1 by itself.
///
/// # Safety
/// As for [`with_vm`].
unsafe fn with_held(L: *mut lua_State, work: impl FnOnce(*mut Vm) -> Result<()>) -> c_int {
    match find(L) {
        // SAFETY: live, by the contract above.
        Ok(vm) => code(Some(vm), unsafe { vm::when_held(vm, work) }),
        Err(error) => fail(None, &error),
    }
}
