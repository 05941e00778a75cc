//! Protected calls that make objects, combine values, and work below metamethods.
//!
//! The second half of [`super::calls`], with the same contract: a status in place of a raise. With
//! both, a binding needs no function of lua.h that may raise. Those that never raise need no
//! protection: lua_gettop, lua_absindex, lua_checkstack, lua_pushlightuserdata, lua_rotate,
//! lua_copy, lua_type, lua_typename, the lua_is... and lua_to... functions except lua_tolstring,
//! lua_rawlen, lua_rawequal, lua_getmetatable, lua_setmetatable, lua_getiuservalue,
//! lua_setiuservalue, lua_status, lua_closethread, lua_getupvalue, lua_setupvalue; the ones that
//! push need room (lua_checkstack).

use crate::error::Error;
use crate::ffi::calls::{null, protected};
use crate::ffi::{fail, find};
use crate::lua::{self, lua_Integer, lua_State};
use std::ffi::{c_char, c_int, c_void};

/// lua.h's.
pub type lua_CFunction = Option<unsafe extern "C" fn(L: *mut lua_State) -> c_int>;

/// Pushes a new full userdata.
///
/// It rolls back with the VM, contents and user values too. A `__gc` that ran after the snapshot
/// runs again after a rollback: for what lies outside the VM use rlua_pushresource.
///
/// @param L        A thread of a VM of ours.
/// @param size     Bytes of its block.
/// @param nuvalue  User values, below 32767.
/// @param block    Receives the block: aligned to 16, not zeroed, Lua's; may be NULL.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_newuserdata(
    L: *mut lua_State,
    size: usize,
    nuvalue: c_int,
    block: *mut *mut c_void,
) -> c_int {
    let mut made = std::ptr::null_mut();
    // SAFETY: `protected` checks `L` before the call; `made` is a place for a pointer.
    let status = unsafe {
        protected(L, "rlua_newuserdata", || lua::rlua_c_newuserdata(L, size, nuvalue, &mut made))
    };
    if !block.is_null() {
        // SAFETY: not NULL, so a place for a pointer, by the contract above.
        unsafe { block.write(made) };
    }
    status
}

/// Pushes a new coroutine.
///
/// @param L       A thread of a VM of ours.
/// @param thread  Receives it; Lua's, valid while the value can be reached.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_newthread(L: *mut lua_State, thread: *mut *mut lua_State) -> c_int {
    if thread.is_null() {
        return null(L, "thread");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe {
        thread.write(std::ptr::null_mut());
        protected(L, "rlua_newthread", || lua::rlua_c_newthread(L, thread))
    }
}

/// Pops `upvalues` values and pushes a C function that has them.
///
/// @param L         A thread of a VM of ours.
/// @param function  It may raise, if its host can; see rlua_pushfunction for others.
/// @param upvalues  0 to 255.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushcclosure(
    L: *mut lua_State,
    function: lua_CFunction,
    upvalues: c_int,
) -> c_int {
    let Some(function) = function else { return null(L, "function") };
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushcclosure", || lua::rlua_c_pushcclosure(L, function, upvalues)) }
}

/// Loads a file without running it, and pushes it as a function.
///
/// @param L         A thread of a VM of ours.
/// @param filename  The file's path; borrowed for the call.
/// @param mode      As for rlua_loadbuffer.
/// @return          Also ERR_FILE and ERR_SYNTAX.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_loadfile(
    L: *mut lua_State,
    filename: *const c_char,
    mode: *const c_char,
) -> c_int {
    if filename.is_null() {
        return null(L, "filename");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_loadfile", || lua::rlua_c_loadfilex(L, filename, mode)) }
}

/// Opens one module as `require` does, and pushes it, as luaL_requiref does.
///
/// @param L       A thread of a VM of ours.
/// @param name    The module's name; copied.
/// @param open    Its luaopen_ function.
/// @param global  1 to store it in a global variable too.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_requiref(
    L: *mut lua_State,
    name: *const c_char,
    open: lua_CFunction,
    global: c_int,
) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    let Some(open) = open else { return null(L, "open") };
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_requiref", || lua::rlua_c_requiref(L, name, open, global)) }
}

/// Pushes the length of the value at `index`. May run the metamethod `__len`.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_len(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_len", || lua::rlua_c_len(L, index)) }
}

/// Pops `count` values and pushes their concatenation. May run metamethods.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_concat(L: *mut lua_State, count: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_concat", || lua::rlua_c_concat(L, count)) }
}

/// Compares two values. May run metamethods.
///
/// @param L       A thread of a VM of ours.
/// @param first   Index of the left operand.
/// @param second  Index of the right operand.
/// @param op      LUA_OPEQ, LUA_OPLT or LUA_OPLE.
/// @param result  Receives 1 or 0.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_compare(
    L: *mut lua_State,
    first: c_int,
    second: c_int,
    op: c_int,
    result: *mut c_int,
) -> c_int {
    if result.is_null() {
        return null(L, "result");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_compare", || lua::rlua_c_compare(L, first, second, op, result)) }
}

/// Pops two operands (one for LUA_OPUNM and LUA_OPBNOT) and pushes the result. May run metamethods.
///
/// @param L   A thread of a VM of ours.
/// @param op  LUA_OPADD to LUA_OPBNOT.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_arith(L: *mut lua_State, op: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_arith", || lua::rlua_c_arith(L, op)) }
}

/// Pushes what `tostring` makes of the value at `index`, as luaL_tolstring does. May run the
/// metamethod `__tostring`.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushtostring(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_pushtostring", || lua::rlua_c_pushtostring(L, index)) }
}

/// Pushes a traceback, as luaL_traceback does.
///
/// @param L        A thread of a VM of ours; receives the string.
/// @param of       The thread that is described, of the same VM.
/// @param message  Goes before it; may be NULL.
/// @param level    0 for the running function, 1 for its caller, ...
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_traceback(
    L: *mut lua_State,
    of: *mut lua_State,
    message: *const c_char,
    level: c_int,
) -> c_int {
    if of.is_null() {
        return null(L, "of");
    }
    if find(of).ok() != find(L).ok() {
        return fail(find(L).ok(), &Error::BadArg { function: "rlua_traceback" });
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_traceback", || lua::rlua_c_traceback(L, of, message, level)) }
}

/// Pops a key and pushes `t[key]` of the table at `index`, without metamethods.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_rawget(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_rawget", || lua::rlua_c_rawget(L, index)) }
}

/// Pushes `t[key]` of the table at `index`, without metamethods.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_rawgeti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_rawgeti", || lua::rlua_c_rawgeti(L, index, key)) }
}

/// Pops a value and the key below it, and does `t[key] = value` in the table at `index`, without
/// metamethods.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_rawset(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_rawset", || lua::rlua_c_rawset(L, index)) }
}

/// Pops a value and does `t[key] = value` in the table at `index`, without metamethods.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_rawseti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_rawseti", || lua::rlua_c_rawseti(L, index, key)) }
}

/// Pushes the table `t[name]`, where `t` is the value at `index`, making it if there is none.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_getsubtable(
    L: *mut lua_State,
    index: c_int,
    name: *const c_char,
) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_getsubtable", || lua::rlua_c_getsubtable(L, index, name)) }
}

/// Pushes the metatable that the registry keeps under `name`, making it if there is none.
///
/// @param L     A thread of a VM of ours.
/// @param name  As for luaL_newmetatable; copied.
/// @param made  Receives 1 when it was made, 0 when it was there; may be NULL.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_newmetatable(
    L: *mut lua_State,
    name: *const c_char,
    made: *mut c_int,
) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    let mut flag = 0;
    // SAFETY: `protected` checks `L` before the call; `flag` is a place for an int.
    let status = unsafe {
        protected(L, "rlua_newmetatable", || lua::rlua_c_newmetatable(L, name, &mut flag))
    };
    if !made.is_null() {
        // SAFETY: not NULL, so a place for an int, by the contract above.
        unsafe { made.write(flag) };
    }
    status
}

/// Pushes the metatable that the registry keeps under `name`, or nil.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_getmetatable(L: *mut lua_State, name: *const c_char) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_getmetatable", || lua::rlua_c_getmetatable(L, name)) }
}

/// Gives the value on top the metatable that the registry keeps under `name`. BAD_ARG when there is
/// none.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_setmetatable(L: *mut lua_State, name: *const c_char) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_setmetatable", || lua::rlua_c_setmetatable(L, name)) }
}

/// Looks at a userdata of a named metatable, as luaL_testudata does.
///
/// @param L      A thread of a VM of ours.
/// @param index  Position of any value.
/// @param name   As given to rlua_newmetatable.
/// @param block  Receives its block, or NULL when the value is no userdata of that metatable.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_testudata(
    L: *mut lua_State,
    index: c_int,
    name: *const c_char,
    block: *mut *mut c_void,
) -> c_int {
    if name.is_null() {
        return null(L, "name");
    }
    if block.is_null() {
        return null(L, "block");
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_testudata", || lua::rlua_c_testudata(L, index, name, block)) }
}

/// Makes `index` the top, as lua_settop does. Slots that it drops may be variables to be closed, so
/// it may run `__close` metamethods; after their error the error value lies above the new top.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_settop(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_settop", || lua::rlua_c_settop(L, index)) }
}

/// Marks a slot as a variable to be closed, as lua_toclose does. It must lie above the slots marked
/// before.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_toclose(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_toclose", || lua::rlua_c_toclose(L, index)) }
}

/// Closes the newest variable to be closed, which must be at `index`, as lua_closeslot does.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_closeslot(L: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_closeslot", || lua::rlua_c_closeslot(L, index)) }
}

/// Moves `count` values from the top of one thread's stack to another's, as lua_xmove does.
///
/// @param L      The thread that gives.
/// @param to     The thread that receives, of the same VM.
/// @param count  How many.
///
/// # Safety
/// As for every function of [`super::calls`]; pointers are NULL or point to what they are said to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_xmove(L: *mut lua_State, to: *mut lua_State, count: c_int) -> c_int {
    if to.is_null() {
        return null(L, "to");
    }
    if find(to).ok() != find(L).ok() {
        return fail(find(L).ok(), &Error::BadArg { function: "rlua_xmove" });
    }
    // SAFETY: `protected` checks `L` before the call; the rest is the caller's contract.
    unsafe { protected(L, "rlua_xmove", || lua::rlua_c_xmove(L, to, count)) }
}
