//! Memory of the host inside the VM. docs/HOST.md tells when to use it.

use crate::error::{Error, HostError, Result};
use crate::lua::{self, lua_State};
use crate::vm::{Vm, guard};
use std::ffi::{c_int, c_void};
use std::ptr;

/// Bytes before a block of rlua_alloc: its header.
const BLOCK_HEAD: usize = 16;

/// Allocates memory of the host inside the VM. It rolls back with the VM: contents come back, a
/// block that was freed after the snapshot is there again, one that was made after it is gone.
/// Any pointer in it should lead into the same VM, or not be followed after a rollback.
///
/// The bytes count against the VM's limit and drive its collector, as Lua's own do; where they do
/// not fit, garbage is collected first. They are freed by rlua_free, or with the VM.
///
/// @param L     A thread of a VM of ours.
/// @param size  In bytes; 0 gives a block of no bytes.
/// @return      Memory aligned to 16 and filled with zeros. NULL after NULL_ARG, NOT_ROLLBACK,
///              BUSY (another OS thread), POISONED or NO_MEMORY; rlua_last_error says which.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_alloc(L: *mut lua_State, size: usize) -> *mut c_void {
    // SAFETY: by the contract above.
    unsafe { allocate(L, "rlua_alloc", ptr::null_mut(), size) }
}

/// Gives a block another size, in place where it can; else it moves. What it had is kept up to the
/// smaller size, what is new is zero. A shrink never fails.
///
/// @param L      A thread of a VM of ours.
/// @param block  From rlua_alloc or rlua_realloc in this VM. NULL allocates.
/// @param size   In bytes; 0 does not free.
/// @return       As rlua_alloc, and NULL after BAD_ARG (no live block). After NULL the old block is
///               as it was.
///
/// # Safety
/// As for rlua_alloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_realloc(
    L: *mut lua_State,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: by the contract above.
    unsafe { allocate(L, "rlua_realloc", block, size) }
}

/// Frees a block.
///
/// @param L      A thread of a VM of ours.
/// @param block  From rlua_alloc or rlua_realloc in this VM, or NULL, which is nothing to do.
/// @return       RLUA_OK, or NULL_ARG (L), NOT_ROLLBACK, BUSY (another OS thread), POISONED,
///               BAD_ARG: no live block of this VM, as far as its header tells.
///
/// # Safety
/// As for rlua_alloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_free(L: *mut lua_State, block: *mut c_void) -> c_int {
    // SAFETY: by the contract above; the block's header was checked.
    unsafe {
        guard::call(L, |vm| {
            if !block.is_null() {
                is_block(vm, "rlua_free", block)?;
                lua::rlua_c_free(L, block);
            }
            Ok(())
        })
    }
}

/// Announces a write to memory of the VM. Needed where rlua_Config.announces is set, for blocks of
/// rlua_alloc, before or after each write and before the next snap or rollback; what is not
/// announced does not roll back, or poisons the VM when an audit finds it. Harmless anywhere else.
///
/// Cost: a byte for each 64 bytes.
///
/// @param L        A thread of a VM of ours.
/// @param pointer  Into the VM's memory.
/// @param bytes    How many are written from there on; 0 is nothing to do.
/// @return         RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED, BAD_ARG:
///                 some of it is not the VM's.
///
/// # Safety
/// As for rlua_alloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_touch(
    L: *mut lua_State,
    pointer: *const c_void,
    bytes: usize,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::call(L, |vm| match (*vm).touch(pointer, bytes) {
            true => Ok(()),
            false => {
                let (function, why) = ("rlua_touch", "this is no memory of the VM");
                Err(Error::BadArg { function, why })
            }
        })
    }
}

unsafe fn allocate(
    L: *mut lua_State,
    function: &'static str,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    let mut memory = ptr::null_mut();
    // SAFETY: by the callers' contract; the block's header was checked.
    unsafe {
        guard::call(L, |vm| {
            memory = if block.is_null() {
                lua::rlua_c_alloc(L, size)
            } else {
                is_block(vm, function, block)?;
                lua::rlua_c_realloc(L, block, size)
            };
            if memory.is_null() {
                return Err(HostError::NoMemory { wanted_bytes: size }.into());
            }
            (*vm).note_block(memory.byte_sub(BLOCK_HEAD));
            Ok(())
        });
    }
    memory
}

/// Sees that a pointer is a live block: it lies in the arena, and its header checks.
unsafe fn is_block(vm: *mut Vm, function: &'static str, block: *mut c_void) -> Result<()> {
    // SAFETY: the VM is live; the header is read only where the arena is committed.
    unsafe {
        let (base, used) = ((*vm).arena().base() as usize, (*vm).arena().used_bytes());
        let offset = (block as usize).wrapping_sub(base);
        let inside = offset >= BLOCK_HEAD && offset < used && offset % BLOCK_HEAD == 0;
        if inside && lua::rlua_c_is_block(block) != 0 {
            return Ok(());
        }
    }
    Err(HostError::NotOurBlock { function }.into())
}
