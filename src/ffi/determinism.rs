//! What peers share besides the inputs: names of pointers, the clock, the digest of the config.

use crate::error::{Error, HostError, Result};
use crate::lua::{self, lua_State};
use crate::vm::config::Profile;
use crate::vm::guard;
use std::ffi::{c_char, c_int, c_void};

/// As in lua.h.
pub type lua_CFunction = Option<unsafe extern "C" fn(L: *mut lua_State) -> c_int>;

/// Nanoseconds of a second.
const SECOND: u32 = 1_000_000_000;

/// Names a C function of the host: what tostring tells of it (`function: builtin: ` and the name),
/// what decides its place as a key of a table, and what stands for it where the state leaves the
/// process. Peers give one function one name, in any order. The standard libraries' functions have
/// names already.
///
/// The name is part of the state, so it rolls back: give names before the first snapshot. A
/// function that has none works all the same; docs/DETERMINISM.md tells what it means then.
///
/// Cost: a comparison with each name there is.
///
/// @param L         A thread of a VM of ours.
/// @param name      Borrowed. 1 to 64 bytes, none of them a blank or a control character.
/// @param function  Of the host. A C closure made of it (lua_pushcclosure with upvalues) is an
///                  object of the VM, and has the VM's own name.
/// @return          RLUA_OK, also when it has that name already, or NULL_ARG, NOT_ROLLBACK, BUSY
///                  (another OS thread), POISONED, NO_MEMORY, BAD_ARG: no such name can be, another
///                  has it, or the function has another. Nothing has changed then.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call; `name` is
/// NULL or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_register(
    L: *mut lua_State,
    name: *const c_char,
    function: lua_CFunction,
) -> c_int {
    let pointer = function.map_or(std::ptr::null(), |function| function as *const c_void);
    // SAFETY: by the contract above.
    unsafe { register("rlua_register", L, name, pointer, true) }
}

/// Names a pointer that scripts or C modules hold as light userdata, or use as a key: the same as
/// rlua_register for what is no function.
///
/// @param L        A thread of a VM of ours.
/// @param name     As for rlua_register; functions and pointers share the names.
/// @param pointer  Outside the VM, and no small number (below 65536), which needs no name.
/// @return         As rlua_register; BAD_ARG for a pointer that needs no name too.
///
/// # Safety
/// As for rlua_register. The pointer is never followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_register_pointer(
    L: *mut lua_State,
    name: *const c_char,
    pointer: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe { register("rlua_register_pointer", L, name, pointer, false) }
}

unsafe fn register(
    function: &'static str,
    L: *mut lua_State,
    name: *const c_char,
    pointer: *const c_void,
    is_function: bool,
) -> c_int {
    // SAFETY: by the callers' contract; C catches what it raises.
    unsafe {
        guard::call(L, |_| {
            if name.is_null() {
                return Err(Error::NullArg { name: "name" });
            }
            if pointer.is_null() {
                let name = if is_function { "function" } else { "pointer" };
                return Err(Error::NullArg { name });
            }
            let why = match lua::rlua_c_register(L, name, pointer, is_function.into()) {
                lua::REGISTER_OK => return Ok(()),
                lua::REGISTER_BAD_NAME => "a name has 1 to 64 bytes, no blanks and no controls",
                lua::REGISTER_BAD_POINTER => {
                    "what lies in the VM, and a number below 65536, need no name"
                }
                lua::REGISTER_NAMED => "the pointer has another name already",
                lua::REGISTER_TAKEN => "another pointer, or a library's function, has that name",
                _ => return Err(HostError::NoRoom { what: "name under the VM's limit" }.into()),
            };
            Err(Error::BadArg { function, why })
        })
    }
}

/// Sets the clock that os.time, os.date and os.clock read in the deterministic profile: an input,
/// like a player's keys, so set it from what all peers agree on (the frame's number times its
/// length). It is part of the state, rolls back, and begins at 0. os.clock tells all of it in
/// seconds. May be called while Lua is running, and may go back. (To os.time -1 is what it is to
/// C's mktime, no time at all, and raises.)
///
/// Cost: two writes.
///
/// @param L            A thread of a VM of ours.
/// @param seconds      Since 1970-01-01 00:00 UTC, or since whatever the host likes.
/// @param nanoseconds  Of the second, 0 to 999999999.
/// @return             RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED,
///                     BAD_ARG (`nanoseconds`), UNSUPPORTED: in the stock profile scripts read the
///                     system's clock.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_set_time(L: *mut lua_State, seconds: i64, nanoseconds: u32) -> c_int {
    let function = "rlua_set_time";
    // SAFETY: by the contract above; two plain writes.
    unsafe {
        guard::call(L, |vm| {
            if (*vm).agreement().profile == Profile::Stock {
                let why = "in the stock profile scripts read the system's clock";
                return Err(HostError::Unsupported { function, why }.into());
            }
            if nanoseconds >= SECOND {
                let why = "nanoseconds are 0 to 999999999";
                return Err(Error::BadArg { function, why });
            }
            lua::rlua_c_set_time(L, seconds, nanoseconds);
            Ok(())
        })
    }
}

/// A digest of what peers must have in common before the first frame: compare it when they meet.
/// It covers the library's version, that of its mathematics, and of the config: memory_size (as
/// rounded), seed, profile, guard, announces, and the collector's fields. Not the tracker, and not
/// max_snapshots, which change nothing that a script sees; but with RLUA_GUARD_REFUSE, which
/// works in VMs that keep snapshots alone, whether any are kept. Nor what the host does: which
/// libraries it opens, which scripts it loads, lua_gc.
///
/// Cost: a few loads. May be called while Lua is running.
///
/// @param L       A thread of a VM of ours.
/// @param digest  Receives it. The same on every platform.
/// @return        RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), UNSUPPORTED: the VM
///                is of luaL_newstate, whose seed is random.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread closes during the call; `digest`
/// is NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_config_digest(L: *mut lua_State, digest: *mut u64) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::look(L, |vm| -> Result<()> {
            if digest.is_null() {
                return Err(Error::NullArg { name: "digest" });
            }
            let keeps_snapshots = vm.history().max_snapshots() > 0;
            let limit_bytes = vm.arena().limit_bytes() as u64;
            let Some(agreed) = vm.agreement().digest(limit_bytes, keeps_snapshots) else {
                let (function, why) = ("rlua_config_digest", "the seed of this VM is random");
                return Err(HostError::Unsupported { function, why }.into());
            };
            digest.write(agreed);
            Ok(())
        })
    }
}
