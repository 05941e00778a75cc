//! Snapshots: capture, restore, discard.

use crate::error::Error;
use crate::lua::lua_State;
use crate::units::Frame;
use crate::vm::{guard, timeline};
use std::ffi::c_int;

/// Captures the VM's whole state, labelled one above the newest snapshot (0 when none is held);
/// rlua_newest_frame tells the label. The oldest snapshot goes when the history is full.
///
/// Cost: the tracker's search, a comparison of each page that may have been written since the last
/// capture or restore, and a copy of the 64-byte lines that differ.
///
/// @param L  Any thread of a VM of ours.
/// @return   RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, DISABLED, NO_MEMORY, BAD_FRAME
///           (the newest label is the highest there is), PARTICIPANT. After an error nothing has
///           changed.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_snap(L: *mut lua_State) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::work(L, |vm| timeline::capture(vm, None)) }
}

/// Captures the VM's whole state under the label `frame`, as rlua_snap does otherwise. The newest
/// snapshot's label again replaces that snapshot: what was held under it is gone.
///
/// @param L      Any thread of a VM of ours.
/// @param frame  Label, not below the newest snapshot's.
/// @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, DISABLED, BAD_FRAME,
///               NO_MEMORY, PARTICIPANT. After an error nothing has changed.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_snap_frame(L: *mut lua_State, frame: i64) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::work(L, |vm| timeline::capture(vm, Some(Frame(frame)))) }
}

/// Puts the VM's whole state back to the n-th newest snapshot. Newer snapshots are dropped, the
/// target stays, so that rlua_rollback(L, 1) can be repeated.
///
/// Pointers into the VM that the host took after the snapshot (coroutines, userdata, strings) are
/// dangling afterwards; those taken before it are valid again, at the same addresses. The stack of
/// the main thread is part of the state: lua_gettop is what it was.
///
/// Cost: the tracker's search, and a copy of the 64-byte lines that differ, of each snapshot on the
/// way. Needs no memory.
///
/// @param L  Any thread of a VM of ours that exists in the target.
/// @param n  1 for the newest snapshot.
/// @return   RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_SNAPSHOT (n is 0 or above the
///           count), NO_MEMORY. After an error nothing has changed.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_rollback(L: *mut lua_State, n: usize) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::work(L, |vm| timeline::restore(vm, n)) }
}

/// Puts the VM's whole state back to the snapshot labelled `frame`, as rlua_rollback does.
///
/// @param L      Any thread of a VM of ours that exists in the target.
/// @param frame  The label given to rlua_snap_frame, or by rlua_snap.
/// @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_SNAPSHOT (no snapshot has
///               that label), NO_MEMORY. After an error nothing has changed.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_rollback_to(L: *mut lua_State, frame: i64) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::work(L, |vm| timeline::restore_to(vm, Frame(frame))) }
}

/// Drops the snapshots older than a confirmed frame: those whose label is below `frame`.
///
/// @param L      Any thread of a VM of ours.
/// @param frame  The oldest label to keep; it need not be held.
/// @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_discard_before(L: *mut lua_State, frame: i64) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::work(L, |vm| timeline::discard_before(vm, Frame(frame))) }
}

/// Changes how many snapshots are kept. Where more are held, the oldest go; 0 turns them off.
///
/// @param L              Any thread of a VM of ours.
/// @param max_snapshots  Up to 1048576.
/// @return               RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, BAD_CONFIG, NO_MEMORY,
///                       BAD_ARG (with RLUA_GUARD_REFUSE: there is userdata that it refuses, made
///                       while the VM kept no snapshots).
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_set_max_snapshots(L: *mut lua_State, max_snapshots: usize) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::work(L, |vm| timeline::set_max_snapshots(vm, max_snapshots)) }
}

/// Tells how many snapshots are held. May be called while Lua is running.
///
/// @param L      Any thread of a VM of ours.
/// @param count  Receives the count.
/// @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread).
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread closes during the call; `count`
/// is NULL or points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_snapshot_count(L: *mut lua_State, count: *mut usize) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::look(L, |vm| {
            if count.is_null() {
                return Err(Error::NullArg { name: "count" });
            }
            count.write(vm.history().count());
            Ok(())
        })
    }
}

/// Tells the newest snapshot's label: what a snap has just given, and where a rollback has just
/// gone. May be called while Lua is running.
///
/// @param L      Any thread of a VM of ours.
/// @param frame  Receives the label.
/// @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), NO_SNAPSHOT (none is
///               held).
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread closes during the call; `frame`
/// is NULL or points to an int64_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_newest_frame(L: *mut lua_State, frame: *mut i64) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::look(L, |vm| {
            if frame.is_null() {
                return Err(Error::NullArg { name: "frame" });
            }
            let (_, newest) = vm.history().frames().ok_or(Error::NoSnapshot)?;
            frame.write(newest.0);
            Ok(())
        })
    }
}
