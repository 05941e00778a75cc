//! Protected calls, for hosts that cannot survive a longjmp (Python, C#, Rust, C++).
//!
//! A VM with a limit runs out of memory in the middle of any push. Each function here answers a
//! status in place of raising. Statuses from RLUA_ERR_RUN on are Lua's own answer: the operands
//! that the call takes off the stack are gone, and the error value is on top instead. Below that
//! nothing was popped or pushed.
//!
//! Shared by all: L is any thread of a VM of ours, on which nothing else runs. Each answers
//! NULL_ARG, NOT_ROLLBACK, POISONED, BAD_ARG (an index, count or type without meaning on this
//! stack), NO_MEMORY (no room on the Lua stack), or Lua's ERR_RUN, ERR_MEM, ERR_ERR. They may be
//! called from host functions while Lua is running.
//!
//! Cost: a table look-up and a setjmp above the plain call.

use crate::error::{Error, Status};
use crate::ffi::{fail, find, note};
use crate::lua::{self, lua_Integer, lua_Number, lua_State};
use crate::vm;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// What a host function returns to raise the value on top of its stack. The raise is made after
/// the function has returned, so it jumps over none of the host's frames.
pub const RLUA_RAISE: c_int = -1;

/// A function of the host, called by Lua: arguments are on the stack from index 1.
///
/// @param L   The thread that calls. Only protected calls are safe for a host that cannot survive
///            a longjmp.
/// @param ud  What rlua_pushfunction was given.
/// @return    How many values on top of the stack are results, or RLUA_RAISE.
pub type rlua_HostFunction =
    Option<unsafe extern "C" fn(L: *mut lua_State, ud: *mut c_void) -> c_int>;

/// Runs one function of shim.c and turns its answer into a status.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
pub(super) unsafe fn protected(
    L: *mut lua_State,
    function: &'static str,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let vm = match find(L) {
        Ok(vm) => vm,
        Err(error) => return fail(None, &error),
    };
    // SAFETY: live, by the contract above; what raises is caught in C (L1).
    match unsafe { vm::when_mine(vm, call) } {
        Ok(0) => Status::Ok as c_int,
        // SAFETY: live, with an error value on top if the answer is Lua's.
        Ok(answer) => unsafe { answer_to_status(L, function, answer) },
        Err(error) => fail(Some(vm), &error),
    }
}

/// The status that goes with an answer of shim.c; notes what failed.
///
/// # Safety
/// `L` is a live thread, with an error value on top if the answer is one of Lua's errors.
pub(super) unsafe fn answer_to_status(
    L: *mut lua_State,
    function: &'static str,
    answer: c_int,
) -> c_int {
    match answer {
        0 => Status::Ok as c_int,
        1 => Status::Yield as c_int,
        lua::REFUSED_ARGUMENT => fail(find(L).ok(), &Error::BadArg { function }),
        lua::REFUSED_STACK => fail(find(L).ok(), &Error::StackFull),
        answer => {
            // SAFETY: live, with an error value on top.
            let (text, length) = unsafe { error_text(L) };
            let text = text[..length].utf8_chunks().next().map_or("", |chunk| chunk.valid());
            note(find(L).ok(), format_args!("{function}: {text}"));
            lua_status(answer) as c_int
        }
    }
}

/// Lua's status as ours.
fn lua_status(answer: c_int) -> Status {
    match answer {
        3 => Status::ErrSyntax,
        4 => Status::ErrMem,
        5 => Status::ErrErr,
        6 => Status::ErrFile,
        _ => Status::ErrRun,
    }
}

/// A copy of the error value on top, when it is a string, and its length; cut where it is long.
///
/// # Safety
/// `L` is live and has an error value on top.
unsafe fn error_text(L: *mut lua_State) -> ([u8; 400], usize) {
    const OTHER: &[u8] = b"an error value that is no string";
    let (mut copy, mut length) = ([0; 400], 0);
    // SAFETY: the contract above; a raw copy of at most the copy's length (R3).
    unsafe {
        let mut text = lua::rlua_c_error_text(L, &mut length).cast::<u8>();
        if text.is_null() {
            (text, length) = (OTHER.as_ptr(), OTHER.len());
        }
        length = length.min(copy.len());
        ptr::copy_nonoverlapping(text, copy.as_mut_ptr(), length);
    }
    (copy, length)
}

pub(super) fn null(L: *mut lua_State, name: &'static str) -> c_int {
    fail(find(L).ok(), &Error::NullArg { name })
}

/// Opens all standard libraries, as luaL_openlibs does.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_openlibs(L: *mut lua_State) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_openlibs", || lua::rlua_c_openlibs(L)) }
}

/// Loads a chunk without running it, and pushes it as a function.
///
/// @param L       A thread of a VM of ours.
/// @param chunk   `length` bytes of source or of a binary chunk; borrowed for the call.
/// @param length  In bytes.
/// @param name    The chunk's name in messages; borrowed for the call.
/// @param mode    "t" (text), "b" (binary) or NULL for both. A binary chunk that somebody tampered
///                with can crash the process: give "t" for what is not yours.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_loadbuffer(
    L: *mut lua_State,
    chunk: *const c_char,
    length: usize,
    name: *const c_char,
    mode: *const c_char,
) -> c_int {
    if chunk.is_null() {
        return null(L, "chunk");
    }
    if name.is_null() {
        return null(L, "name");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe {
        protected(L, "rlua_loadbuffer", || lua::rlua_c_loadbuffer(L, chunk, length, name, mode))
    }
}

/// Calls a function, as lua_pcall does: pops the function and `nargs` arguments, pushes results.
///
/// @param L         A thread of a VM of ours.
/// @param nargs     Arguments on the stack above the function.
/// @param nresults  Results wanted, or LUA_MULTRET.
/// @param msgh      Stack index of a message handler, 0 for none.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_call(
    L: *mut lua_State,
    nargs: c_int,
    nresults: c_int,
    msgh: c_int,
) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_call", || lua::rlua_c_call(L, nargs, nresults, msgh)) }
}

/// Pushes the global variable `name`.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_getglobal(L: *mut lua_State, name: *const c_char) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_getglobal", || lua::rlua_c_getglobal(L, name)) }
}

/// Pops a value and assigns it to the global variable `name`.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_setglobal(L: *mut lua_State, name: *const c_char) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_setglobal", || lua::rlua_c_setglobal(L, name)) }
}

/// Pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_getfield(
    L: *mut lua_State,
    index: c_int,
    key: *const c_char,
) -> c_int {
    if key.is_null() {
        return null(L, "key");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_getfield", || lua::rlua_c_getfield(L, index, key)) }
}

/// Pops a value and does `t[key] = value`, where `t` is the value at `index`. May run metamethods.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_setfield(
    L: *mut lua_State,
    index: c_int,
    key: *const c_char,
) -> c_int {
    if key.is_null() {
        return null(L, "key");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_setfield", || lua::rlua_c_setfield(L, index, key)) }
}

/// Pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_geti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_geti", || lua::rlua_c_geti(L, index, key)) }
}

/// Pops a value and does `t[key] = value`, where `t` is the value at `index`. May run metamethods.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_seti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_seti", || lua::rlua_c_seti(L, index, key)) }
}

/// Pops a key and pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_gettable(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_gettable", || lua::rlua_c_gettable(L, index)) }
}

/// Pops a value and the key below it, and does `t[key] = value`, where `t` is the value at `index`.
/// May run metamethods.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_settable(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_settable", || lua::rlua_c_settable(L, index)) }
}

/// Pushes a new table with room for `narr` elements in sequence and `nrec` others.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_createtable(L: *mut lua_State, narr: c_int, nrec: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_createtable", || lua::rlua_c_createtable(L, narr, nrec)) }
}

/// Pushes a copy of `length` bytes as a string; they may contain zeros.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushlstring(
    L: *mut lua_State,
    text: *const c_char,
    length: usize,
) -> c_int {
    if text.is_null() && length > 0 {
        return null(L, "text");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushlstring", || lua::rlua_c_pushlstring(L, text, length)) }
}

/// Pushes an integer.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushinteger(L: *mut lua_State, value: lua_Integer) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushinteger", || lua::rlua_c_pushinteger(L, value)) }
}

/// Pushes a float.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushnumber(L: *mut lua_State, value: lua_Number) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushnumber", || lua::rlua_c_pushnumber(L, value)) }
}

/// Pushes a boolean: false for 0.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushboolean(L: *mut lua_State, value: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushboolean", || lua::rlua_c_pushboolean(L, value)) }
}

/// Pushes nil.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushnil(L: *mut lua_State) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushnil", || lua::rlua_c_pushnil(L)) }
}

/// Pushes a copy of the value at `index`.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushvalue(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushvalue", || lua::rlua_c_pushvalue(L, index)) }
}

/// Controls the collector, as lua_gc does with the same `what` (LUA_GCCOLLECT, LUA_GCSTEP,
/// LUA_GCSTOP, ...). Finalizers may run.
///
/// @param L     A thread of a VM of ours.
/// @param what  An option of lua_gc.
/// @param data  Its first argument; 0 for those that have none. Further arguments are 0.
///
/// # Safety
/// As for every function here; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_gc(L: *mut lua_State, what: c_int, data: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_gc", || lua::rlua_c_gc(L, what, data)) }
}

/// Loads and runs a string, as luaL_dostring does. All results stay on the stack.
///
/// @param L      A thread of a VM of ours.
/// @param chunk  Source text, ended by a zero; borrowed for the call.
///
/// # Safety
/// As for every function here; `chunk` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_dostring(L: *mut lua_State, chunk: *const c_char) -> c_int {
    if chunk.is_null() {
        return null(L, "chunk");
    }
    // SAFETY: as for rlua_getglobal; `chunk` is a string.
    unsafe {
        let length = CStr::from_ptr(chunk).count_bytes();
        protected(L, "rlua_dostring", || {
            match lua::rlua_c_loadbuffer(L, chunk, length, chunk, ptr::null()) {
                0 => lua::rlua_c_call(L, 0, MULTRET, 0),
                failed => failed,
            }
        })
    }
}

/// Loads and runs a file, as luaL_dofile does. All results stay on the stack.
///
/// @param L         A thread of a VM of ours.
/// @param filename  The file's path; borrowed for the call.
/// @return          Also ERR_FILE and ERR_SYNTAX.
///
/// # Safety
/// As for every function here; `filename` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_dofile(L: *mut lua_State, filename: *const c_char) -> c_int {
    if filename.is_null() {
        return null(L, "filename");
    }
    // SAFETY: as for rlua_getglobal; `filename` is a string.
    unsafe {
        protected(L, "rlua_dofile", || match lua::rlua_c_loadfile(L, filename) {
            0 => lua::rlua_c_call(L, 0, MULTRET, 0),
            failed => failed,
        })
    }
}

/// Starts or continues a coroutine, as lua_resume does.
///
/// @param L         The coroutine, a thread of a VM of ours.
/// @param from      The thread that resumes, or NULL.
/// @param nargs     Arguments on L's stack: above the function at the start, alone later.
/// @param nresults  Receives how many values were returned or yielded; they are on L's stack.
/// @return          RLUA_OK (finished), RLUA_YIELD, or an error as above.
///
/// # Safety
/// As for every function here; `from` is NULL or of the same VM; `nresults` is NULL or points to
/// an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_resume(
    L: *mut lua_State,
    from: *mut lua_State,
    nargs: c_int,
    nresults: *mut c_int,
) -> c_int {
    if nresults.is_null() {
        return null(L, "nresults");
    }
    if !from.is_null() && find(from).ok() != find(L).ok() {
        return fail(find(L).ok(), &Error::BadArg { function: "rlua_resume" });
    }
    // SAFETY: as for rlua_getglobal; `nresults` is not NULL.
    unsafe { protected(L, "rlua_resume", || lua::rlua_c_resume(L, from, nargs, nresults)) }
}

/// Pops a key and pushes the next key and value of a table, as lua_next does; pushes nothing at
/// the end.
///
/// @param L      A thread of a VM of ours.
/// @param index  Position of a table.
/// @param more   Receives 1 when a pair was pushed, 0 at the end.
///
/// # Safety
/// As for every function here; `more` is NULL or points to an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_next(L: *mut lua_State, index: c_int, more: *mut c_int) -> c_int {
    if more.is_null() {
        return null(L, "more");
    }
    // SAFETY: as for rlua_getglobal; `more` is not NULL.
    unsafe { protected(L, "rlua_next", || lua::rlua_c_next(L, index, more)) }
}

/// Reads the value at `index` as a string. A number is changed into a string in place, as
/// lua_tolstring does.
///
/// @param L       A thread of a VM of ours.
/// @param index   Position of the value.
/// @param text    Receives the bytes, or NULL when the value is neither string nor number. Lua's:
///                valid while the value is on the stack and nothing is rolled back.
/// @param length  Receives the length in bytes; may be NULL.
///
/// # Safety
/// As for every function here; `text` and `length` are NULL or point to their types.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_tolstring(
    L: *mut lua_State,
    index: c_int,
    text: *mut *const c_char,
    length: *mut usize,
) -> c_int {
    if text.is_null() {
        return null(L, "text");
    }
    let mut bytes = 0;
    // SAFETY: as for rlua_getglobal; both places are valid.
    unsafe {
        text.write(ptr::null());
        let status =
            protected(L, "rlua_tolstring", || lua::rlua_c_tolstring(L, index, text, &mut bytes));
        if !length.is_null() {
            length.write(bytes);
        }
        status
    }
}

/// Pushes a function of the host.
///
/// State that the function keeps behind `ud` is outside the VM and does not roll back; state in
/// Lua values does.
///
/// @param L         A thread of a VM of ours.
/// @param function  Called by Lua; must stay callable as long as the VM lives.
/// @param ud        Handed to each call; the host's.
/// @param name      Names the function in error messages and, later, in images; copied.
///
/// # Safety
/// As for every function here; `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushfunction(
    L: *mut lua_State,
    function: rlua_HostFunction,
    ud: *mut c_void,
    name: *const c_char,
) -> c_int {
    let Some(function) = function else { return null(L, "function") };
    if name.is_null() {
        return null(L, "name");
    }
    // SAFETY: as for rlua_getglobal; `name` is a string.
    unsafe { protected(L, "rlua_pushfunction", || lua::rlua_c_pushfunction(L, function, ud, name)) }
}

/// LUA_MULTRET.
const MULTRET: c_int = -1;
