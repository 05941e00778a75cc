//! Handles: the resources of a state that a delta leads to. One that was alive before, and still
//! is, stays the VM's own; what is new, the host loads; what is no more, ends.
//!
//! ```text
//!  saving    what the second snapshot alone has is saved; what the first alone has is named
//!  applying  the host loads what is new -> the state is put in place, and its handles are given
//!            -> what is gone dies; a snapshot may have it still
//! ```
//!
//! # Not here
//! How the host saves and loads one ([`super::objects`]); the order of a delta ([`super::deltas`]).

use super::canonical::Canonical;
use super::config::Trust;
use super::guarded::Mode;
use super::images::Hashed;
use super::load::{HashedSource, bad_image};
use super::meeting::saved;
use super::objects::{self, Piece, Room, What, claim, put_piece};
use super::{Vm, no_room, push};
use crate::error::{Error, ImageError, Name, Result, Text};
use crate::lua;
use crate::resource::Alive;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

/// Where the userdata of a handle lies.
fn place_of(vm: &Vm, handle: *mut c_void) -> usize {
    // SAFETY: an address alone.
    let block = unsafe { lua::rlua_c_handle_block(handle) };
    block.addr().wrapping_sub(vm.arena.base().addr())
}

// -- saving --------------------------------------------------------------------------------------

/// Lets a state become canonical that has resources. What else lies outside is refused.
///
/// # Safety
/// `vm` is live, and the state its own or that of one of its snapshots; nothing changes it while
/// this writes.
pub(super) unsafe fn overlook(canonical: &mut Canonical, vm: *const Vm) {
    // SAFETY: the contract above.
    unsafe { canonical.meet(meet, vm.cast_mut().cast()) }
}

/// Something outside is met (called by C).
///
/// # Safety
/// As for [`overlook`].
unsafe extern "C" fn meet(vm: *mut c_void, met: *const lua::Met) -> *const c_char {
    // SAFETY: the contract above.
    let (vm, met) = unsafe { (&*vm.cast_const().cast::<Vm>(), &*met) };
    if met.is_resource == 0 {
        return c"a userdata has a finalizer in C, and deltas have no such".as_ptr();
    }
    let handle = vm.arena.base().wrapping_add(met.offset + met.memory);
    match vm.outside.table.get(met.id, handle.cast()) {
        Some(_) => ptr::null(),
        None => c"a handle of a resource is none".as_ptr(),
    }
}

/// Resources that one of two snapshots has, and the other has not.
pub(super) struct Between {
    gone: Vec<usize>,
    /// Where each is, and its type.
    born: Vec<(usize, Alive, usize)>,
}

impl Between {
    /// Of two snapshots, so many restores back.
    pub fn of(vm: &Vm, from: usize, to: usize) -> Result<Between> {
        let mut between = Between { gone: Vec::new(), born: Vec::new() };
        for (alive, is_born) in vm.outside.table.between(from, to) {
            // Files have no name, and are refused elsewhere.
            let Some(name) = vm.outside.name_of(alive.kind) else { continue };
            let place = place_of(vm, alive.handle);
            if is_born {
                let kind = vm.types.find(name.to_bytes(), true);
                let kind = kind.ok_or_else(|| unknown(place, name))?;
                push(&mut between.born, (place, alive, kind), no_room("object"))?;
            } else {
                push(&mut between.gone, place, no_room("object"))?;
            }
        }
        between.gone.sort_unstable();
        between.born.sort_unstable_by_key(|&(place, ..)| place);
        Ok(between)
    }

    /// Puts them into a delta, behind its names.
    ///
    /// # Safety
    /// `vm` is live, held and idle; the host's functions run, which do not use it.
    pub unsafe fn put(&self, vm: *const Vm, sink: &mut Hashed<'_, '_>) -> Result<()> {
        for &place in &self.gone {
            sink.put(&(place as u32).to_le_bytes())?;
        }
        sink.put(&[0; 4])?;
        // SAFETY: the contract above.
        let mut room = Room(unsafe { (*vm).arena.limit_bytes() } as u64);
        for &(place, alive, kind) in &self.born {
            // SAFETY: the contract above.
            unsafe {
                let bytes = saved(vm, kind, alive.object, 0)?;
                put_piece(vm, (place, What::Resource, kind), &bytes, &mut room, sink)?;
            }
        }
        sink.put(&[0; 4])
    }
}

fn unknown(offset: usize, name: &CStr) -> Error {
    let name = Name::from_lossy(name.to_bytes());
    let why =
        format_args!("rlua_register_type has not told how a resource '{name}' is saved").into();
    ImageError::Unsavable { offset, why, path: Text::default() }.into()
}

// -- applying ------------------------------------------------------------------------------------

/// What a delta has of resources.
pub(super) struct Brought {
    gone: Vec<usize>,
    born: Vec<Piece>,
}

impl Brought {
    /// What [`Between::put`] has put.
    pub fn read(source: &mut HashedSource<'_>, most_bytes: u64) -> Result<Brought> {
        let mut gone = Vec::new();
        loop {
            let place = source.word()? as usize;
            if place == 0 {
                break;
            }
            // A userdata is aligned to 16, so the list has a bound.
            let is_one = place.is_multiple_of(16) && (place as u64) < most_bytes;
            if !is_one || gone.last().is_some_and(|&last| last >= place) {
                return Err(bad_image("what is gone is in no order"));
            }
            push(&mut gone, place, no_room("object"))?;
        }
        let born = objects::read(source, most_bytes)?;
        match born.iter().all(|piece| piece.what == What::Resource) {
            true => Ok(Brought { gone, born }),
            false => Err(bad_image("a delta has objects that are no resources")),
        }
    }

    /// Whether the host has to make some.
    pub fn has_new(&self) -> bool {
        !self.born.is_empty()
    }
}

/// The resources of a VM while a delta is applied.
pub(super) struct Exchange {
    /// What ends.
    gone: Vec<Alive>,
    /// What stays, with its place.
    stays: Vec<(usize, Alive)>,
    born: Vec<Piece>,
    /// Of each that is born, its id and the host's object.
    made: Vec<(u64, *mut c_void)>,
}

impl Exchange {
    /// Has the host make what is new. After an error nothing has changed.
    ///
    /// # Safety
    /// `vm` is live, held and idle, and marked as working.
    pub unsafe fn begin(vm: *mut Vm, Brought { gone, born }: Brought) -> Result<Exchange> {
        let (stays, made) = (Vec::new(), Vec::new());
        let mut exchange = Exchange { gone: Vec::new(), stays, born, made };
        // SAFETY: the contract above; the references end before a host's function runs (V3).
        unsafe {
            exchange.sort_out(&*vm, &gone)?;
            if exchange.born.is_empty() {
                return Ok(exchange);
            }
            // The host's functions may have changed what there is.
            match exchange.make(vm).and_then(|()| exchange.sort_out(&*vm, &gone)) {
                Ok(()) => Ok(exchange),
                Err(error) => {
                    exchange.undo(vm);
                    Err(error)
                }
            }
        }
    }

    unsafe fn make(&mut self, vm: *mut Vm) -> Result<()> {
        let room = self.made.try_reserve_exact(self.born.len());
        room.map_err(no_room("object"))?;
        for piece in &self.born {
            // SAFETY: the contract of begin().
            self.made.push(unsafe { objects::make(vm, piece)? });
        }
        Ok(())
    }

    /// Which of the VM's stay. What was just made has no place yet.
    fn sort_out(&mut self, vm: &Vm, gone: &[usize]) -> Result<()> {
        self.gone.clear();
        self.stays.clear();
        let placed = vm.outside.table.alive().filter(|alive| !alive.handle.is_null());
        for alive in placed {
            let place = place_of(vm, alive.handle);
            if gone.binary_search(&place).is_ok() {
                push(&mut self.gone, alive, no_room("object"))?;
            } else {
                push(&mut self.stays, (place, alive), no_room("object"))?;
            }
        }
        self.stays.sort_unstable_by_key(|&(place, _)| place);
        let is_taken = |piece: &Piece| {
            self.stays.binary_search_by_key(&piece.offset, |&(place, _)| place).is_ok()
        };
        match () {
            _ if self.gone.len() != gone.len() => Err(bad_image("what is gone was no resource")),
            _ if self.born.iter().any(is_taken) => {
                Err(bad_image("what lies outside is there twice"))
            }
            _ => Ok(()),
        }
    }

    /// Gives the handles of a state that was put in place what they stand for. `is_put` tells which
    /// of its bytes are others than before. After an error nothing of this has changed.
    ///
    /// # Safety
    /// `vm` is live, held and idle, and has the state; nothing has run in it.
    pub unsafe fn give(&self, vm: *mut Vm, is_put: &dyn Fn(usize) -> bool) -> Result<()> {
        // SAFETY: the contract above; what is claimed is a handle's memory, of 16 bytes.
        unsafe {
            let is_put = |handle: *mut c_void| is_put(handle.addr() - (*vm).arena.base().addr());
            // What has another's place counts as zero, as what was put in place.
            let left = || self.gone.iter().filter(|gone| !is_put(gone.handle));
            left().for_each(|gone| lua::rlua_c_take_resource((*vm).main, gone.handle));
            let mut places = Vec::new();
            let mut claim_all = || {
                for &(place, alive) in &self.stays {
                    if is_put(alive.handle) {
                        let name = (*vm).outside.name_of(alive.kind).unwrap_or_default();
                        claim(vm, place, What::Resource, name)?;
                    }
                }
                places.try_reserve_exact(self.born.len()).map_err(no_room("object"))?;
                for piece in &self.born {
                    places.push(claim(vm, piece.offset, piece.what, piece.name())?);
                }
                match (*vm).config.trust == Trust::Proved && (*vm).config.guard != Mode::Off {
                    true => objects::see_all_claimed(vm),
                    false => Ok(()),
                }
            };
            if let Err(error) = claim_all() {
                left().for_each(|gone| {
                    lua::rlua_c_give_resource((*vm).main, gone.handle, gone.id);
                });
                return Err(error);
            }
            for (_, alive) in self.stays.iter().filter(|(_, alive)| is_put(alive.handle)) {
                lua::rlua_c_give_resource((*vm).main, alive.handle, alive.id);
            }
            for (&(id, object), place) in self.made.iter().zip(&places) {
                objects::give_resource(vm, id, object, place.memory);
            }
        }
        Ok(())
    }

    /// What is gone ends; what no snapshot has is released when the VM settles.
    ///
    /// # Safety
    /// `vm` is live and held.
    pub unsafe fn end(self, vm: *mut Vm) {
        // SAFETY: the contract above.
        unsafe { (*vm).outside.table.die_all(&self.gone) }
    }

    /// What the host made is released, the newest first.
    ///
    /// # Safety
    /// As for [`Exchange::begin`]; the state is what it was.
    pub unsafe fn undo(self, vm: *mut Vm) {
        // SAFETY: the contract above; the reference ends before the host's function runs (V3).
        unsafe {
            for (piece, &(id, object)) in self.born.iter().zip(&self.made).rev() {
                (*vm).outside.table.forget(id);
                objects::unmake(vm, piece, object);
            }
        }
    }
}
