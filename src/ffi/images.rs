//! Images: the whole state as bytes, and back.

use crate::error::{Error, ImageError, Result, Status};
use crate::ffi::life::{self, rlua_Config};
use crate::lua::lua_State;
use crate::units::Frame;
use crate::vm::checksum;
use crate::vm::config::Config;
use crate::vm::images::{self, Sink};
use crate::vm::load::{self, Outer, Source};
use crate::vm::{Vm, guard, registry};
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

/// As `lua_CFunction`.
pub type lua_CFunction = Option<unsafe extern "C" fn(L: *mut lua_State) -> c_int>;

/// Takes `length` bytes of an image, which comes in a few parts, in order. It may not use the VM,
/// whose calls answer BUSY meanwhile, but for those that only read.
///
/// @return  0 to go on; anything else ends the save with RLUA_STREAM.
pub type rlua_Writer =
    Option<unsafe extern "C" fn(ud: *mut c_void, bytes: *const c_void, length: usize) -> c_int>;

/// Fills `bytes` with the next `length` bytes of an image. As for rlua_Writer.
///
/// @return  How many there are: fewer than `length` at the end alone.
pub type rlua_Reader =
    Option<unsafe extern "C" fn(ud: *mut c_void, bytes: *mut c_void, length: usize) -> usize>;

/// Saves the whole state of an idle VM: globals, closures, coroutines in the middle of a call,
/// userdata, what the collector is about to do. Nothing changes, neither the state nor a snapshot.
/// A VM that is loaded from it, in any process, does from then on what this one does: the same
/// values, the same order of `pairs`, the same collection at the same instruction.
///
/// What lies outside has to have a name: functions of the libraries do, others by rlua_register,
/// rlua_register_pointer and the name of rlua_pushfunction. Resources and guarded userdata go along
/// where rlua_register_type says how, and are refused else; so are open files, and userdata and
/// rlua_alloc blocks with pointers into the VM. Participants and what they keep are not part of an
/// image. docs/FORMAT.md describes the bytes.
///
/// Cost: a pass over the used bytes, at some GB/s; 64 KiB of memory during the call.
///
/// @param L       A thread of the VM.
/// @param writer  Called for each 64 KiB. What it got before an error is no image.
/// @param ud      The writer's.
/// @return        RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY, UNSAVABLE with a
///                sentence that says what and where, STREAM (the writer, or a type's save function,
///                ended it).
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_save(
    L: *mut lua_State,
    writer: rlua_Writer,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above; the writer gets whole parts of the image.
    unsafe { save_by(L, writer, ud, |vm, sink| images::save(vm, sink)) }
}

/// Saves into a buffer, as rlua_save does.
///
/// @param buffer  Room for `size` bytes; NULL, with a size of 0, to ask for the length alone.
/// @param length  Receives the image's length, also where there is no room.
/// @return        As rlua_save; STREAM, and nothing is written, where the buffer is too small.
///
/// # Safety
/// As for rlua_save; `buffer` has room for `size` bytes; `length` is NULL or a place for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_save_buffer(
    L: *mut lua_State,
    buffer: *mut c_void,
    size: usize,
    length: *mut usize,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::work(L, |vm| {
            save_into(vm, Room { start: buffer.cast(), size, wanted: 0 }, length)?.whole()
        })
    }
}

/// Saves a snapshot that is held, as rlua_save does for the live state, which stays as it is.
///
/// Cost: as rlua_save, and a copy of the used pages.
///
/// @param frame  Its label.
/// @return       As rlua_save; NO_SNAPSHOT where no snapshot has the label.
///
/// # Safety
/// As for rlua_save.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_save_snapshot(
    L: *mut lua_State,
    frame: i64,
    writer: rlua_Writer,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: as for rlua_save.
    unsafe { save_by(L, writer, ud, |vm, sink| images::save_snapshot(vm, Frame(frame), sink)) }
}

/// How many bytes rlua_save would write now: for hosts that need a size ahead. A state that is run
/// on may need more; compressed, another state of the same size may.
///
/// Cost: as rlua_save.
///
/// @param length  Receives the number.
/// @return        As rlua_save.
///
/// # Safety
/// As for rlua_save; `length` is NULL or a place for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_save_bound(L: *mut lua_State, length: *mut usize) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::work(L, |vm| {
            save_into(vm, Room { start: ptr::null_mut(), size: 0, wanted: 0 }, length).map(|_| ())
        })
    }
}

/// Does a save, whose parts a host's function takes.
///
/// # Safety
/// As for [`rlua_save`].
pub(super) unsafe fn save_by(
    L: *mut lua_State,
    writer: rlua_Writer,
    ud: *mut c_void,
    save: impl FnOnce(*mut Vm, &mut Sink<'_>) -> Result<()>,
) -> c_int {
    // SAFETY: by the contract above; the writer gets whole parts of the image.
    unsafe {
        guard::work(L, |vm| {
            let writer = writer.ok_or(Error::NullArg { name: "writer" })?;
            save(vm, &mut |part| {
                let _sealed = guard::Mark::sealed(vm);
                match writer(ud, part.as_ptr().cast(), part.len()) {
                    0 => Ok(()),
                    answer => Err(ImageError::Writer { answer }.into()),
                }
            })
        })
    }
}

/// A host's buffer, or NULL, and how many bytes were to go into it.
struct Room {
    start: *mut u8,
    size: usize,
    wanted: usize,
}

impl Room {
    fn put(&mut self, part: &[u8]) -> Result<()> {
        let end = self.wanted + part.len();
        if !self.start.is_null() && end <= self.size {
            // SAFETY: inside the buffer, which has so many bytes.
            unsafe {
                let place = self.start.add(self.wanted);
                part.as_ptr().copy_to_nonoverlapping(place, part.len());
            }
        }
        self.wanted = end;
        Ok(())
    }

    /// All of it is in the buffer, or there was no room.
    fn whole(&self) -> Result<()> {
        if self.start.is_null() || self.size < self.wanted {
            return Err(ImageError::Room { wanted: self.wanted, given: self.size }.into());
        }
        Ok(())
    }
}

/// Saves into a room, and tells the length.
///
/// # Safety
/// As for [`rlua_save_buffer`]; `vm` is live and held.
unsafe fn save_into(vm: *mut Vm, mut room: Room, length: *mut usize) -> Result<Room> {
    if length.is_null() {
        return Err(Error::NullArg { name: "length" });
    }
    // SAFETY: the contract above.
    unsafe {
        images::save(vm, &mut |part| room.put(part))?;
        length.write(room.wanted);
    }
    Ok(room)
}

/// A host's reader.
pub(super) struct ByReader {
    pub reader: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> usize,
    pub ud: *mut c_void,
}

impl Source for ByReader {
    fn read(&mut self, into: &mut [u8]) -> usize {
        let mut at = 0;
        while at < into.len() {
            let rest = &mut into[at..];
            // SAFETY: the host's function, with as much room as it is told.
            let came = unsafe { (self.reader)(self.ud, rest.as_mut_ptr().cast(), rest.len()) };
            if came == 0 || came > rest.len() {
                break;
            }
            at += came;
        }
        at
    }
}

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.0.len());
        let (first, rest) = self.0.split_at(count);
        into[..count].copy_from_slice(first);
        self.0 = rest;
        count
    }
}

/// Makes a VM from an image. Whatever the bytes are, the answer is a VM or a sentence that says
/// what is wrong and where; memory is bounded by `memory_size`. What is not verified is the code of
/// scripts: Lua has no verifier of it, so an image of strangers is as dangerous as a binary chunk.
/// So by default only images are loaded that somebody saved who has the `image_key`; `trust` says
/// which others are. Without a key damage is found, not malice.
///
/// Cost: a copy of the image, its hash, a look at each word; with RLUA_TRUST_PROVED the proof of
/// the heap, too, which is what rlua_check does.
///
/// @param config  `memory_size` bounds the image's own limit; `max_snapshots`, `tracker`, `audit`,
///                `trust`, `image_key`, `compress`, `names` and `types` count, the rest is the
///                image's. NULL for the defaults. Borrowed for the call.
/// @param reader  Called until the image is whole, not beyond it.
/// @param ud      The reader's.
/// @param out     Receives the main thread, to be closed with lua_close, or NULL after an error.
/// @return        RLUA_OK, or NULL_ARG, BAD_CONFIG (also a limit that is too small for the image),
///                BAD_IMAGE, UNTRUSTED (no key, and `trust` is RLUA_TRUST_KEY), UNSAVABLE (a name
///                or a type that this process does not have), STREAM (a type's load function
///                failed), UNSUPPORTED, NO_MEMORY. rlua_last_error(NULL)
///                gives the sentence.
///
/// # Safety
/// `config` is NULL or points to one; `out` is NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_load(
    config: *const rlua_Config,
    reader: rlua_Reader,
    ud: *mut c_void,
    out: *mut *mut lua_State,
) -> c_int {
    let Some(reader) = reader else {
        return guard::fail(None, &Error::NullArg { name: "reader" });
    };
    // SAFETY: by the contract above.
    unsafe { load(config, false, &mut ByReader { reader, ud }, out) }
}

/// Makes a VM from an image in memory, as rlua_load does.
///
/// @param image   `length` bytes, or more: what comes behind the image is not looked at.
///
/// # Safety
/// As for rlua_load; `image` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_load_buffer(
    config: *const rlua_Config,
    image: *const c_void,
    length: usize,
    out: *mut *mut lua_State,
) -> c_int {
    if image.is_null() {
        return guard::fail(None, &Error::NullArg { name: "image" });
    }
    // SAFETY: by the contract above.
    unsafe { load(config, false, &mut Bytes(slice::from_raw_parts(image.cast(), length)), out) }
}

/// # Safety
/// As for [`rlua_load`].
unsafe fn load(
    config: *const rlua_Config,
    is_left: bool,
    source: &mut dyn Source,
    out: *mut *mut lua_State,
) -> c_int {
    if out.is_null() {
        return guard::fail(None, &Error::NullArg { name: "out" });
    }
    // SAFETY: not NULL; by the contract above. What is entered was just made.
    let loaded = unsafe {
        out.write(ptr::null_mut());
        read_load_config(config).and_then(|(config, outer)| {
            let job = AssertUnwindSafe(|| {
                let vm = load::load(&config, Outer { is_left, ..outer }, source)?;
                registry::enter(vm)
            });
            catch_unwind(job).unwrap_or(Err(Error::Poisoned))
        })
    };
    match loaded {
        Ok(main) => {
            // SAFETY: as above.
            unsafe { out.write(main) };
            Status::Ok as c_int
        }
        Err(error) => guard::fail(None, &error),
    }
}

/// Makes a VM from an image, to be looked at and closed: nothing runs in it, and what lies outside
/// is not made.
///
/// # Safety
/// As for [`rlua_load_buffer`]; `image` is not NULL.
pub unsafe fn load_unrun(
    config: *const rlua_Config,
    image: *const c_void,
    length: usize,
    out: *mut *mut lua_State,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe { load(config, true, &mut Bytes(slice::from_raw_parts(image.cast(), length)), out) }
}

/// # Safety
/// As for [`rlua_load`].
unsafe fn read_load_config<'a>(config: *const rlua_Config) -> Result<(Config, Outer<'a>)> {
    if config.is_null() {
        return Ok((Config::default(), Outer::default()));
    }
    // SAFETY: by the contract above.
    unsafe { Ok((life::read_config(config)?, life::read_outer(config)?)) }
}

/// 128 bits that stand for the state of a VM: see rlua_checksum.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_Checksum {
    /// In the same order on every machine.
    pub bytes: [u8; 16],
}

/// The checksum of an idle VM's state: the same for the same state on every machine, in every
/// process, whatever was rolled back before; another for any difference that a script could ever
/// see, but by chance (XXH3 of 128 bits). Not covered is what lies outside: blocks of guarded
/// userdata, the ids of resources, open files, pointers without a name, which all count as the
/// same.
///
/// Cost: as rlua_save.
///
/// @param L    A thread of the VM.
/// @param out  Receives the checksum.
/// @return     RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY.
///
/// # Safety
/// As for rlua_save; `out` is NULL or a place for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_checksum(L: *mut lua_State, out: *mut rlua_Checksum) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::work(L, |vm| {
            if out.is_null() {
                return Err(Error::NullArg { name: "out" });
            }
            out.write(rlua_Checksum { bytes: checksum::checksum(vm)?.0 });
            Ok(())
        })
    }
}

/// Makes a second VM with the same state, for another thread, a look-ahead, a spectator: what
/// rlua_save and rlua_load give, in one pass. Refused is what rlua_save refuses; objects outside
/// are saved and loaded. Its history is empty and keeps as many snapshots; participants are not
/// copied.
///
/// Cost: a pass over the used bytes, and a new VM.
///
/// @param L    A thread of the VM.
/// @param out  Receives the clone's main thread, to be closed with lua_close, or NULL.
/// @return     RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY, UNSAVABLE, STREAM (a
///             type's function failed).
///
/// # Safety
/// As for rlua_save; `out` is NULL or a place for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_clone(L: *mut lua_State, out: *mut *mut lua_State) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::work(L, |vm| {
            if out.is_null() {
                return Err(Error::NullArg { name: "out" });
            }
            out.write(ptr::null_mut());
            out.write(images::copy(vm, false).and_then(|copy| registry::enter(copy))?);
            Ok(())
        })
    }
}

/// The same, to be looked at and closed, as of [`load_unrun`]; or NULL.
///
/// # Safety
/// As for [`rlua_clone`].
pub unsafe fn clone_unrun(L: *mut lua_State) -> *mut lua_State {
    let mut out = ptr::null_mut();
    // SAFETY: by the contract above.
    unsafe {
        guard::work(L, |vm| {
            out = images::copy(vm, true).and_then(|copy| registry::enter(copy))?;
            Ok(())
        });
    }
    out
}
