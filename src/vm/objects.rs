//! Objects: what lies outside a state goes with it, into an image or a second VM, by functions of
//! the host: resources, and what guarded userdata stand for.
//!
//! ```text
//!  saving   a state becomes canonical, and each such userdata is met -> the host saves each
//!  loading  a state is verified -> each is claimed -> the host loads each -> guards begin
//! ```
//!
//! Loading fails as a whole: what was loaded by then ends, as it does in any VM, and nothing of the
//! state has run.
//!
//! # Not here
//! Their types, as the host tells them ([`super::types`]); their place in an image
//! (docs/FORMAT.md).

use super::canonical::Canonical;
use super::guard::Working;
use super::guarded::{self, Mode};
use super::images::Hashed;
use super::load::{HashedSource, Outside};
use super::types::Way;
use super::{Vm, heap, no_room, registry};
use crate::arena::kinds::OBJECT;
use crate::error::{Error, HostError, ImageError, Name, Result, Text};
use crate::lua;
use crate::resource::Life;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::{ptr, slice};

/// What lies there in the region of a live VM.
unsafe fn place_at(vm: *const Vm, offset: usize) -> *mut c_void {
    // SAFETY: live, by the contract above.
    unsafe { (*vm).arena.base().wrapping_add(offset).cast() }
}

/// What a userdata stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A resource that is alive.
    Resource = 1,
    /// Something of a C module, which its finalizer will end.
    Userdata = 2,
    /// The same, but only snapshots have it: the finalizer is due where there are none.
    GivenUp = 3,
    /// The same, and its finalizer has run.
    Ended = 4,
}

/// One that was met in a state.
struct Met {
    offset: usize,
    /// What the host has of it lies so far behind the start, and has so many bytes.
    memory: (usize, usize),
    what: What,
    /// Of a resource: the host's.
    object: *mut c_void,
    /// Which type it is of.
    kind: usize,
}

/// Those of a state that is being made canonical.
pub struct Meeting {
    vm: *const Vm,
    /// How many restores back the state is; `None` for the live one.
    back: Option<usize>,
    met: Vec<Met>,
}

impl Meeting {
    /// Of a state of `vm`, which is live and held.
    pub fn of(vm: *const Vm, back: Option<usize>) -> Meeting {
        Meeting { vm, back, met: Vec::new() }
    }

    /// Meets those in a state, from its beginning to its end. This stays where it is for so long.
    pub fn attend(&mut self, canonical: &mut Canonical) {
        // SAFETY: this stays where it is, and is used by C alone meanwhile.
        unsafe { canonical.meet(meet, ptr::from_mut(self).cast()) }
    }

    fn note(&mut self, met: &lua::Met) -> std::result::Result<(), &'static CStr> {
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
                Met { offset: met.offset, memory, what, object: ptr::null_mut(), kind }
            }
            _ => {
                let handle = vm.arena.base().wrapping_add(met.offset + met.memory);
                let found = vm.outside.table.get(met.id, handle.cast());
                let (object, kind, _) = found.ok_or(c"a handle of a resource is none")?;
                let known = vm.outside.name_of(kind).and_then(|name| vm.types.find(name, true));
                let kind = known.ok_or(
                    c"a resource is alive, and rlua_register_type has not told \
                                         how its type is saved",
                )?;
                Met { offset: met.offset, memory, what: What::Resource, object, kind }
            }
        };
        self.met.try_reserve(1).map_err(|_| c"")?;
        self.met.push(noted);
        Ok(())
    }

    fn userdata(
        &self,
        vm: &Vm,
        met: &lua::Met,
    ) -> std::result::Result<(What, usize), &'static CStr> {
        let object = vm.arena.base().wrapping_add(met.offset).cast();
        let what = match met.id as u32 {
            lua::SPENT => {
                return Err(c"a userdata waits for a finalizer in C that has run already");
            }
            lua::UNNOTED => What::Userdata,
            place => match vm.guarded.table.life(place, object, self.back) {
                Some(Life::Alive) => What::Userdata,
                Some(Life::Dead) => What::GivenUp,
                Some(Life::Ended) => What::Ended,
                None => return Err(c"a userdata with a finalizer in C was never noted"),
            },
        };
        if what != What::Ended && met.has_finalizer == 0 {
            return Err(c"a userdata has lost its finalizer in C");
        }
        if (what == What::Userdata) != (met.is_pending != 0) {
            return Err(c"a userdata has got a finalizer in C once more");
        }
        // SAFETY: so many bytes, or none, for the call.
        let kind = vm.types.find(unsafe { named(met) }, false);
        let unknown =
            c"a userdata has a finalizer in C, and rlua_register_type has not told how its \
                        type is saved";
        Ok((what, kind.ok_or(unknown)?))
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
            room.take(bytes.len())?;
            // The writer may tell of more types (V3).
            let (mut head, mut length) = ([0; 10 + 255], 10);
            head[..4].copy_from_slice(&(met.offset as u32).to_le_bytes());
            // SAFETY: as above.
            let name = unsafe { (*self.vm).types.name(met.kind) };
            (head[4], head[5]) = (met.what as u8, name.len() as u8);
            head[6..10].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
            head[10..][..name.len()].copy_from_slice(name);
            length += name.len();
            sink.put(&head[..length])?;
            sink.put(&bytes)?;
        }
        sink.put(&[0; 4])
    }

    /// The same as the pieces of an image.
    ///
    /// # Safety
    /// As for [`Meeting::put`].
    pub(super) unsafe fn pieces(&self) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for met in &self.met {
            // SAFETY: the contract above.
            let (bytes, known) = unsafe { (self.saved(met)?, (*self.vm).types.name(met.kind)) };
            let mut name = Vec::new();
            name.try_reserve_exact(known.len() + 1).map_err(no_room("object"))?;
            name.extend_from_slice(known);
            name.push(0);
            pieces.try_reserve(1).map_err(no_room("object"))?;
            pieces.push(Piece { offset: met.offset, what: met.what, name, bytes });
        }
        Ok(pieces)
    }

    /// What the host saves of one.
    unsafe fn saved(&self, met: &Met) -> Result<Vec<u8>> {
        // SAFETY: the contract of put(); no reference is held while the host's function runs (V3).
        unsafe {
            let Way { save, ud, .. } = (*self.vm).types.way(met.kind);
            let (behind, size) = met.memory;
            let (object, size) = match met.what {
                What::Resource => (met.object.cast_const(), 0),
                _ => (place_at(self.vm, met.offset + behind).cast_const(), size),
            };
            let mut taken = Taken { bytes: Vec::new(), has_room: true };
            let answer = save(object, size, Some(take), ptr::from_mut(&mut taken).cast(), ud);
            if !taken.has_room {
                return Err(HostError::NoRoom { what: "saved object" }.into());
            }
            if answer != 0 {
                let name = Name::from_lossy((*self.vm).types.name(met.kind));
                return Err(ImageError::Object { what: "save", name, answer }.into());
            }
            Ok(taken.bytes)
        }
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

/// One of an image.
pub struct Piece {
    offset: usize,
    what: What,
    /// Of its type, with a zero.
    name: Vec<u8>,
    bytes: Vec<u8>,
}

/// A name without its zero.
fn bare(name: &[u8]) -> &[u8] {
    &name[..name.len() - 1]
}

/// What the objects of an image may take: as many bytes as the VM, so that a load has a bound.
struct Room(u64);

impl Room {
    fn take(&mut self, wanted_bytes: usize) -> Result<()> {
        let left = self.0.checked_sub(wanted_bytes as u64 + size_of::<Piece>() as u64);
        self.0 = left.ok_or(HostError::NoMemory { wanted_bytes })?;
        Ok(())
    }
}

/// Those of an image, in the order of their places.
pub(super) fn read(source: &mut HashedSource<'_>, most_bytes: u64) -> Result<Vec<Piece>> {
    let bad = |what| Error::from(ImageError::bad(format_args!("{what}")));
    let (mut pieces, mut room, mut last): (Vec<Piece>, _, _) = (Vec::new(), Room(most_bytes), 0);
    loop {
        let offset = source.word()? as usize;
        if offset == 0 {
            return Ok(pieces);
        }
        let mut head = [0; 6];
        source.fill(&mut head)?;
        let [what, name_length, length @ ..] = head;
        let what = match what {
            1 => What::Resource,
            2 => What::Userdata,
            3 => What::GivenUp,
            4 => What::Ended,
            _ => return Err(bad("what lies outside is of no kind that is known")),
        };
        let length = u32::from_le_bytes(length);
        if offset <= last {
            return Err(bad("what lies outside is there twice"));
        }
        room.take(length as usize)?;
        last = offset;
        let mut name = source.take(name_length.into())?;
        name.try_reserve(1).map_err(no_room("object"))?;
        name.push(0);
        let bytes = source.take(length as usize)?;
        pieces.try_reserve(1).map_err(no_room("object"))?;
        pieces.push(Piece { offset, what, name, bytes });
    }
}

/// Where one is to be, what it is, and, of a resource, the host's object.
struct Place {
    memory: *mut c_void,
    size: usize,
    object: *mut c_void,
}

/// Sees that the userdata can stand for what the pieces say.
///
/// # Safety
/// The state of `vm` was loaded, and nothing has run in it.
unsafe fn claim(vm: *mut Vm, piece: &Piece) -> Result<Place> {
    let Piece { offset, what, name, .. } = piece;
    let mut place = Place { memory: ptr::null_mut(), size: 0, object: ptr::null_mut() };
    // SAFETY: the contract above; C looks at a live block.
    unsafe {
        if *what != What::Resource && (*vm).config.guard == Mode::Off {
            return Err(ImageError::bad(format_args!("it has userdata that nobody guards")).into());
        }
        let block = place_at(vm, *offset);
        let mut kind = 0;
        let bytes = heap::block_bytes((&raw mut (*vm).arena).cast(), block, &mut kind);
        let why = match (bytes, kind) {
            (1.., OBJECT) => lua::rlua_c_claim(
                (*vm).main,
                block,
                bytes,
                name.as_ptr().cast(),
                *what as c_int,
                &mut place.memory,
                &mut place.size,
            ),
            _ => c"what lies outside has no userdata".as_ptr(),
        };
        if !why.is_null() {
            let what = Text::from_lossy(CStr::from_ptr(why).to_bytes());
            return Err(ImageError::Bad { what, place: Some(*offset) }.into());
        }
    }
    Ok(place)
}

/// Gives a state that was loaded what lies outside, and makes it the VM's own; nothing where it is
/// only looked at. Of one that is to be proved, no finalizer in C lacks its object. After an error
/// nothing of it is left, and the VM is to be freed.
///
/// # Safety
/// As for [`claim`]; the VM is not in the registry.
pub(super) unsafe fn give(vm: *mut Vm, outside: &Outside) -> Result<()> {
    let &Outside { ref pieces, is_left, is_proved, .. } = outside;
    let mut places = Vec::new();
    places.try_reserve_exact(pieces.len()).map_err(no_room("object"))?;
    let mut given = 0;
    // SAFETY: the contract above.
    unsafe {
        for piece in pieces {
            places.push(claim(vm, piece)?);
        }
        if is_proved && lua::rlua_c_has_unclaimed((*vm).main) != 0 {
            let what = format_args!("a userdata has a finalizer in C, and nothing to finalize");
            return Err(ImageError::bad(what).into());
        }
        let mut each = || {
            for (piece, place) in pieces.iter().zip(&mut places).filter(|_| !is_left) {
                load(vm, piece, place)?;
                given += 1;
            }
            guarded::as_the_vm_keeps(vm)
        };
        match each() {
            Ok(()) => {
                for piece in pieces.iter().filter(|piece| piece.what == What::GivenUp && !is_left) {
                    lua::rlua_c_end_guarded((*vm).main, place_at(vm, piece.offset));
                }
                Ok(())
            }
            Err(error) => {
                take_back(vm, &pieces[..given], &places);
                Err(error)
            }
        }
    }
}

/// Has the host make one.
unsafe fn load(vm: *mut Vm, piece: &Piece, place: &mut Place) -> Result<()> {
    let Piece { what, name, bytes, .. } = piece;
    let shown = || Name::from_lossy(bare(name));
    // SAFETY: the contract of give(); no reference is held while the host's function runs (V3).
    unsafe {
        let kind = (*vm).types.find(bare(name), *what == What::Resource);
        let Way { load, ud, resource, .. } = match kind {
            Some(kind) => (*vm).types.way(kind),
            None => return Err(ImageError::UnknownType { name: shown() }.into()),
        };
        let (source, length) = (bytes.as_ptr().cast(), bytes.len());
        let refused = |answer| ImageError::Object { what: "load", name: shown(), answer };
        let Some((release, release_ud)) = resource else {
            match load(source, length, place.memory, place.size, ud) {
                0 => return Ok(()),
                answer => return Err(refused(answer).into()),
            }
        };
        let name = CStr::from_bytes_with_nul(name).expect("a type's name");
        let outside = &raw mut (*vm).outside;
        let kind = (*outside).kind(name, release, release_ud)?;
        let id = (*outside).table.create(ptr::null_mut(), kind)?;
        let object = &raw mut place.object;
        match load(source, length, object.cast(), size_of::<*mut c_void>(), ud) {
            0 if !place.object.is_null() => {
                (*outside).table.fill(id, place.object, place.memory);
                lua::rlua_c_give_resource((*vm).main, place.memory, id);
                Ok(())
            }
            answer => {
                (*outside).table.forget(id);
                Err(refused(answer).into())
            }
        }
    }
}

/// Ends what was loaded, the newest first.
unsafe fn take_back(vm: *mut Vm, given: &[Piece], places: &[Place]) {
    // SAFETY: the contract of give(): in the registry for so long as finalizers run.
    unsafe {
        if given.is_empty() || registry::lend(vm).is_err() {
            return;
        }
        let _working = Working::mark(vm);
        for (piece, place) in given.iter().zip(places).rev() {
            match piece.what {
                What::Resource => {
                    let types = &(*vm).types;
                    let kind = types.find(bare(&piece.name), true);
                    if let Some((release, ud)) = kind.and_then(|kind| types.way(kind).resource) {
                        release((*vm).main, place.object, ud);
                    }
                }
                What::Userdata | What::GivenUp => {
                    lua::rlua_c_end_guarded((*vm).main, place_at(vm, piece.offset));
                }
                What::Ended => {}
            }
        }
        registry::leave(vm);
    }
}
