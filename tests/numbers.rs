//! Numbers become the text that printf's "%lld" and "%.14g" make of them, to the byte.

#![allow(non_snake_case)] // L is Lua's name for it

mod protected;

use protected::*;
use rlua::ffi::life::*;
use rlua::lua::lua_State;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;

/// A VM for conversions.
struct Converter(*mut lua_State);

impl Converter {
    fn text(&self, push: impl FnOnce(*mut lua_State) -> c_int) -> String {
        let (mut text, mut length) = (ptr::null(), 0);
        // SAFETY: the VM is live and this thread's; the text is copied before it is popped.
        unsafe {
            assert_eq!(push(self.0), 0);
            assert_eq!(rlua_tolstring(self.0, -1, &mut text, &mut length), 0);
            let copy = CStr::from_ptr(text).to_str().unwrap().to_owned();
            assert_eq!(copy.len(), length);
            rlua_setglobal(self.0, c"_".as_ptr());
            copy
        }
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: live, and closed once.
        unsafe { lua_close(self.0) }
    }
}

/// What printf makes of a float, with Lua's ".0" on what looks like an integer.
fn by_printf(value: f64) -> String {
    let mut buffer = [0 as c_char; 64];
    // SAFETY: the buffer is larger than "%.14g" can fill.
    let text = unsafe {
        libc::snprintf(buffer.as_mut_ptr(), buffer.len(), c"%.14g".as_ptr(), value);
        CStr::from_ptr(buffer.as_ptr()).to_str().unwrap().to_owned()
    };
    let looks_integral = text.chars().all(|c| c == '-' || c.is_ascii_digit());
    if looks_integral { text + ".0" } else { text }
}

#[test]
fn numbers_print_as_printf_prints_them() {
    let lua = Converter(rlua_new_rollback(1 << 20, 0));
    let mut random = 0x1234_5678_9abc_def0_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut floats = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        1e14,
        -1e14,
        99_999_999_999_999.0,
        -99_999_999_999_999.0,
        1e15,
        1e100,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
        9.5e13,
        0.5,
        9_007_199_254_740_993.0,
        -9.223_372_036_854_776e18,
        1e13 + 0.5,
        5e-324,
    ];
    let mut integers = vec![0, 1, -1, 9, 10, -10, 99, 100, i64::MAX, i64::MIN, i64::MIN + 1];
    for _ in 0..20_000 {
        let bits = next();
        floats.push(f64::from_bits(bits));
        floats.push((bits as i64 >> (bits % 50)) as f64);
        integers.push(bits as i64 >> (bits % 64));
    }
    for value in floats.into_iter().filter(|value| !value.is_nan()) {
        // SAFETY: the VM is live.
        let text = lua.text(|L| unsafe { rlua_pushnumber(L, value) });
        assert_eq!(text, by_printf(value), "{value:e}");
    }
    for value in integers {
        // SAFETY: the VM is live.
        assert_eq!(lua.text(|L| unsafe { rlua_pushinteger(L, value) }), value.to_string());
    }
}
