//! Handles: what lies outside a state that a delta leads to, resources and guarded userdata. One
//! that was alive before, and still is, stays the VM's own; what is new, the host loads; what is no
//! more, ends.
//!
//! ```text
//!  saving    what the second snapshot alone has is saved; what the first alone has is named
//!  applying  the host loads new resources -> the state is put in place, its handles are given, and
//!            blocks are theirs again -> the host fills new blocks -> what is gone dies
//! ```
//!
//! A resource that is gone may be kept for a snapshot. A guarded userdata may not: a state of
//! another VM has other things where it lies, and the finalizer needs it there. So what a snapshot
//! of the VM has must stay. That finalizer runs in the state before, which is put in place for it,
//! since there is all that it needs; what it does to that state is undone.
//!
//! # Not here
//! How the host saves and loads one ([`super::objects`]); the order of a delta ([`super::deltas`]);
//! blocks of what stays ([`super::blocks`]).

use super::base::Base;
use super::blocks::Blocks;
use super::canonical::Canonical;
use super::config::Trust;
use super::guarded::{self, Mode};
use super::images::{Hashed, put_whole, whole};
use super::load::{HashedSource, bad_image};
use super::meeting::{self, Meeting};
use super::objects::{self, Piece, Place, What, claim, place_at};
use super::{Vm, no_room, push};
use crate::error::{HostError, Result};
use crate::lua;
use crate::resource::{Alive, Life};
use std::ffi::{c_char, c_void};
use std::{ptr, slice};

/// Where the userdata of a handle lies.
fn place_of(vm: &Vm, handle: *mut c_void) -> usize {
    // SAFETY: an address alone.
    place_in(vm, unsafe { lua::rlua_c_handle_block(handle) })
}

fn place_in(vm: &Vm, userdata: *mut c_void) -> usize {
    userdata.addr().wrapping_sub(vm.arena.base().addr())
}

// -- saving --------------------------------------------------------------------------------------

/// Lets a state become canonical that has resources and guarded userdata. What else lies outside is
/// refused.
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
        return match meeting::noted(vm, met, None) {
            Ok(Life::Ended) if met.is_pending != 0 => {
                c"a userdata has got a finalizer in C once more".as_ptr()
            }
            Ok(_) => ptr::null(),
            Err(why) => why.as_ptr(),
        };
    }
    let handle = vm.arena.base().wrapping_add(met.offset + met.memory);
    match vm.outside.table.get(met.id, handle.cast()) {
        Some(_) => ptr::null(),
        None => c"a handle of a resource is none".as_ptr(),
    }
}

/// What one of two snapshots has outside, and the other has not.
pub(super) struct Between {
    gone: Vec<usize>,
    born: Meeting,
}

impl Between {
    /// Of two snapshots, so many restores back.
    pub fn of(vm: &Vm, from: usize, to: usize) -> Result<Between> {
        let (mut gone, mut born) = (Vec::new(), Vec::new());
        // Files have no name, and are refused elsewhere.
        let resources = vm.outside.table.between(from, to);
        let resources = resources
            .filter(|(alive, _)| vm.outside.name_of(alive.kind).is_some())
            .map(|(alive, is_born)| (place_of(vm, alive.handle), is_born));
        let userdata = vm.guarded.table.between(from, to);
        let userdata = userdata.map(|(alive, is_born)| (place_in(vm, alive.object), is_born));
        for (place, is_born) in resources.chain(userdata) {
            let list = if is_born { &mut born } else { &mut gone };
            push(list, place, no_room("object"))?;
        }
        gone.sort_unstable();
        born.sort_unstable();
        Ok(Between { gone, born: Meeting::at(vm, to, born) })
    }

    /// Looks at what is new in the second.
    ///
    /// # Safety
    /// `base` is of it, and `vm` is live.
    pub unsafe fn meet(&mut self, vm: *const Vm, base: &Base) -> Result<()> {
        // SAFETY: the contract above.
        unsafe { base.meet(vm, &mut self.born) }
    }

    /// Puts them into a delta, behind its names.
    ///
    /// # Safety
    /// The VM is live, held and idle; the host's functions run, which do not use it.
    pub unsafe fn put(&self, sink: &mut Hashed<'_, '_>) -> Result<()> {
        for &place in &self.gone {
            sink.put(&(place as u32).to_le_bytes())?;
        }
        sink.put(&[0; 4])?;
        // SAFETY: the contract above.
        unsafe { self.born.put(sink) }
    }
}

// -- applying ------------------------------------------------------------------------------------

/// What a delta has of what lies outside.
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
        match born.iter().all(|piece| matches!(piece.what, What::Resource | What::Userdata)) {
            true => Ok(Brought { gone, born }),
            false => Err(bad_image("a delta has objects that are not alive")),
        }
    }

    /// Whether the host has to make some.
    pub fn has_new(&self) -> bool {
        !self.born.is_empty()
    }
}

/// One that the VM has.
struct Own {
    /// Of the userdata.
    place: usize,
    what: What,
    alive: Alive,
}

/// What the VM has, but for what has no place yet.
fn all_of(vm: &Vm) -> impl Iterator<Item = Own> {
    let placed = vm.outside.table.alive().filter(|alive| !alive.handle.is_null());
    let resources = placed.map(|alive| {
        let place = place_of(vm, alive.handle);
        Own { place, what: What::Resource, alive }
    });
    let userdata = vm.guarded.table.alive().map(|alive| {
        let place = place_in(vm, alive.object);
        Own { place, what: What::Userdata, alive }
    });
    resources.chain(userdata)
}

/// What lies outside a VM while a delta is applied.
#[derive(Default)]
pub(super) struct Exchange {
    /// Resources that end.
    gone: Vec<Alive>,
    /// Guarded userdata that end.
    ending: Vec<Alive>,
    stays: Vec<Own>,
    /// Of those that stay, whose bytes are others now.
    blocks: Blocks,
    born: Vec<Piece>,
    /// Of each resource that is born, which piece it is, its id and the host's object.
    made: Vec<(usize, u64, *mut c_void)>,
    /// Where the userdata of each that is born is.
    places: Vec<Place>,
}

/// Those that are born of some kind.
fn born(pieces: &[Piece], what: What) -> impl Iterator<Item = (usize, &Piece)> {
    pieces.iter().enumerate().filter(move |(_, piece)| piece.what == what)
}

impl Exchange {
    /// Has the host make new resources. After an error nothing has changed.
    ///
    /// # Safety
    /// `vm` is live, held and idle, and marked as working.
    pub unsafe fn begin(vm: *mut Vm, Brought { gone, born }: Brought) -> Result<Exchange> {
        let mut exchange = Exchange { born, ..Exchange::default() };
        // SAFETY: the contract above; the references end before a host's function runs (V3).
        unsafe {
            guarded::note_all(vm)?;
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
        for (at, piece) in born(&self.born, What::Resource) {
            // SAFETY: the contract of begin().
            let (id, object) = unsafe { objects::make(vm, piece)? };
            self.made.push((at, id, object));
        }
        Ok(())
    }

    /// Which of the VM's stay.
    fn sort_out(&mut self, vm: &Vm, gone: &[usize]) -> Result<()> {
        let Exchange { gone: resources, ending, stays, .. } = self;
        resources.clear();
        ending.clear();
        stays.clear();
        for own in all_of(vm) {
            match (gone.binary_search(&own.place), own.what) {
                (Err(_), _) => push(stays, own, no_room("object"))?,
                (Ok(_), What::Resource) => push(resources, own.alive, no_room("object"))?,
                (Ok(_), _) => push(ending, own.alive, no_room("object"))?,
            }
        }
        stays.sort_unstable_by_key(|own| own.place);
        let is_taken =
            |piece: &Piece| stays.binary_search_by_key(&piece.offset, |own| own.place).is_ok();
        let table = &vm.guarded.table;
        match () {
            _ if resources.len() + ending.len() != gone.len() => {
                Err(bad_image("what is gone was nothing outside"))
            }
            _ if self.born.iter().any(is_taken) => {
                Err(bad_image("what lies outside is there twice"))
            }
            _ if table.has_kept() || ending.iter().any(|alive| table.is_held(alive.id)) => {
                let function = "rlua_apply_delta";
                let why = "a snapshot of this VM has a userdata with a finalizer in C, which the \
                           state has no more; discard the snapshot first (rlua_discard_before)";
                Err(HostError::Unsupported { function, why }.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether code of modules runs in the states, which is to leave nothing behind in them.
    pub fn is_thorough(&self) -> bool {
        !self.ending.is_empty() || born(&self.born, What::Userdata).next().is_some()
    }

    /// Keeps the blocks of what stays, where they are put in place: `is_put` tells of which
    /// userdata.
    ///
    /// # Safety
    /// `vm` is live, held and idle.
    pub unsafe fn keep(&mut self, vm: *mut Vm, is_put: &dyn Fn(usize) -> bool) -> Result<()> {
        let userdata = self.stays.iter().filter(|own| own.what == What::Userdata);
        for own in userdata.filter(|own| is_put(own.place)) {
            // SAFETY: the contract above; it is guarded.
            unsafe { self.blocks.keep(vm, own.place)? }
        }
        Ok(())
    }

    /// Gives a state that was put in place what it stands for, but for new blocks. `is_put` tells
    /// of which userdata the bytes are others than before. After an error nothing of this has
    /// changed, but in the bytes that were put.
    ///
    /// # Safety
    /// `vm` is live, held and idle, and has the state; nothing has run in it.
    pub unsafe fn give(&mut self, vm: *mut Vm, is_put: &dyn Fn(usize) -> bool) -> Result<()> {
        let Exchange { gone, stays, blocks, born: pieces, made, places, .. } = self;
        // SAFETY: the contract above; what is claimed is a handle's memory, of 16 bytes.
        unsafe {
            // What has another's place counts as zero, as what was put in place.
            let left = || gone.iter().filter(|gone| !is_put(place_of(&*vm, gone.handle)));
            left().for_each(|gone| lua::rlua_c_take_resource((*vm).main, gone.handle));
            let resources = stays.iter().filter(|own| own.what == What::Resource);
            let resources = || resources.clone().filter(|own| is_put(own.place));
            let mut claim_all = || {
                for own in resources() {
                    let name = (*vm).outside.name_of(own.alive.kind).unwrap_or_default();
                    claim(vm, own.place, What::Resource, name)?;
                }
                blocks.guard_again(vm)?;
                places.try_reserve_exact(pieces.len()).map_err(no_room("object"))?;
                for piece in pieces.iter() {
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
            for Own { alive, .. } in resources() {
                lua::rlua_c_give_resource((*vm).main, alive.handle, alive.id);
            }
            for &mut (at, id, object) in made {
                objects::give_resource(vm, id, object, places[at].memory);
            }
        }
        Ok(())
    }

    /// Has the host fill new blocks, where they lie; answers a copy of the state with them. After
    /// an error what was filled has ended, and the state is to be replaced.
    ///
    /// # Safety
    /// As for [`Exchange::give`], behind it; `vm` is marked as working.
    pub unsafe fn fill(&mut self, vm: *mut Vm) -> Result<Vec<u8>> {
        let mut entered = Vec::new();
        // SAFETY: the contract above; the references end before a host's function runs (V3).
        unsafe {
            let outcome = self.enter(vm, &mut entered).and_then(|()| whole(vm));
            let mut filled = 0;
            let outcome = outcome.and_then(|mut state| {
                guarded::begin_trial(vm);
                let mut pieces = born(&self.born, What::Userdata);
                let done: Result<()> = pieces.try_for_each(|(at, piece)| {
                    objects::fill(vm, piece, &self.places[at])?;
                    filled += 1;
                    Ok(())
                });
                guarded::end_trial(vm);
                done?;
                self.blocks.look(vm);
                self.blocks.put_into(&mut state);
                born(&self.born, What::Userdata).for_each(|(at, _)| {
                    self.places[at].take(vm, &mut state);
                });
                match is_state(vm, &state) {
                    true => Ok(state),
                    false => Err(bad_image("a load function has changed the state")),
                }
            });
            if outcome.is_err() {
                let unfilled = entered.drain(filled..);
                unfilled.for_each(|alive| (*vm).guarded.table.forget(alive.id));
                if !entered.is_empty() {
                    guarded::end_aside(vm, &entered);
                }
            }
            outcome
        }
    }

    /// Enters new userdata into the table.
    unsafe fn enter(&self, vm: *mut Vm, entered: &mut Vec<Alive>) -> Result<()> {
        for (_, piece) in born(&self.born, What::Userdata) {
            entered.try_reserve(1).map_err(no_room("object"))?;
            // SAFETY: the contract of fill(): the userdata was claimed.
            unsafe {
                let object = place_at(vm, piece.offset);
                let bytes = lua::rlua_c_guarded_bytes(object);
                let id = (*vm).enter_guarded(object, bytes)?;
                lua::rlua_c_place_guarded((*vm).main, object, id as u32);
                entered.push(Alive { id, handle: object, object, kind: bytes });
            }
        }
        Ok(())
    }

    /// What is gone ends; a resource that no snapshot has is released when the VM settles. `before`
    /// is the state before, `state` that of now, as [`Exchange::fill`] answers it.
    ///
    /// # Safety
    /// As for [`Exchange::fill`].
    pub unsafe fn finalize(
        &mut self,
        vm: *mut Vm,
        before: &mut [u8],
        state: &mut [u8],
    ) -> Result<()> {
        if self.ending.is_empty() {
            return Ok(());
        }
        // SAFETY: the contract above; both were in place before.
        unsafe {
            self.blocks.put_into(before);
            put_whole(vm, before)?;
            guarded::end_aside(vm, &self.ending);
            // A finalizer may do something to what stays.
            self.blocks.look(vm);
            self.blocks.put_into(state);
            put_whole(vm, state)
        }
    }

    /// The delta was applied: what is gone dies, and what no snapshot has is released when the VM
    /// settles.
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
            for &(at, id, object) in self.made.iter().rev() {
                (*vm).outside.table.forget(id);
                objects::unmake(vm, &self.born[at], object);
            }
        }
    }
}

/// Whether the state of a VM is, byte by byte, the one in a copy.
unsafe fn is_state(vm: *mut Vm, state: &[u8]) -> bool {
    // SAFETY: the contract of fill(): nothing writes to it meanwhile.
    unsafe {
        let used = (*vm).arena.used_bytes();
        used == state.len() && slice::from_raw_parts((*vm).arena.base(), used) == state
    }
}
