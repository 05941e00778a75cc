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
//! Which a state has that is saved ([`super::meeting`]); their types, as the host tells them
//! ([`super::types`]); their place in an image (docs/FORMAT.md).

use super::guard::Mark;
use super::guarded::{self, Mode};
use super::images::{Hashed, put_whole, whole};
use super::load::{HashedSource, Outside, bad_image};
use super::types::Way;
use super::{Vm, heap, no_room, push, registry};
use crate::arena::kinds::OBJECT;
use crate::error::{Error, HostError, ImageError, Name, Result, Text};
use crate::lua;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

/// What lies there in the region of a live VM.
pub(super) unsafe fn place_at(vm: *const Vm, offset: usize) -> *mut c_void {
    // SAFETY: live, by the contract above.
    unsafe { (*vm).arena.base().wrapping_add(offset).cast() }
}

/// What a userdata stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A resource that is alive.
    Resource = 1,
    /// Something of a C module, which its finalizer will end.
    Userdata = 2,
    /// The same, but only snapshots have it: the finalizer is due where there are none.
    GivenUp = 3,
    /// The same, and its finalizer has run.
    Ended = 4,
}

/// Puts one into an image: its place, what it is, and its type.
///
/// # Safety
/// The VM is live. The sink may tell it of more types (V3).
pub(super) unsafe fn put_piece(
    vm: *const Vm,
    (offset, what, kind): (usize, What, usize),
    bytes: &[u8],
    room: &mut Room,
    sink: &mut Hashed<'_, '_>,
) -> Result<()> {
    room.take(bytes.len())?;
    let mut head = [0; 10 + 255];
    // SAFETY: the contract above.
    let name = unsafe { (*vm).types.name(kind) };
    head[..4].copy_from_slice(&(offset as u32).to_le_bytes());
    (head[4], head[5]) = (what as u8, name.len() as u8);
    head[6..10].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    head[10..][..name.len()].copy_from_slice(name);
    let length = 10 + name.len();
    sink.put(&head[..length])?;
    sink.put(bytes)
}

/// One of an image.
pub struct Piece {
    pub(super) offset: usize,
    pub(super) what: What,
    /// Of its type, with a zero.
    pub(super) name: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl Piece {
    /// Of its type.
    pub fn name(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.name).unwrap_or_default()
    }
}

/// What one counts for beside its bytes: part of the format (docs/FORMAT.md).
const PIECE_BYTES: u64 = 80;
const _: () = assert!(size_of::<Piece>() as u64 <= PIECE_BYTES);

/// What the objects of an image may take: as many bytes as the VM, so that a load has a bound.
pub(super) struct Room(pub(super) u64);

impl Room {
    fn take(&mut self, wanted_bytes: usize) -> Result<()> {
        let left = self.0.checked_sub(wanted_bytes as u64 + PIECE_BYTES);
        self.0 = left.ok_or(HostError::NoMemory { wanted_bytes })?;
        Ok(())
    }
}

/// Those of an image, in the order of their places.
pub(super) fn read(source: &mut HashedSource<'_>, most_bytes: u64) -> Result<Vec<Piece>> {
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
            _ => return Err(bad_image("what lies outside is of no kind that is known")),
        };
        let length = u32::from_le_bytes(length);
        if offset <= last {
            return Err(bad_image("what lies outside is there twice"));
        }
        room.take(length as usize)?;
        last = offset;
        let mut name = source.take(name_length.into())?;
        push(&mut name, 0, no_room("object"))?;
        let bytes = source.take(length as usize)?;
        push(&mut pieces, Piece { offset, what, name, bytes }, no_room("object"))?;
    }
}

/// The object in a block of its own that begins there, and how long that is.
///
/// # Safety
/// `vm` is live, and nothing runs in it.
pub(super) unsafe fn block_at(vm: *mut Vm, offset: usize) -> Option<(*mut c_void, usize)> {
    // SAFETY: the contract above; any address may be asked for.
    unsafe {
        let (block, mut kind) = (place_at(vm, offset), 0);
        let bytes = heap::block_bytes((&raw mut (*vm).arena).cast(), block, &mut kind);
        (bytes > 0 && kind == OBJECT).then_some((block, bytes))
    }
}

/// Where one is to be, and, of a resource, the host's object.
pub(super) struct Place {
    pub memory: *mut c_void,
    size: usize,
    object: *mut c_void,
}

impl Place {
    /// Takes what is there into a copy of the state.
    ///
    /// # Safety
    /// `vm` is live, and has the userdata that was claimed.
    pub unsafe fn take(&self, vm: *mut Vm, state: &mut [u8]) {
        // SAFETY: the contract above: so many bytes of it.
        unsafe {
            let start = self.memory.addr() - (*vm).arena.base().addr();
            let to = state[start..][..self.size].as_mut_ptr();
            self.memory.cast::<u8>().copy_to_nonoverlapping(to, self.size);
        }
    }
}

/// Sees that the userdata at an offset can stand for an object of a type.
///
/// # Safety
/// The state of `vm` was loaded, and nothing has run in it.
pub(super) unsafe fn claim(vm: *mut Vm, offset: usize, what: What, name: &CStr) -> Result<Place> {
    let mut place = Place { memory: ptr::null_mut(), size: 0, object: ptr::null_mut() };
    // SAFETY: the contract above; C looks at a live block.
    unsafe {
        if what != What::Resource && (*vm).config.guard == Mode::Off {
            return Err(bad_image("it has userdata that nobody guards"));
        }
        let why = match block_at(vm, offset) {
            Some((block, bytes)) => lua::rlua_c_claim(
                (*vm).main,
                block,
                bytes,
                name.as_ptr(),
                what as c_int,
                &mut place.memory,
                &mut place.size,
            ),
            None => c"what lies outside has no userdata".as_ptr(),
        };
        if !why.is_null() {
            let what = Text::from_lossy(CStr::from_ptr(why).to_bytes());
            return Err(ImageError::Bad { what, place: Some(offset) }.into());
        }
    }
    Ok(place)
}

/// Sees that no finalizer in C would find memory that its module has not filled.
///
/// # Safety
/// As for [`claim`].
pub(super) unsafe fn see_all_claimed(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    match unsafe { lua::rlua_c_has_unclaimed((*vm).main) } {
        0 => Ok(()),
        _ => {
            let what = format_args!("a userdata has a finalizer in C, and nothing to finalize");
            Err(ImageError::bad(what).into())
        }
    }
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
            places.push(claim(vm, piece.offset, piece.what, piece.name())?);
        }
        if is_proved {
            see_all_claimed(vm)?;
        }
        let mut each = || {
            for (piece, place) in pieces.iter().zip(&mut places).filter(|_| !is_left) {
                load(vm, piece, place)?;
                given += 1;
            }
            guarded::as_the_vm_keeps(vm)
        };
        let has_given_up = pieces.iter().any(|piece| piece.what == What::GivenUp) && !is_left;
        let done = each().and_then(|()| match has_given_up {
            true => guarded::note_all(vm).and_then(|()| whole(vm)),
            false => Ok(Vec::new()),
        });
        match done {
            Ok(state) if has_given_up => end_given_up(vm, pieces, &places, state),
            Ok(_) => Ok(()),
            Err(error) => {
                take_back(vm, &pieces[..given], &places);
                Err(error)
            }
        }
    }
}

/// Finalizes what only snapshots had. What that does to the state is undone: so it is the one that
/// was saved, and deltas lead on from it.
///
/// # Safety
/// As for [`give`]; `state` is a copy of the state.
unsafe fn end_given_up(
    vm: *mut Vm,
    pieces: &[Piece],
    places: &[Place],
    mut state: Vec<u8>,
) -> Result<()> {
    // SAFETY: the contract above; no reference is held while a finalizer runs (V3).
    unsafe {
        guarded::begin_trial(vm);
        for piece in pieces.iter().filter(|piece| piece.what == What::GivenUp) {
            lua::rlua_c_end_guarded((*vm).main, place_at(vm, piece.offset));
        }
        guarded::end_trial(vm);
        for (_, place) in pieces.iter().zip(places).filter(|(it, _)| it.what == What::Userdata) {
            place.take(vm, &mut state);
        }
        put_whole(vm, &state)?;
        for piece in pieces.iter().filter(|piece| piece.what == What::GivenUp) {
            lua::rlua_c_take_guarded((*vm).main, place_at(vm, piece.offset));
        }
    }
    Ok(())
}

/// How a type's objects are loaded.
unsafe fn way_of(vm: *const Vm, piece: &Piece) -> Result<Way> {
    let name = piece.name().to_bytes();
    // SAFETY: live (the caller).
    let types = unsafe { &(*vm).types };
    let kind = types.find(name, piece.what == What::Resource);
    let unknown = || ImageError::UnknownType { name: Name::from_lossy(name) };
    Ok(types.way(kind.ok_or_else(unknown)?))
}

/// Has the host fill a place from a piece.
unsafe fn call(
    vm: *mut Vm,
    way: &Way,
    piece: &Piece,
    place: *mut c_void,
    size: usize,
) -> Result<()> {
    let bytes = &piece.bytes;
    // SAFETY: live, for the call.
    let _sealed = unsafe { Mark::sealed(vm) };
    // SAFETY: the contract of give(); no reference is held while the host's function runs (V3).
    match unsafe { (way.load)(bytes.as_ptr().cast(), bytes.len(), place, size, way.ud) } {
        0 => Ok(()),
        answer => Err(refused(piece, answer)),
    }
}

fn refused(piece: &Piece, answer: c_int) -> Error {
    let name = Name::from_lossy(piece.name().to_bytes());
    ImageError::Object { what: "load", name, answer }.into()
}

/// Has the host make one.
unsafe fn load(vm: *mut Vm, piece: &Piece, place: &mut Place) -> Result<()> {
    // SAFETY: the contract of give().
    unsafe {
        if piece.what != What::Resource {
            return fill(vm, piece, place);
        }
        let (id, object) = make(vm, piece)?;
        place.object = object;
        give_resource(vm, id, object, place.memory);
    }
    Ok(())
}

/// Has the host fill the block of a userdata that was claimed.
///
/// # Safety
/// As for [`make`].
pub(super) unsafe fn fill(vm: *mut Vm, piece: &Piece, place: &Place) -> Result<()> {
    // SAFETY: the contract above.
    unsafe { call(vm, &way_of(vm, piece)?, piece, place.memory, place.size) }
}

/// Has the host make a resource, which has no handle yet, and answers its id and the object.
///
/// # Safety
/// `vm` is live, and held or not in the registry.
pub(super) unsafe fn make(vm: *mut Vm, piece: &Piece) -> Result<(u64, *mut c_void)> {
    // SAFETY: the contract above; no reference is held while the host's function runs (V3).
    unsafe {
        let way = way_of(vm, piece)?;
        let (release, ud) = way.resource.expect("a type of resources");
        let outside = &raw mut (*vm).outside;
        let kind = (*outside).kind(piece.name(), release, ud)?;
        let id = (*outside).table.create(ptr::null_mut(), kind)?;
        let mut object: *mut c_void = ptr::null_mut();
        let place = (&raw mut object).cast();
        match call(vm, &way, piece, place, size_of::<*mut c_void>()) {
            Ok(()) if !object.is_null() => Ok((id, object)),
            outcome => {
                (*outside).table.forget(id);
                Err(outcome.err().unwrap_or_else(|| refused(piece, 0)))
            }
        }
    }
}

/// Gives a resource its handle, whose memory was claimed.
///
/// # Safety
/// `vm` is live; the id is of its table.
pub(super) unsafe fn give_resource(vm: *mut Vm, id: u64, object: *mut c_void, handle: *mut c_void) {
    // SAFETY: the contract above.
    unsafe {
        (*vm).outside.table.fill(id, object, handle);
        lua::rlua_c_give_resource((*vm).main, handle, id);
    }
}

/// Ends what was loaded, the newest first.
unsafe fn take_back(vm: *mut Vm, given: &[Piece], places: &[Place]) {
    // SAFETY: the contract of give(): in the registry for so long as finalizers run.
    unsafe {
        if given.is_empty() || registry::lend(vm).is_err() {
            return;
        }
        let _working = Mark::working(vm);
        for (piece, place) in given.iter().zip(places).rev() {
            match piece.what {
                What::Resource => unmake(vm, piece, place.object),
                What::Userdata | What::GivenUp => {
                    lua::rlua_c_end_guarded((*vm).main, place_at(vm, piece.offset));
                }
                What::Ended => {}
            }
        }
        registry::leave(vm);
    }
}

/// Releases a resource that was made.
///
/// # Safety
/// As for [`make`]; the VM is marked as working.
pub(super) unsafe fn unmake(vm: *mut Vm, piece: &Piece, object: *mut c_void) {
    // SAFETY: the contract above; no reference is held while the host's function runs (V3).
    unsafe {
        if let Ok(Way { resource: Some((release, ud)), .. }) = way_of(vm, piece) {
            release((*vm).main, object, ud);
        }
    }
}
