//! Guarded: userdata with a finalizer in C, which run it once and keep their blocks in a restore.
//!
//! ```text
//!                 given up, a snapshot has it                the last such snapshot goes
//!  guarded ------------------------------------> kept (O1) ------------------------------+
//!   |    ^                                         |                                     v
//!   |    +---- a restore to a snapshot of before --+                                finalized
//!   +-- given up, no snapshot has it; or a restore to a snapshot without it -------------^
//! ```
//!
//! What a restore takes away is finalized before it, in the present state: there its metatable is
//! what its finalizer expects.
//!
//! # Not here
//! Which snapshots have an object (`crate::resource`); the objects (`src/lua/guarded.c`).

use super::guard::hooked;
use super::resources::end;
use super::{Vm, no_room};
use crate::error::Result;
use crate::lua::{self, lua_State};
use crate::resource::Resources;
use std::ffi::{c_int, c_void};
use std::ptr;

/// What a finalizer in C means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The userdata is guarded.
    On,
    /// It must not be made.
    Refuse,
    /// Nothing.
    Off,
}

/// Userdata that finalizers may make before one restore. They are finalized as well, so without a
/// bound two types that make each other would never end.
const MADE_BEFORE_A_RESTORE: u32 = 1000;

/// The guarded userdata of one VM.
pub struct Guarded {
    mode: Mode,
    /// Which snapshots have which.
    pub(super) table: Resources,
    /// How many more may be made before the restore that has begun.
    left: Option<u32>,
    /// The blocks of those that live through a restore, one behind the other.
    blocks: Vec<u8>,
}

impl Guarded {
    /// None yet.
    pub fn new(mode: Mode) -> Guarded {
        Guarded { mode, table: Resources::in_arena(), left: None, blocks: Vec::new() }
    }

    /// Those that are alive, and those that are kept.
    pub fn count(&self) -> usize {
        self.table.count()
    }

    fn note(
        &mut self,
        keeps_snapshots: bool,
        object: *mut c_void,
    ) -> std::result::Result<u32, c_int> {
        match self.mode {
            Mode::Off => return Err(lua::GUARD_NO),
            Mode::Refuse if keeps_snapshots => return Err(lua::GUARD_REFUSED),
            _ => {}
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(lua::GUARD_TOO_MANY)?;
        }
        let id = self.table.create(object, 0).map_err(|_| lua::GUARD_NO_MEMORY)?;
        self.table.name(id, object);
        Ok(id as u32)
    }
}

/// A userdata gets a finalizer in C (a hook of C).
///
/// # Safety
/// Lua is running in the VM, on this OS thread; `place` is a place for a number.
pub unsafe extern "C" fn guard(
    thread: *mut lua_State,
    object: *mut c_void,
    place: *mut u32,
) -> c_int {
    // SAFETY: the contract above; the references end at once.
    unsafe {
        hooked(thread, lua::GUARD_NO, |vm| {
            if !(*vm).guards {
                (*vm).guarded.table.follow(&(*vm).outside.table);
            }
            let keeps_snapshots = (*vm).history.max_snapshots() > 0;
            match (*vm).guarded.note(keeps_snapshots, object) {
                Ok(index) => {
                    (*vm).guards = true;
                    *place = index;
                    lua::GUARD_YES
                }
                Err(answer) => answer,
            }
        })
    }
}

/// The collector gives up a guarded userdata (a hook of C).
///
/// # Safety
/// As for [`guard`].
pub unsafe extern "C" fn given_up(
    thread: *mut lua_State,
    object: *mut c_void,
    place: u32,
) -> c_int {
    // SAFETY: the contract above.
    unsafe {
        hooked(thread, lua::END_PAST, |vm| {
            let table = &mut (*vm).guarded.table;
            table.id_at(place).map_or(lua::END_PAST, |id| end(table, id, object))
        })
    }
}

/// The next userdata that is kept for a snapshot alone (a hook of C).
///
/// # Safety
/// As for [`guard`]; `cursor` is 0 or as this function left it.
pub unsafe extern "C" fn kept(main: *mut lua_State, cursor: *mut u64) -> *mut c_void {
    // SAFETY: the contract above.
    unsafe {
        hooked(main, ptr::null_mut(), |vm| match (*vm).guarded.table.next_dead(*cursor) {
            Some((object, next)) if (*vm).guards => {
                *cursor = next;
                object
            }
            _ => ptr::null_mut(),
        })
    }
}

/// Makes room for the blocks that a restore leaves as they are, finalizes what it takes away, and
/// copies the blocks. After an error nothing has changed; the restore itself, which was prepared
/// before, does not fail.
///
/// # Safety
/// As for [`super::timeline::capture`]; the n-th newest snapshot is held.
pub unsafe fn before_restore(vm: *mut Vm, n: usize) -> Result<()> {
    // SAFETY: the contract above; the references end before a finalizer runs (V3).
    unsafe {
        if !(*vm).guards {
            return Ok(());
        }
        let guarded = &mut (*vm).guarded;
        let sizes = guarded.table.born_before(n).map(|object| lua::rlua_c_guarded_bytes(object));
        let bytes = sizes.sum();
        guarded.blocks.clear();
        guarded.blocks.try_reserve(bytes).map_err(no_room("copy of userdata"))?;
        guarded.left = Some(MADE_BEFORE_A_RESTORE);
        while let Some(unborn) = (*vm).guarded.table.take_unborn(n) {
            lua::rlua_c_end_guarded((*vm).main, unborn.object);
        }
        let main = (*vm).main;
        let Guarded { table, blocks, left, .. } = &mut (*vm).guarded;
        *left = None;
        for object in table.born_before(n) {
            let (at, bytes) = (blocks.len(), lua::rlua_c_guarded_bytes(object));
            debug_assert!(blocks.capacity() - at >= bytes, "the same objects as before");
            lua::rlua_c_save_guarded(main, object, blocks.as_mut_ptr().add(at).cast());
            blocks.set_len(at + bytes);
        }
    }
    Ok(())
}

/// Puts back the blocks as [`before_restore`] found them. All that are left are in the snapshot.
///
/// # Safety
/// As for [`super::timeline::capture`]; nothing ran since `before_restore` but the restore.
pub unsafe fn after_restore(vm: *mut Vm) {
    // SAFETY: the contract above; the same objects, at the same addresses, in the same order.
    unsafe {
        if !(*vm).guards {
            return;
        }
        let Guarded { table, blocks, .. } = &mut (*vm).guarded;
        let mut at = 0;
        for object in table.born_before(0) {
            lua::rlua_c_put_back_guarded(object, blocks.as_ptr().add(at).cast());
            at += lua::rlua_c_guarded_bytes(object);
        }
        debug_assert_eq!(at, blocks.len());
    }
}

/// Finalizes what nothing has any more, the newest first.
///
/// # Safety
/// As for [`super::timeline::capture`]; the VM is marked as working.
pub unsafe fn settle(vm: *mut Vm) {
    // SAFETY: the contract above; the reference ends before the finalizer runs (V3).
    unsafe {
        while (*vm).guards
            && let Some(released) = (*vm).guarded.table.next_released()
        {
            lua::rlua_c_end_guarded((*vm).main, released.object);
        }
    }
}

/// The VM closes: no snapshot has anything any more.
///
/// # Safety
/// As for [`settle`].
pub unsafe fn begin_close(vm: *mut Vm) {
    // SAFETY: the contract above.
    unsafe {
        if (*vm).guards {
            let held = (*vm).guarded.table.held();
            (*vm).guarded.table.discarded((held.end - held.start) as usize);
            settle(vm);
        }
    }
}
