//! The C functions of `life.c` and `shim.c`, and Lua's names for types.

#![allow(non_camel_case_types, missing_docs)] // Lua's names; life.c and shim.c tell what each does

use std::ffi::{c_char, c_int, c_void};

/// A thread of a VM. Never looked into from Rust.
#[repr(C)]
pub struct lua_State {
    _opaque: [u8; 0],
}

pub type lua_Integer = i64;
pub type lua_Number = f64;
pub type lua_Alloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;
/// As `rlua_HostFunction` in the header.
pub type HostFunction = unsafe extern "C" fn(*mut lua_State, *mut c_void) -> c_int;

/// What shim.c answers before it does anything: an argument without meaning.
pub const REFUSED_ARGUMENT: c_int = -1;
/// What shim.c answers before it does anything: no room on the stack.
pub const REFUSED_STACK: c_int = -2;

unsafe extern "C" {
    pub fn rlua_c_open(alloc: lua_Alloc, ud: *mut c_void, seed: *const u32) -> *mut lua_State;
    pub fn rlua_c_pace(
        main: *mut lua_State,
        pause: c_int,
        step_multiplier: c_int,
        step_size: c_int,
        sweep_divisor: u32,
    );
    pub fn rlua_c_is_idle(main: *mut lua_State) -> c_int;
    pub fn rlua_c_finalize(main: *mut lua_State);
    pub fn rlua_c_close_stock(L: *mut lua_State);

    pub fn rlua_c_error_text(L: *mut lua_State, length: *mut usize) -> *const c_char;
    pub fn rlua_c_openlibs(L: *mut lua_State) -> c_int;
    pub fn rlua_c_loadbuffer(
        L: *mut lua_State,
        text: *const c_char,
        length: usize,
        name: *const c_char,
        mode: *const c_char,
    ) -> c_int;
    pub fn rlua_c_loadfile(L: *mut lua_State, name: *const c_char) -> c_int;
    pub fn rlua_c_call(L: *mut lua_State, nargs: c_int, nresults: c_int, msgh: c_int) -> c_int;
    pub fn rlua_c_resume(
        L: *mut lua_State,
        from: *mut lua_State,
        nargs: c_int,
        nresults: *mut c_int,
    ) -> c_int;
    pub fn rlua_c_getglobal(L: *mut lua_State, name: *const c_char) -> c_int;
    pub fn rlua_c_setglobal(L: *mut lua_State, name: *const c_char) -> c_int;
    pub fn rlua_c_getfield(L: *mut lua_State, index: c_int, key: *const c_char) -> c_int;
    pub fn rlua_c_setfield(L: *mut lua_State, index: c_int, key: *const c_char) -> c_int;
    pub fn rlua_c_geti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int;
    pub fn rlua_c_seti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int;
    pub fn rlua_c_gettable(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_settable(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_next(L: *mut lua_State, index: c_int, more: *mut c_int) -> c_int;
    pub fn rlua_c_createtable(L: *mut lua_State, narr: c_int, nrec: c_int) -> c_int;
    pub fn rlua_c_tolstring(
        L: *mut lua_State,
        index: c_int,
        text: *mut *const c_char,
        length: *mut usize,
    ) -> c_int;
    pub fn rlua_c_pushlstring(L: *mut lua_State, text: *const c_char, length: usize) -> c_int;
    pub fn rlua_c_pushinteger(L: *mut lua_State, value: lua_Integer) -> c_int;
    pub fn rlua_c_pushnumber(L: *mut lua_State, value: lua_Number) -> c_int;
    pub fn rlua_c_pushboolean(L: *mut lua_State, value: c_int) -> c_int;
    pub fn rlua_c_pushnil(L: *mut lua_State) -> c_int;
    pub fn rlua_c_pushvalue(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_gc(L: *mut lua_State, what: c_int, data: c_int) -> c_int;
    pub fn rlua_c_pushfunction(
        L: *mut lua_State,
        function: HostFunction,
        ud: *mut c_void,
        name: *const c_char,
    ) -> c_int;
}
