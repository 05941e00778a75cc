//! The protected calls that Rust tests use, as `rlua.h` declares them: they are C
//! (`src/lua/calls.h`).

#![allow(dead_code, missing_docs, non_snake_case)] // each test uses some; L is Lua's name for it

use rlua::lua::lua_State;
use std::ffi::{c_char, c_int};

unsafe extern "C" {
    pub fn rlua_openlibs(L: *mut lua_State, libs: u32) -> c_int;
    pub fn rlua_dostring(L: *mut lua_State, chunk: *const c_char) -> c_int;
    pub fn rlua_gc(L: *mut lua_State, what: c_int, data: c_int) -> c_int;
    pub fn rlua_getglobal(L: *mut lua_State, name: *const c_char) -> c_int;
    pub fn rlua_setglobal(L: *mut lua_State, name: *const c_char) -> c_int;
    pub fn rlua_geti(L: *mut lua_State, index: c_int, key: i64) -> c_int;
    pub fn rlua_seti(L: *mut lua_State, index: c_int, key: i64) -> c_int;
    pub fn rlua_createtable(L: *mut lua_State, narr: c_int, nrec: c_int) -> c_int;
    pub fn rlua_pushnil(L: *mut lua_State) -> c_int;
    pub fn rlua_pushnumber(L: *mut lua_State, value: f64) -> c_int;
    pub fn rlua_pushinteger(L: *mut lua_State, value: i64) -> c_int;
    pub fn rlua_settop(L: *mut lua_State, index: c_int) -> c_int;
    pub fn rlua_tolstring(
        L: *mut lua_State,
        index: c_int,
        text: *mut *const c_char,
        length: *mut usize,
    ) -> c_int;
}
