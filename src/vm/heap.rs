//! Heap: verifies L2, for `rlua_check`. The walk is C's (`src/lua/check.c`).

use super::Vm;
use crate::arena::Arena;
use crate::error::{Flaw, Text};
use crate::lua;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

/// Walks Lua's heap of an idle VM whose arena is consistent.
pub(super) fn check(vm: &Vm) -> Result<(), Flaw> {
    let mut why: [c_char; lua::CHECK_ROOM] = [0; lua::CHECK_ROOM];
    let arena = vm.arena();
    let ud = ptr::from_ref(arena).cast_mut().cast();
    // SAFETY: the VM is idle (V1); `why` has the room, and ends with a zero in any case.
    unsafe {
        match lua::rlua_c_check(
            vm.main(),
            arena.used_bytes(),
            Some(block_bytes),
            ud,
            why.as_mut_ptr(),
        ) {
            lua::CHECK_OK => Ok(()),
            lua::CHECK_NO_MEMORY => Err(Flaw::NoMemory),
            _ => Err(Flaw::Damaged(Text::from_lossy(CStr::from_ptr(why.as_ptr()).to_bytes()))),
        }
    }
}

/// # Safety
/// `ud` is the arena; `kind` is NULL or a place for one.
pub(super) unsafe extern "C" fn block_bytes(
    ud: *mut c_void,
    address: *const c_void,
    kind: *mut u32,
) -> usize {
    // SAFETY: the contract above.
    let arena = unsafe { &*ud.cast_const().cast::<Arena>() };
    let offset = (address as usize).wrapping_sub(arena.base() as usize);
    let Some(bytes) = arena.block_bytes(offset) else { return 0 };
    if !kind.is_null() {
        // SAFETY: a live block; the contract above.
        unsafe { kind.write(arena.kind_of(offset)) };
    }
    bytes
}
