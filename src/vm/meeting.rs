//! Meeting: what lies outside a state that becomes canonical, all of it or some, and what the host
//! saves of it.
//!
//! # Not here
//! What becomes of that ([`super::objects`]).

use super::canonical::Canonical;
use super::guard::Mark;
use super::images::Hashed;
use super::objects::{Piece, Room, What, place_at, put_piece};
use super::types::Way;
use super::{Vm, no_room, push};
use crate::error::{Error, HostError, ImageError, Name, Result};
use crate::lua;
use crate::resource::Life;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::{ptr, slice};

/// One that was met in a state.
struct Met {
    offset: usize,
    /// What the host has of it lies so far behind the start, and has so many bytes.
    memory: (usize, usize),
    what: What,
    /// Of a resource.
    id: u64,
    /// Which type it is of.
    kind: usize,
}

/// Those of a state that is being made canonical.
pub struct Meeting {
    vm: *const Vm,
    /// How many restores back the state is; `None` for the live one.
    back: Option<usize>,
    /// Where those lie that are looked for, rising; `None` for all.
    wanted: Option<Vec<usize>>,
    met: Vec<Met>,
    /// The type that was not known.
    unknown: Option<Name>,
}

impl Meeting {
    /// Of a state of `vm`, which is live and held.
    pub fn of(vm: *const Vm, back: Option<usize>) -> Meeting {
        Meeting { vm, back, wanted: None, met: Vec::new(), unknown: None }
    }

    /// The same, of those alone that lie at these places, which rise.
    pub fn at(vm: *const Vm, back: usize, wanted: Vec<usize>) -> Meeting {
        Meeting { wanted: Some(wanted), ..Meeting::of(vm, Some(back)) }
    }

    /// Where those lie that are looked for, and were not met.
    pub fn next_wanted(&self) -> Option<usize> {
        self.wanted.as_ref()?.get(self.met.len()).copied()
    }

    /// The error of a type that was not known has its name.
    pub fn with_name(&self, error: Error) -> Error {
        match (self.unknown, error) {
            (Some(name), Error::Image(ImageError::Unsavable { offset, path, .. })) => {
                let why = format_args!(
                    "rlua_register_type has not told how one of the type '{name}' is saved"
                );
                ImageError::Unsavable { offset, why: why.into(), path }.into()
            }
            (_, error) => error,
        }
    }

    /// Meets those in a state, from its beginning to its end. This stays where it is for so long.
    pub fn attend(&mut self, canonical: &mut Canonical) {
        // SAFETY: this stays where it is, and is used by C alone meanwhile.
        unsafe { canonical.meet(meet, ptr::from_mut(self).cast()) }
    }

    fn note(&mut self, met: &lua::Met) -> std::result::Result<(), &'static CStr> {
        let is_wanted = |wanted: &Vec<usize>| wanted.binary_search(&met.offset).is_ok();
        if !self.wanted.as_ref().is_none_or(is_wanted) {
            return Ok(());
        }
        // A long block is looked at in parts.
        if self.met.last().is_some_and(|last| last.offset >= met.offset) {
            return Ok(());
        }
        // SAFETY: the contract of of(); nothing of the host's runs meanwhile.
        let vm = unsafe { &*self.vm };
        let memory = (met.memory, met.size);
        let noted = match met.is_resource {
            0 => {
                let (what, kind) = self.userdata(vm, met)?;
                Met { offset: met.offset, memory, what, id: 0, kind }
            }
            _ => {
                let handle = vm.arena.base().wrapping_add(met.offset + met.memory);
                let found = vm.outside.table.get(met.id, handle.cast());
                let (_, kind, _) = found.ok_or(c"a handle of a resource is none")?;
                let name = vm.outside.name_of(kind).unwrap_or_default().to_bytes();
                let kind = vm.types.find(name, true).ok_or_else(|| {
                    self.unknown = Some(Name::from_lossy(name));
                    c"a resource is alive, and rlua_register_type has not told \
                                         how its type is saved"
                })?;
                Met { offset: met.offset, memory, what: What::Resource, id: met.id, kind }
            }
        };
        self.met.try_reserve(1).map_err(|_| c"")?;
        self.met.push(noted);
        Ok(())
    }

    fn userdata(
        &mut self,
        vm: &Vm,
        met: &lua::Met,
    ) -> std::result::Result<(What, usize), &'static CStr> {
        let what = match noted(vm, met, self.back)? {
            Life::Alive => What::Userdata,
            Life::Dead => What::GivenUp,
            Life::Ended => What::Ended,
        };
        if (what == What::Userdata) != (met.is_pending != 0) {
            return Err(c"a userdata has got a finalizer in C once more");
        }
        // SAFETY: so many bytes, or none, for the call.
        let name = unsafe { named(met) };
        let kind = vm.types.find(name, false).ok_or_else(|| {
            self.unknown = Some(Name::from_lossy(name));
            c"a userdata has a finalizer in C, and rlua_register_type has not told how its \
                        type is saved"
        })?;
        Ok((what, kind))
    }

    /// Saves what was met, behind the names of an image.
    ///
    /// # Safety
    /// The VM is live, held and idle; the host's functions run, which do not use it.
    pub(super) unsafe fn put(&self, sink: &mut Hashed<'_, '_>) -> Result<()> {
        // SAFETY: the contract above.
        let mut room = Room(unsafe { (*self.vm).arena.limit_bytes() } as u64);
        for met in &self.met {
            // SAFETY: as above.
            let bytes = unsafe { self.saved(met)? };
            // SAFETY: as above.
            unsafe {
                put_piece(self.vm, (met.offset, met.what, met.kind), &bytes, &mut room, sink)?
            };
        }
        sink.put(&[0; 4])
    }

    /// The same as the pieces of an image; where nothing is made of them, without their bytes.
    ///
    /// # Safety
    /// As for [`Meeting::put`].
    pub(super) unsafe fn pieces(&self, is_left: bool) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for met in &self.met {
            // SAFETY: the contract above.
            let bytes = if is_left { Vec::new() } else { unsafe { self.saved(met)? } };
            // SAFETY: the contract above.
            let known = unsafe { (*self.vm).types.name(met.kind) };
            let mut name = Vec::new();
            name.try_reserve_exact(known.len() + 1).map_err(no_room("object"))?;
            name.extend_from_slice(known);
            name.push(0);
            let piece = Piece { offset: met.offset, what: met.what, name, bytes };
            push(&mut pieces, piece, no_room("object"))?;
        }
        Ok(pieces)
    }

    /// What the host saves of one.
    unsafe fn saved(&self, met: &Met) -> Result<Vec<u8>> {
        // SAFETY: the contract of put().
        unsafe {
            let place = place_at(self.vm, met.offset + met.memory.0);
            if met.what != What::Resource {
                return saved(self.vm, met.kind, place, met.memory.1);
            }
            // A save function that used the VM, which it must not, may have ended it.
            let found = (*self.vm).outside.table.get(met.id, place);
            let gone = || HostError::DeadResource {
                name: Name::from_lossy((*self.vm).types.name(met.kind)),
            };
            saved(self.vm, met.kind, found.ok_or_else(gone)?.0, 0)
        }
    }
}

/// What is noted of a userdata with a finalizer in C, as a state has it that is so many restores
/// back.
pub(super) fn noted(
    vm: &Vm,
    met: &lua::Met,
    back: Option<usize>,
) -> std::result::Result<Life, &'static CStr> {
    let object = vm.arena.base().wrapping_add(met.offset).cast();
    let life = match met.id as u32 {
        lua::SPENT => return Err(c"a userdata waits for a finalizer in C that has run already"),
        lua::UNNOTED => Life::Alive,
        place => match vm.guarded.table.life(place, object, back) {
            Some(life) => life,
            None => return Err(c"a userdata with a finalizer in C was never noted"),
        },
    };
    match life != Life::Ended && met.has_finalizer == 0 {
        true => Err(c"a userdata has lost its finalizer in C"),
        false => Ok(life),
    }
}

/// What the host saves of an object of a type.
///
/// # Safety
/// The VM is live, held and idle; the host's function runs, which does not use it.
pub(super) unsafe fn saved(
    vm: *const Vm,
    kind: usize,
    object: *const c_void,
    size: usize,
) -> Result<Vec<u8>> {
    // SAFETY: the contract above; no reference is held while the host's function runs (V3).
    unsafe {
        let Way { save, ud, .. } = (*vm).types.way(kind);
        let mut taken = Taken { bytes: Vec::new(), has_room: true };
        let sealed = Mark::sealed(vm);
        let answer = save(object, size, Some(take), ptr::from_mut(&mut taken).cast(), ud);
        drop(sealed);
        if !taken.has_room {
            return Err(HostError::NoRoom { what: "saved object" }.into());
        }
        if answer != 0 {
            let name = Name::from_lossy((*vm).types.name(kind));
            return Err(ImageError::Object { what: "save", name, answer }.into());
        }
        Ok(taken.bytes)
    }
}

/// The name of its metatable.
///
/// # Safety
/// As C has filled it.
unsafe fn named(met: &lua::Met) -> &[u8] {
    match met.kind.is_null() {
        true => &[],
        // SAFETY: the contract above.
        false => unsafe { slice::from_raw_parts(met.kind.cast(), met.kind_length) },
    }
}

/// Something outside is met (called by C).
///
/// # Safety
/// `ud` is a meeting that nothing else uses; `met` is one for the call.
unsafe extern "C" fn meet(ud: *mut c_void, met: *const lua::Met) -> *const c_char {
    // SAFETY: the contract above.
    match unsafe { (*ud.cast::<Meeting>()).note(&*met) } {
        Ok(()) => ptr::null(),
        Err(why) => why.as_ptr(),
    }
}

/// What a save function has written.
struct Taken {
    bytes: Vec<u8>,
    has_room: bool,
}

/// The writer of a save function.
///
/// # Safety
/// `to` is what the function got; there are so many bytes.
unsafe extern "C" fn take(to: *mut c_void, bytes: *const c_void, length: usize) -> c_int {
    // SAFETY: the contract above.
    let taken = unsafe { &mut *to.cast::<Taken>() };
    if taken.bytes.try_reserve(length).is_err() {
        taken.has_room = false;
        return 1;
    }
    if length > 0 {
        // SAFETY: as above.
        taken.bytes.extend_from_slice(unsafe { slice::from_raw_parts(bytes.cast(), length) });
    }
    0
}
