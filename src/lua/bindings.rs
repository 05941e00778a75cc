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

/// As `lua_CFunction`, not NULL.
pub type lua_CFunction = unsafe extern "C" fn(*mut lua_State) -> c_int;

/// A method of a resource type; a list of them ends with a NULL name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Method {
    pub name: *const c_char,
    pub function: Option<HostFunction>,
}

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

    pub fn rlua_c_newuserdata(
        L: *mut lua_State,
        size: usize,
        nuvalue: c_int,
        block: *mut *mut c_void,
    ) -> c_int;
    pub fn rlua_c_newthread(L: *mut lua_State, thread: *mut *mut lua_State) -> c_int;
    pub fn rlua_c_pushcclosure(
        L: *mut lua_State,
        function: lua_CFunction,
        upvalues: c_int,
    ) -> c_int;
    pub fn rlua_c_loadfilex(L: *mut lua_State, name: *const c_char, mode: *const c_char) -> c_int;
    pub fn rlua_c_requiref(
        L: *mut lua_State,
        name: *const c_char,
        open: lua_CFunction,
        global: c_int,
    ) -> c_int;
    pub fn rlua_c_len(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_concat(L: *mut lua_State, count: c_int) -> c_int;
    pub fn rlua_c_compare(
        L: *mut lua_State,
        first: c_int,
        second: c_int,
        op: c_int,
        result: *mut c_int,
    ) -> c_int;
    pub fn rlua_c_arith(L: *mut lua_State, op: c_int) -> c_int;
    pub fn rlua_c_pushtostring(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_traceback(
        L: *mut lua_State,
        of: *mut lua_State,
        text: *const c_char,
        level: c_int,
    ) -> c_int;
    pub fn rlua_c_rawget(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_rawgeti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int;
    pub fn rlua_c_rawset(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_rawseti(L: *mut lua_State, index: c_int, key: lua_Integer) -> c_int;
    pub fn rlua_c_getsubtable(L: *mut lua_State, index: c_int, name: *const c_char) -> c_int;
    pub fn rlua_c_newmetatable(L: *mut lua_State, name: *const c_char, made: *mut c_int) -> c_int;
    pub fn rlua_c_getmetatable(L: *mut lua_State, name: *const c_char) -> c_int;
    pub fn rlua_c_setmetatable(L: *mut lua_State, name: *const c_char) -> c_int;
    pub fn rlua_c_testudata(
        L: *mut lua_State,
        index: c_int,
        name: *const c_char,
        block: *mut *mut c_void,
    ) -> c_int;
    pub fn rlua_c_settop(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_toclose(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_closeslot(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_c_xmove(from: *mut lua_State, to: *mut lua_State, count: c_int) -> c_int;

    pub fn rlua_c_set_hooks(
        on_collect: unsafe extern "C" fn(*mut lua_State, *mut c_void, u64),
        on_exit: unsafe extern "C" fn(*mut lua_State, c_int),
    );
    pub fn rlua_c_alloc(L: *mut lua_State, size: usize) -> *mut c_void;
    pub fn rlua_c_is_block(memory: *mut c_void) -> c_int;
    pub fn rlua_c_realloc(L: *mut lua_State, memory: *mut c_void, size: usize) -> *mut c_void;
    pub fn rlua_c_free(L: *mut lua_State, memory: *mut c_void);
    pub fn rlua_c_ref(L: *mut lua_State, serial: u32, reference: *mut u64) -> c_int;
    pub fn rlua_c_getref(L: *mut lua_State, reference: u64) -> c_int;
    pub fn rlua_c_unref(L: *mut lua_State, reference: u64) -> c_int;
    pub fn rlua_c_handle(L: *mut lua_State, index: c_int, id: *mut u64) -> *mut c_void;
    pub fn rlua_c_pushresource(
        L: *mut lua_State,
        name: *const c_char,
        methods: *const Method,
        ud: *mut c_void,
        id: u64,
        handle: *mut *mut c_void,
    ) -> c_int;
}
