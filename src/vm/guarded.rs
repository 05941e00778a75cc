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

use super::guard::{contain, hooked};
use super::resources::end;
use super::{Vm, no_room};
use crate::arena::Arena;
use crate::error::{Flaw, HostError, Result};
use crate::lua::{self, lua_State};
use crate::resource::{Alive, Resources};
use crate::snapshot::Written;
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
    /// Which snapshots have which; their kinds are their sizes.
    pub(super) table: Resources,
    /// How many more may be made before the restore that has begun.
    left: Option<u32>,
    /// Those that a restore may write to, where each that has ended was noted, and their blocks,
    /// one behind the other.
    kept: Vec<(*mut c_void, Option<u32>)>,
    blocks: Vec<u8>,
}

impl Guarded {
    /// None yet.
    pub fn new(mode: Mode) -> Guarded {
        Guarded {
            mode,
            table: Resources::in_arena(),
            left: None,
            kept: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Those that are alive, and those that are kept.
    pub fn count(&self) -> usize {
        self.table.count()
    }

    /// Room for the blocks of all that are in the table. What a finalizer makes before a restore is
    /// not in its snapshot.
    fn reserve(&mut self) -> Result<()> {
        let (count, bytes) = self.table.sizes();
        self.kept.clear();
        self.blocks.clear();
        self.kept.try_reserve(count).map_err(no_room("copy of userdata"))?;
        self.blocks.try_reserve(bytes).map_err(no_room("copy of userdata"))
    }

    fn note(&mut self, object: *mut c_void, bytes: u32) -> std::result::Result<u32, c_int> {
        if self.mode == Mode::Refuse {
            return Err(lua::GUARD_REFUSED);
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(lua::GUARD_TOO_MANY)?;
        }
        self.enter(object, bytes).map(|id| id as u32).map_err(|_| lua::GUARD_NO_MEMORY)
    }

    fn enter(&mut self, object: *mut c_void, bytes: u32) -> Result<u64> {
        let id = self.table.create(object, bytes)?;
        self.table.name(id, object);
        Ok(id)
    }
}

/// A userdata gets a finalizer in C, in a VM that keeps snapshots (a hook of C).
///
/// # Safety
/// This OS thread holds the VM; `object` is a userdata of so many bytes; `place` is a place for a
/// number.
pub unsafe extern "C" fn guard(
    thread: *mut lua_State,
    object: *mut c_void,
    bytes: u32,
    place: *mut u32,
) -> c_int {
    // SAFETY: the contract above; the references end at once.
    unsafe { hooked(thread, lua::GUARD_NO_MEMORY, |vm| (*vm).guard(object, bytes, place)) }
}

/// The same for one that was made before the VM keeps snapshots (called by C).
///
/// # Safety
/// As for [`guard`]; `vm` is live.
unsafe extern "C" fn note(
    vm: *mut c_void,
    object: *mut c_void,
    bytes: u32,
    place: *mut u32,
) -> c_int {
    // SAFETY: the contract above; the references end at once.
    unsafe {
        contain(vm.cast::<Vm>(), lua::GUARD_NO_MEMORY, |vm| (*vm).guard(object, bytes, place))
    }
}

impl Vm {
    /// Has the table follow the snapshots from its first entry on, which `enter` makes.
    fn following<T, E>(
        &mut self,
        enter: impl FnOnce(&mut Guarded) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        if !self.guards {
            self.guarded.table.follow(&self.outside.table);
        }
        let entered = enter(&mut self.guarded)?;
        self.guards = true;
        Ok(entered)
    }

    /// Enters a userdata of so many bytes that a state has got; answers its id.
    pub(super) fn enter_guarded(&mut self, object: *mut c_void, bytes: u32) -> Result<u64> {
        self.following(|guarded| guarded.enter(object, bytes))
    }

    /// # Safety
    /// As for [`guard`].
    unsafe fn guard(&mut self, object: *mut c_void, bytes: u32, place: *mut u32) -> c_int {
        match self.following(|guarded| guarded.note(object, bytes)) {
            Ok(index) => {
                // SAFETY: a place for a number.
                unsafe { *place = index };
                lua::GUARD_YES
            }
            Err(answer) => answer,
        }
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

/// Snapshots are about to be kept: what was made before is guarded from here on. After an error
/// some of it is, which nobody sees.
///
/// # Safety
/// As for [`super::timeline::capture`].
pub unsafe fn turn_on(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    match unsafe { turn(vm, Some(note)) } {
        lua::GUARD_YES => Ok(()),
        lua::GUARD_REFUSED => Err(HostError::Refused.into()),
        _ => Err(HostError::NoRoom { what: "guarded userdata" }.into()),
    }
}

/// No snapshots are kept from here on. What is guarded stays so, and is finalized at once.
///
/// # Safety
/// As for [`super::timeline::capture`].
pub unsafe fn turn_off(vm: *mut Vm) {
    // SAFETY: the contract above.
    unsafe { turn(vm, None) };
}

/// The state is another one, so its own note of whether userdata is guarded is not the VM's: what
/// the VM keeps, and its mode, decide. After an error, as after one of [`turn_on`].
///
/// # Safety
/// As for [`super::timeline::capture`]; the VM need not be in the registry yet.
pub unsafe fn as_the_vm_keeps(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        match (*vm).history.max_snapshots() {
            0 => turn_off(vm),
            _ => turn_on(vm)?,
        }
    }
    Ok(())
}

/// As [`note`], whatever the mode: it is there.
///
/// # Safety
/// As for [`note`].
unsafe extern "C" fn note_any(
    vm: *mut c_void,
    object: *mut c_void,
    bytes: u32,
    place: *mut u32,
) -> c_int {
    // SAFETY: the contract above; the references end at once.
    unsafe {
        contain(vm.cast::<Vm>(), lua::GUARD_NO_MEMORY, |vm| {
            match (*vm).enter_guarded(object, bytes) {
                Ok(id) => {
                    *place = id as u32;
                    lua::GUARD_YES
                }
                Err(_) => lua::GUARD_NO_MEMORY,
            }
        })
    }
}

/// Notes all that the state has. Where no snapshots are kept, none were noted so far.
///
/// # Safety
/// As for [`super::timeline::capture`].
pub unsafe fn note_all(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        if (*vm).history.max_snapshots() > 0 {
            return Ok(());
        }
        let answer = turn(vm, Some(note_any));
        turn_off(vm);
        match answer {
            lua::GUARD_YES => Ok(()),
            _ => Err(HostError::NoRoom { what: "guarded userdata" }.into()),
        }
    }
}

unsafe fn turn(vm: *mut Vm, note: Option<lua::Note>) -> c_int {
    // SAFETY: the contract of turn_on(); no reference is held while C calls back (V3).
    unsafe {
        let marks = (*vm).guarded.mode != Mode::Off;
        let note = note.filter(|_| marks);
        lua::rlua_c_turn_guard((*vm).main, marks.into(), note, vm.cast())
    }
}

/// Makes room for the blocks that a restore leaves as they are, and finalizes what it takes away.
/// After an error nothing has changed; the restore itself was prepared before, and does not fail.
///
/// # Safety
/// As for [`super::timeline::capture`]; the restore of the n-th newest snapshot is prepared.
pub unsafe fn before_restore(vm: *mut Vm, n: usize) -> Result<()> {
    // SAFETY: the contract above; the references end before a finalizer runs (V3).
    unsafe {
        if !(*vm).guards {
            return Ok(());
        }
        (*vm).guarded.reserve()?;
        (*vm).guarded.left = Some(MADE_BEFORE_A_RESTORE);
        end_unborn(vm, n);
    }
    Ok(())
}

/// A state comes that is given up: of what lies outside, what it makes ends with it, and what it
/// ends is alive again afterwards. All that is guarded is noted.
///
/// # Safety
/// As for [`super::timeline::capture`].
pub unsafe fn begin_trial(vm: *mut Vm) {
    // SAFETY: the contract above; the references end at once.
    unsafe {
        // What it makes is noted, as where snapshots are kept.
        turn(vm, Some(note));
        (*vm).tables().for_each(Resources::begin_trial);
        (*vm).guarded.left = Some(MADE_BEFORE_A_RESTORE);
    }
}

/// The end of that, before another state is put in place.
///
/// # Safety
/// As for [`begin_trial`], which began it; the VM is marked as working.
pub unsafe fn end_trial(vm: *mut Vm) {
    // SAFETY: the contract above; the references end before a finalizer runs (V3).
    unsafe {
        end_unborn(vm, 1);
        (*vm).tables().for_each(Resources::end_trial);
        if (*vm).history.max_snapshots() == 0 {
            turn_off(vm);
        }
    }
}

/// Finalizes some that no snapshot has, the newest first, in a state that is given up.
///
/// # Safety
/// As for [`end_trial`].
pub unsafe fn end_aside(vm: *mut Vm, ending: &[Alive]) {
    // SAFETY: the contract above; the reference ends before a finalizer runs (V3).
    unsafe {
        (*vm).guarded.table.die_all(ending);
        begin_trial(vm);
        settle(vm);
        end_trial(vm);
    }
}

/// Finalizes what the n-th newest snapshot does not have, the newest first.
unsafe fn end_unborn(vm: *mut Vm, n: usize) {
    // SAFETY: the contract of end_trial(); the references end before a finalizer runs (V3).
    unsafe {
        while (*vm).guards
            && let Some(unborn) = (*vm).guarded.table.take_unborn(n)
        {
            lua::rlua_c_end_guarded((*vm).main, unborn.object);
        }
        (*vm).guarded.left = None;
    }
}

impl Guarded {
    /// Copies the blocks that a restore may write to. All that are left are in the n-th newest
    /// snapshot, and [`before_restore`] has made room.
    ///
    /// # Safety
    /// The VM is idle, and its objects are where they were when `before_restore` ended.
    pub unsafe fn save(&mut self, main: *mut lua_State, n: usize, written: &Written<'_>) {
        let Guarded { table, kept, blocks, .. } = self;
        for (object, bytes, ended_at) in table.born_before(n) {
            if !written.touches(object, bytes as usize) {
                continue;
            }
            let at = blocks.len();
            debug_assert!(blocks.capacity() - at >= bytes as usize, "of those before");
            // SAFETY: the contract above; there is room for the whole object.
            unsafe {
                let copy = blocks.as_mut_ptr().add(at).cast();
                let length = lua::rlua_c_save_guarded(main, object, copy);
                blocks.set_len(at + length);
            }
            kept.push((object, ended_at));
        }
    }

    /// Puts back the blocks as [`save`](Self::save) found them.
    ///
    /// # Safety
    /// Nothing ran since but the restore: the same objects, at the same addresses.
    unsafe fn put_back(&mut self) {
        let Guarded { kept, blocks, .. } = self;
        let mut at = 0;
        for (object, ended_at) in kept.drain(..) {
            // SAFETY: the contract above.
            at += unsafe {
                let copy = blocks.as_ptr().add(at).cast();
                lua::rlua_c_put_back_guarded(object, copy, ended_at.unwrap_or(lua::SPENT))
            };
        }
        debug_assert_eq!(at, blocks.len());
        blocks.clear();
    }

    /// Verifies the table, where so many snapshots are held, and that each object is there (O1).
    ///
    /// # Safety
    /// The VM is idle.
    pub unsafe fn check(&self, arena: &Arena, held: usize) -> Result<()> {
        self.table.check(held)?;
        for (object, bytes, _) in self.table.born_before(0) {
            let offset = object.addr().wrapping_sub(arena.base().addr());
            let there = arena.block_bytes(offset).is_some_and(|size| size >= bytes as usize);
            // SAFETY: a block begins there, which is large enough to look into.
            if !there || unsafe { lua::rlua_c_is_guarded_object(object, bytes) } == 0 {
                return Err(Flaw::damaged(format_args!(
                    "O1: a guarded userdata of {bytes} bytes is not at offset {offset}"
                ))
                .into());
            }
        }
        Ok(())
    }
}

/// After the restore: the guarded blocks are what they were.
///
/// # Safety
/// As for [`super::timeline::capture`]; nothing ran since `before_restore` but the restore.
pub unsafe fn after_restore(vm: *mut Vm) {
    // SAFETY: the contract above.
    unsafe { (*vm).guarded.put_back() }
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
