//! Participants: host state that follows the snapshots.

use crate::error::{Error, Result};
use crate::ffi::sized::{self, Sized};
use crate::lua::lua_State;
use crate::vm::guard;
use crate::vm::participants::{self, Participant};
use std::ffi::{c_int, c_void};

/// State of the host outside the VM that follows its snapshots. Fill with zeros, set `size`, then
/// the rest.
///
/// All three are called with the VM between two states: protected calls on it work, what needs an
/// idle VM answers BUSY, and so do rlua_add_participant and rlua_remove_participant.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_Participant {
    /// sizeof(rlua_Participant).
    pub size: usize,
    /// Called by each snap, before the VM is copied. Keeps the state as it is now and writes
    /// something to find it by to `token` (which is NULL before). Answers 0; anything else fails
    /// the snap with PARTICIPANT, and nothing has changed.
    pub capture:
        Option<unsafe extern "C" fn(ud: *mut c_void, frame: i64, token: *mut *mut c_void) -> c_int>,
    /// Called by a rollback, when the VM's own state is back, once, with the target's token. The
    /// target may be restored again, so the token must stay good.
    pub restore: Option<unsafe extern "C" fn(ud: *mut c_void, token: *mut c_void)>,
    /// Called exactly once for each token, when its snapshot is gone. May be NULL.
    pub discard: Option<unsafe extern "C" fn(ud: *mut c_void, token: *mut c_void)>,
}

// SAFETY: repr(C); integers, pointers and optional functions.
unsafe impl Sized for rlua_Participant {}

unsafe fn read_participant(
    participant: *const rlua_Participant,
    ud: *mut c_void,
) -> Result<Participant> {
    // SAFETY: NULL or whole (the callers).
    let given = unsafe { sized::read("participant", participant)? };
    let missing = |name| Error::NullArg { name };
    Ok(Participant {
        capture: given.capture.ok_or(missing("participant->capture"))?,
        restore: given.restore.ok_or(missing("participant->restore"))?,
        discard: given.discard,
        ud,
    })
}

/// Makes host state take part in every snapshot from the next on. Snapshots that are already held
/// have no token of it: a rollback to one of them leaves its state as it is.
///
/// Captures and restores are made in the order in which participants were added. Tokens of dropped
/// snapshots are discarded the oldest snapshot first, after a restore; at lua_close after the
/// finalizers and before the resources are released.
///
/// @param L            A thread of a VM of ours.
/// @param participant  Copied.
/// @param ud           Handed to each call; must stay valid until lua_close or removal.
/// @return             RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (in one of these functions, in a
///                     release, or another OS thread), POISONED, BAD_CONFIG (`size`), NO_MEMORY.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call;
/// `participant` is NULL or whole.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_add_participant(
    L: *mut lua_State,
    participant: *const rlua_Participant,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::call(L, |vm| participants::add(vm, read_participant(participant, ud)?)) }
}

/// Ends a participation; its tokens are discarded, the oldest first.
///
/// @param L            A thread of a VM of ours.
/// @param participant  As given to rlua_add_participant.
/// @param ud           As given to rlua_add_participant.
/// @return             As rlua_add_participant, and BAD_ARG when there is no such participant.
///
/// # Safety
/// As for rlua_add_participant.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_remove_participant(
    L: *mut lua_State,
    participant: *const rlua_Participant,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::call(L, |vm| participants::remove(vm, read_participant(participant, ud)?)) }
}
