//! Images: a VM's state as bytes, and a VM from them.
//!
//! Saving reads an idle VM and changes nothing. Loading reads into a region of its own, and there
//! is no VM before all of it was proved: the hash, the arena (A1, A2, K1), each word, the heap
//! (L2).
//!
//! # Not here
//! The format ([`crate::image`]); the words (`src/lua/image.c`, `load.c`).

use super::config::{Config, Pacing, Profile};
use super::guard::see_idle;
use super::guarded::Mode;
use super::{Vm, heap};
use crate::arena::{Arena, Block, MAIN_OFFSET};
use crate::cards::Cards;
use crate::error::{Error, Flaw, HostError, ImageError, Result, Text};
use crate::image::{self, HEADER_BYTES, Hash, Header};
use crate::lua;
use crate::units::PAGE_SIZE;
use std::ffi::{CStr, c_char, c_void};
use std::ops::ControlFlow;
use std::{ptr, slice};

/// What the host calls something outside the VM.
#[derive(Clone, Copy)]
pub struct HostName<'a> {
    /// Without its zero.
    pub name: &'a [u8],
    /// A function, a pointer, or a host function and its `ud`: the kinds of `src/lua/image.c`.
    pub kind: u8,
    /// What the name stands for.
    pub address: *const c_void,
    /// Of a host function.
    pub ud: *const c_void,
}

/// An image, in two parts.
pub struct Image {
    /// Header and names.
    pub front: Vec<u8>,
    /// The state.
    pub body: Vec<u8>,
}

fn zeros(bytes: usize) -> Result<Vec<u8>> {
    let no_memory = HostError::NoMemory { wanted_bytes: bytes };
    let layout = std::alloc::Layout::array::<u8>(bytes).map_err(|_| no_memory)?;
    // SAFETY: not of size 0: an arena has a header.
    let start = unsafe { std::alloc::alloc_zeroed(layout) };
    if start.is_null() {
        return Err(no_memory.into());
    }
    // SAFETY: so many bytes, zero, of the global allocator.
    Ok(unsafe { Vec::from_raw_parts(start, bytes, bytes) })
}

/// C's saver.
struct Saver(*mut c_void);

impl Drop for Saver {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by rlua_c_save_begin, ended once.
            unsafe { lua::rlua_c_save_end(self.0) }
        }
    }
}

/// C's loader.
struct Loader(*mut c_void);

impl Drop for Loader {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by rlua_c_load_begin, ended once.
            unsafe { lua::rlua_c_load_end(self.0) }
        }
    }
}

/// The error that goes with what C says is wrong: nothing is no memory.
///
/// # Safety
/// `why` is a string.
unsafe fn said(why: *const c_char, error: impl FnOnce(Text<120>) -> ImageError) -> Error {
    // SAFETY: the contract above.
    match unsafe { CStr::from_ptr(why) }.to_bytes() {
        [] => Error::NoMemoryForHandle,
        why => error(Text::from_lossy(why)).into(),
    }
}

/// The state's words, and what they need from outside.
struct Body {
    bytes: Vec<u8>,
    saver: Saver,
}

impl Body {
    /// Of an idle VM. `hashed`: what cannot be saved is left out.
    ///
    /// # Safety
    /// `vm` is live and held.
    unsafe fn of(vm: *mut Vm, hashed: bool) -> Result<Body> {
        // SAFETY: the contract above. V1 is seen to, so nothing writes to the region.
        unsafe {
            see_idle(vm)?;
            let arena = &(*vm).arena;
            let mut bytes = zeros(arena.used_bytes())?;
            arena.write_bare(&mut bytes);
            let (out, used) = (bytes.as_mut_ptr().cast(), bytes.len());
            let saver = Saver(lua::rlua_c_save_begin((*vm).main, out, used, hashed.into()));
            if saver.0.is_null() {
                return Err(Error::NoMemoryForHandle);
            }
            let saved = arena.each_block(|Block { offset, bytes, kind, .. }| {
                let why = lua::rlua_c_save_block(saver.0, offset, bytes, kind);
                if why.is_null() {
                    return ControlFlow::Continue(());
                }
                let mut path = [0; lua::PATH_ROOM];
                lua::rlua_c_save_path(saver.0, path.as_mut_ptr());
                let path = Text::from_lossy(CStr::from_ptr(path.as_ptr()).to_bytes());
                ControlFlow::Break(said(why, |why| ImageError::Unsavable { offset, why, path }))
            });
            match saved {
                ControlFlow::Break(error) => Err(error),
                ControlFlow::Continue(()) => Ok(Body { bytes, saver }),
            }
        }
    }

    /// The names, as the format has them.
    fn names(&self) -> &[u8] {
        let mut bytes = 0;
        // SAFETY: the saver has so many bytes, as long as it lives.
        unsafe {
            let text = lua::rlua_c_save_names(self.saver.0, &mut bytes);
            if bytes == 0 { &[] } else { slice::from_raw_parts(text.cast(), bytes) }
        }
    }

    /// What they stand for here.
    fn outward(&self) -> &[lua::Outward] {
        let mut count = 0;
        // SAFETY: the saver has so many, as long as it lives.
        unsafe {
            let first = lua::rlua_c_save_outward(self.saver.0, &mut count);
            if count == 0 { &[] } else { slice::from_raw_parts(first, count as usize) }
        }
    }
}

/// The image of an idle VM.
///
/// Cost: a pass over the state's blocks, and as much memory as the state has.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn save(vm: *mut Vm) -> Result<Image> {
    // SAFETY: the contract above.
    let (body, vm) = unsafe { (Body::of(vm, false)?, &*vm) };
    let names = body.names();
    let mut header = header_of(vm);
    header.names = body.outward().len() as u32;
    header.names_bytes = names.len() as u64;
    let mut front = Vec::new();
    let wanted_bytes = HEADER_BYTES + names.len();
    front.try_reserve_exact(wanted_bytes).map_err(|_| HostError::NoMemory { wanted_bytes })?;
    let key = vm.config.image_key.as_ref();
    let mut head = header.encode(key.is_some());
    front.extend_from_slice(&head);
    front.extend_from_slice(names);
    let mut hash = Hash::new(key);
    hash.update(&front);
    hash.update(&body.bytes);
    image::set_hash(&mut head, hash.finish());
    front[..HEADER_BYTES].copy_from_slice(&head);
    Ok(Image { front, body: body.bytes })
}

/// 128 bits of an idle VM's state.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn checksum(vm: *mut Vm) -> Result<[u8; 16]> {
    // SAFETY: the contract above.
    let body = unsafe { Body::of(vm, true)? };
    let mut hash = Hash::new(None);
    hash.update(&(body.names().len() as u64).to_le_bytes());
    hash.update(body.names());
    hash.update(&body.bytes);
    let mut sum = [0; 16];
    sum.copy_from_slice(&hash.finish()[..16]);
    Ok(sum)
}

/// A second VM with the same state, without snapshots of its own yet; not in the registry yet.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn copy(vm: *mut Vm) -> Result<*mut Vm> {
    // SAFETY: the contract above.
    let (body, vm) = unsafe { (Body::of(vm, false)?, &*vm) };
    let config = Config {
        memory_bytes: vm.arena.limit_bytes(),
        max_snapshots: vm.history.max_snapshots(),
        ..vm.config.clone()
    };
    let mut arena = Arena::new(config.memory_bytes)?;
    let mut rest = &body.bytes[..];
    arena.fill(rest.len(), rest.len(), |part| {
        let (first, behind) = rest.split_at(part.len());
        part.copy_from_slice(first);
        rest = behind;
        Ok(())
    })?;
    adopt(&config, arena, body.outward(), vm.serial, Trust::Ours)
}

/// Whose bytes are made a state again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Made in this process a moment ago.
    Ours,
    /// Anybody's.
    Nobody,
}

fn header_of(vm: &Vm) -> Header {
    let Config { pacing, profile, seed, guard, announces, .. } = vm.config;
    let Pacing { pause, step_multiplier, step_size, sweep_divisor } = pacing;
    Header {
        body_bytes: vm.arena.used_bytes() as u64,
        limit_bytes: vm.arena.limit_bytes() as u64,
        profile: match profile {
            Profile::Deterministic => 0,
            Profile::Stock => 1,
        },
        seed,
        guard: match guard {
            Mode::On => 0,
            Mode::Refuse => 1,
            Mode::Off => 2,
        },
        pacing: [pause as u32, step_multiplier as u32, step_size as u32, sweep_divisor],
        serial: vm.serial,
        announces,
        ..Header::default()
    }
}

/// What the image's VM was made with, where the rest of the config allows it.
fn config_of(header: &Header, config: &Config) -> Result<Config> {
    let bad = |what| Error::from(ImageError::bad(format_args!("its {what} is none")));
    let limit = config.limit_bytes()?;
    if header.limit_bytes > limit as u64 {
        return Err(ImageError::Needs { bytes: header.limit_bytes, limit }.into());
    }
    let in_pages = header.limit_bytes.is_multiple_of(PAGE_SIZE as u64);
    if !in_pages || header.body_bytes > header.limit_bytes || header.names_bytes > header.body_bytes
    {
        return Err(bad("size"));
    }
    let [pause, step_multiplier, step_size, sweep_divisor] = header.pacing;
    if pause > 1000 || step_multiplier > 1000 || step_size > 60 || sweep_divisor > 1000 {
        return Err(bad("pacing"));
    }
    Ok(Config {
        memory_bytes: header.limit_bytes as usize,
        seed: header.seed,
        announces: header.announces,
        pacing: Pacing {
            pause: pause as i32,
            step_multiplier: step_multiplier as i32,
            step_size: step_size as i32,
            sweep_divisor,
        },
        guard: match header.guard {
            0 => Mode::On,
            1 => Mode::Refuse,
            2 => Mode::Off,
            _ => return Err(bad("guard")),
        },
        profile: match header.profile {
            0 => Profile::Deterministic,
            1 => Profile::Stock,
            _ => return Err(bad("profile")),
        },
        ..config.clone()
    })
}

/// Where an image's bytes come from: fills as much as it can of what it is given.
pub trait Source {
    /// How many bytes came; fewer than asked for at the end alone.
    fn read(&mut self, into: &mut [u8]) -> usize;

    /// All of them, or the image ends early.
    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        let found = self.read(into);
        if found != into.len() {
            return Err(ImageError::Short { wanted: into.len(), found }.into());
        }
        Ok(())
    }
}

/// Bytes that are taken in at a time: memory follows what comes, not what a header claims.
const CHUNK: usize = 1 << 20;

/// Makes a VM from an image; it is not in the registry yet.
///
/// Cost: a pass over the image, and the proof of the heap.
pub fn load(config: &Config, names: &[HostName<'_>], from: &mut dyn Source) -> Result<*mut Vm> {
    let mut head = [0; HEADER_BYTES];
    from.fill(&mut head)?;
    let (header, keyed) = Header::decode(&head)?;
    if keyed != config.image_key.is_some() {
        return Err(ImageError::WrongKey.into());
    }
    let config = config_of(&header, config)?;
    let expected = image::take_hash(&mut head);
    let mut hash = Hash::new(config.image_key.as_ref());
    hash.update(&head);
    let mut text = Vec::new();
    while text.len() < header.names_bytes as usize {
        let (first, part) = (text.len(), CHUNK.min(header.names_bytes as usize - text.len()));
        text.try_reserve(part).map_err(|_| HostError::NoMemory { wanted_bytes: part })?;
        text.resize(first + part, 0);
        from.fill(&mut text[first..])?;
    }
    hash.update(&text);
    let mut arena = Arena::new(config.memory_bytes)?;
    let filled = arena.fill(header.body_bytes as usize, CHUNK, |part| {
        from.fill(part)?;
        hash.update(part);
        Ok(())
    });
    filled?;
    if !hash.is(expected) {
        return Err(ImageError::Damaged.into());
    }
    arena.check().map_err(refused)?;
    let outward = resolve(header.names, &text, names)?;
    adopt(&config, arena, &outward, header.serial, Trust::Nobody)
}

/// What a check found in an image.
fn refused(flaw: Flaw) -> Error {
    match flaw {
        Flaw::Damaged(what) => ImageError::bad(format_args!("{what}")).into(),
        Flaw::NoMemory => Error::NoMemoryForCheck,
    }
}

/// What the image's names stand for in this process.
fn resolve(count: u32, mut text: &[u8], names: &[HostName<'_>]) -> Result<Vec<lua::Outward>> {
    let mut found = Vec::new();
    for _ in 0..count {
        let (kind, name) = image::next_name(&mut text)?;
        // SAFETY: a range of bytes; the answer is a function's address, or NULL.
        let library = unsafe { lua::rlua_c_library_function(name.as_ptr().cast(), name.len()) };
        let outward = match names.iter().find(|known| known.kind == kind && known.name == name) {
            _ if kind == NAME_FUNCTION && !library.is_null() => (library, ptr::null()),
            Some(known) => (known.address, known.ud),
            None => return Err(image::unknown(name).into()),
        };
        found.try_reserve(1).map_err(|_| HostError::NoMemory { wanted_bytes: 24 })?;
        found.push(lua::Outward { address: outward.0, ud: outward.1, kind: kind.into() });
    }
    match text {
        [] => Ok(found),
        _ => Err(ImageError::bad(format_args!("it has more names than it says")).into()),
    }
}

/// As in `src/lua/image.c`.
pub const NAME_FUNCTION: u8 = 1;
/// A pointer that was registered.
pub const NAME_POINTER: u8 = 2;
/// A function of rlua_pushfunction.
pub const NAME_HOST: u8 = 3;

/// Makes the arena's body a state again, in a VM of its own.
fn adopt(
    config: &Config,
    arena: Arena,
    outward: &[lua::Outward],
    serial: u32,
    trust: Trust,
) -> Result<*mut Vm> {
    let mut first = None;
    let _ = arena.each_block(|block| {
        first = Some(block);
        ControlFlow::Break(())
    });
    if first.is_none_or(|block| block.offset != MAIN_OFFSET) {
        return Err(ImageError::bad(format_args!("its state is not where it has to be")).into());
    }
    let vm = Vm::place(config, arena)?;
    // SAFETY: the VM was just made, and is in no registry.
    unsafe {
        (*vm).serial = serial;
        if let Err(error) = (*vm).adopt_state(outward, trust) {
            Vm::free(vm);
            return Err(error);
        }
    }
    Ok(vm)
}

impl Vm {
    fn adopt_state(&mut self, outward: &[lua::Outward], trust: Trust) -> Result<()> {
        let bad = |offset| move |what| ImageError::Bad { what, place: Some(offset) };
        let arena = &raw mut self.arena;
        let (base, used) = (self.arena.base(), self.arena.used_bytes());
        // SAFETY: the arena is consistent; the loader reads what it verified, and writes to blocks
        // alone. Nothing else uses the region.
        unsafe {
            let loader = Loader(lua::rlua_c_load_begin(
                base.cast(),
                used,
                MAIN_OFFSET,
                (*arena).cards().first().cast(),
                Cards::count((*arena).reserved_bytes()),
                outward.as_ptr(),
                outward.len() as u32,
                heap::block_bytes,
                arena.cast(),
            ));
            if loader.0.is_null() {
                return Err(Error::NoMemoryForHandle);
            }
            let loaded = (*arena).each_block(|Block { offset, bytes, kind, opaque }| {
                let opaque = opaque.into();
                let why = lua::rlua_c_load_block(loader.0, offset, bytes, kind, opaque);
                if why.is_null() {
                    return ControlFlow::Continue(());
                }
                ControlFlow::Break(said(why, bad(offset)))
            });
            if let ControlFlow::Break(error) = loaded {
                return Err(error);
            }
            let region_bytes = (*arena).reserved_bytes() as u64;
            let block = base.add(MAIN_OFFSET).cast();
            self.main = lua::rlua_c_adopt(block, Vm::ALLOCATE, arena.cast(), region_bytes);
            let guards = self.config.guard != Mode::Off && self.config.max_snapshots > 0;
            lua::rlua_c_turn_guard(self.main, guards.into());
            if trust == Trust::Ours {
                return Ok(());
            }
            heap::check(self).map_err(refused)?;
            let why = lua::rlua_c_load_finish(loader.0);
            if !why.is_null() {
                return Err(said(why, bad(MAIN_OFFSET)));
            }
        }
        Ok(())
    }
}
