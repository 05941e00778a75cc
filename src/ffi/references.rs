//! References: registry references that know when they are stale.

use crate::error::{Error, HostError, Status};
use crate::lua::{self, lua_State};
use crate::vm::guard;
use std::ffi::c_int;

/// A reference to a Lua value: a number that knows when it is stale. 0 is none.
pub type rlua_Ref = u64;

/// Pops the value on top and keeps it, until rlua_unref or a rollback to before this call.
///
/// References roll back with the VM: one that was released after the snapshot is there again after
/// the rollback; one that was made after it is stale, also when its place was given to another.
/// (A serial of 32 bits tells them apart: of 4,294,967,295 references made, two may look alike.)
///
/// Cost: constant, but for a table that doubles.
///
/// @param L  A thread of a VM of ours, with a value on top; nil too.
/// @return   The reference, or 0 after NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED,
///           BAD_ARG (no value) or NO_MEMORY, with the value still on the stack; rlua_last_error
///           says which.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_ref(L: *mut lua_State) -> rlua_Ref {
    let mut reference = 0;
    // SAFETY: by the contract above; the serial's reference ends before Lua may collect.
    unsafe {
        guard::call(L, |vm| {
            let serial = (*vm).next_serial();
            match lua::rlua_c_ref(L, serial, &mut reference) {
                0 => Ok(()),
                lua::REFUSED_ARGUMENT => Err(Error::BadArg {
                    function: "rlua_ref",
                    why: "the stack holds no value to keep",
                }),
                _ => Err(HostError::NoRoom { what: "reference under the VM's limit" }.into()),
            }
        });
    }
    reference
}

/// Pushes the value that a reference keeps.
///
/// Cost: constant; it allocates nothing. The only function that does not hold the VM: it answers
/// BUSY to a second OS thread, but does not keep one out that enters meanwhile.
///
/// @param L          A thread of a VM of ours.
/// @param reference  From rlua_ref in this VM.
/// @return           RLUA_OK, or STALE (nothing is pushed), NULL_ARG, NOT_ROLLBACK, BUSY (another
///                   OS thread), POISONED, NO_MEMORY (no room on the Lua stack).
///
/// # Safety
/// As for rlua_ref.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_getref(L: *mut lua_State, reference: rlua_Ref) -> c_int {
    // SAFETY: by the contract above. What fails is a function of its own, so that this one saves no
    // registers.
    unsafe {
        if guard::glance(L) && lua::rlua_c_getref(L, reference) == 1 {
            return Status::Ok as c_int;
        }
        getref_again(L, reference)
    }
}

/// Finds out why it failed, through the door that says so.
#[cold]
#[inline(never)]
unsafe fn getref_again(L: *mut lua_State, reference: rlua_Ref) -> c_int {
    // SAFETY: by the contract of rlua_getref.
    unsafe {
        guard::call(L, |_| match lua::rlua_c_getref(L, reference) {
            1 => Ok(()),
            0 => Err(HostError::StaleRef { reference }.into()),
            _ => Err(Error::StackFull),
        })
    }
}

/// Releases a reference.
///
/// @param L          A thread of a VM of ours.
/// @param reference  From rlua_ref in this VM.
/// @return           RLUA_OK, or STALE (nothing has changed), NULL_ARG, NOT_ROLLBACK, BUSY (another
///                   OS thread), POISONED.
///
/// # Safety
/// As for rlua_ref.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_unref(L: *mut lua_State, reference: rlua_Ref) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::call(L, |_| match lua::rlua_c_unref(L, reference) {
            0 => Err(HostError::StaleRef { reference }.into()),
            _ => Ok(()),
        })
    }
}
