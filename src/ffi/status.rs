//! What a status means, and what went wrong last.

use crate::error::Status;
use crate::lua::lua_State;
use crate::vm::guard;
use std::ffi::{c_char, c_int};

/// The version of this library, as "MAJOR.MINOR.PATCH (Lua 5.4.9)". Static.
#[unsafe(no_mangle)]
pub extern "C" fn rlua_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (Lua 5.4.9)\0");
    VERSION.as_ptr().cast()
}

/// The general sentence for a status; also for a number that is none. Static.
///
/// @param status  What a function of this library answered.
#[unsafe(no_mangle)]
pub extern "C" fn rlua_strerror(status: c_int) -> *const c_char {
    Status::from_code(status).map_or(c"no status of this library", Status::sentence).as_ptr()
}

/// The sentence that goes with the last failure on this VM: what was tried, what was found, what
/// to do. Empty before the first failure; a success leaves it as it is.
///
/// @param L  A thread of the VM. NULL, a state that is not one of ours, or a VM that another OS
///           thread is inside: the last failure of any call made by the calling thread (use this
///           where no VM could be made).
/// @return   Never NULL. The library's; valid until the next failure on this VM or, for NULL, on
///           this thread.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread closes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_last_error(L: *mut lua_State) -> *const c_char {
    // SAFETY: by the contract above.
    unsafe { guard::last_error(L) }
}
