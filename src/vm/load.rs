//! Loading: a VM from an image, and in place.
//!
//! An image is read into a region of its own, and there is no VM before all of it was verified: the
//! hash, the arena (A1, A2, K1), each word, and, where the host wants it, the heap (L2).
//!
//! # Not here
//! The format ([`crate::image`]); the words (`src/lua/load.c`).

use super::config::{Config, Pacing, Profile, Trust};
use super::guarded::Mode;
use super::images::zeros;
use super::objects::{self, Piece};
use super::types::Types;
use super::{Vm, heap};
use crate::arena::{Arena, Block, MAIN_OFFSET};
use crate::cards::Cards;
use crate::error::{Error, Flaw, HostError, ImageError, Result, Text};
use crate::image::{self, Form, HASH_BYTES, HEADER_BYTES, Hash, Header, PART_BYTES};
use crate::lua;
use crate::units::PAGE_SIZE;
use std::ffi::{CStr, c_char, c_void};
use std::ops::ControlFlow;
use std::{mem, ptr};

/// What the host calls something outside the VM.
#[derive(Clone, Copy)]
pub struct HostName<'a> {
    /// Without its zero.
    pub name: &'a [u8],
    /// A function, a pointer, or a host function and its `ud`: the kinds of `src/lua/internal.h`.
    pub kind: u8,
    /// What the name stands for.
    pub address: *const c_void,
    /// Of a host function.
    pub ud: *const c_void,
}

/// What a host tells of what lies outside a state that it loads.
#[derive(Default)]
pub struct Outer<'a> {
    /// Names.
    pub names: Vec<HostName<'a>>,
    /// How objects are made.
    pub types: Types,
    /// Objects are not made, since the state is only looked at.
    pub is_left: bool,
}

/// What a state gets that lies outside it.
pub(super) struct Outside {
    pub types: Types,
    pub pieces: Vec<Piece>,
    /// Objects are not made.
    pub is_left: bool,
    /// The state is a stranger's.
    pub is_proved: bool,
}

/// As in `src/lua/internal.h`.
pub const NAME_FUNCTION: u8 = 1;
/// A pointer that was registered.
pub const NAME_POINTER: u8 = 2;
/// A function of rlua_pushfunction.
pub const NAME_HOST: u8 = 3;

/// What the image's VM was made with, where the rest of the config allows it.
fn config_of(header: &Header, config: &Config) -> Result<Config> {
    let bad = |what| Error::from(ImageError::bad(format_args!("its {what} is none")));
    let limit = config.limit_bytes()?;
    if header.limit_bytes > limit as u64 {
        return Err(ImageError::Needs { bytes: header.limit_bytes, limit }.into());
    }
    let in_pages = header.limit_bytes.is_multiple_of(PAGE_SIZE as u64);
    if !in_pages || header.body_bytes > header.limit_bytes {
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

/// Takes parts in, and hashes them.
pub(super) struct HashedSource<'a> {
    from: &'a mut dyn Source,
    hash: Hash,
}

/// Bytes that are taken in at a time: memory follows what comes, not what a header claims.
const CHUNK: usize = 1 << 20;

impl<'a> HashedSource<'a> {
    /// Reads the header; whom the config does not trust is refused.
    pub(super) fn open(
        from: &'a mut dyn Source,
        form: Form,
        config: &Config,
    ) -> Result<(HashedSource<'a>, Header)> {
        let mut head = [0; HEADER_BYTES];
        from.fill(&mut head)?;
        let header = Header::decode(&head, form)?;
        if header.keyed != config.image_key.is_some() {
            return Err(ImageError::WrongKey.into());
        }
        if !header.keyed && config.trust == Trust::Key {
            return Err(ImageError::Untrusted.into());
        }
        let mut source = HashedSource { from, hash: Hash::new(config.image_key.as_ref()) };
        source.hash.update(&head);
        Ok((source, header))
    }

    pub(super) fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        self.from.fill(into)?;
        self.hash.update(into);
        Ok(())
    }

    pub(super) fn word(&mut self) -> Result<u32> {
        let mut word = [0; 4];
        self.fill(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    /// So many bytes, of which nothing is known.
    pub(super) fn take(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let mut taken = Vec::new();
        while taken.len() < bytes {
            let (first, part) = (taken.len(), CHUNK.min(bytes - taken.len()));
            taken.try_reserve(part).map_err(|_| HostError::NoMemory { wanted_bytes: part })?;
            taken.resize(first + part, 0);
            self.fill(&mut taken[first..])?;
        }
        Ok(taken)
    }

    /// How many names there are, and these.
    pub(super) fn names(&mut self, most_bytes: u64) -> Result<(u32, Vec<u8>)> {
        let (count, bytes) = (self.word()?, self.word()?);
        if u64::from(bytes) > most_bytes || u64::from(count) > most_bytes {
            return Err(bad_image("its names are too long"));
        }
        Ok((count, self.take(bytes as usize)?))
    }

    /// The end: a hash that has to be right.
    pub(super) fn finish(self) -> Result<()> {
        let mut expected = [0; HASH_BYTES];
        self.from.fill(&mut expected)?;
        match self.hash.is(expected) {
            true => Ok(()),
            false => Err(ImageError::Damaged.into()),
        }
    }
}

/// Makes a VM from an image; it is not in the registry yet.
///
/// Cost: a pass over the image, and the proof of the heap where it is wanted.
pub fn load(config: &Config, outer: Outer<'_>, from: &mut dyn Source) -> Result<*mut Vm> {
    let (mut source, header) = HashedSource::open(from, Form::Image, config)?;
    let config = config_of(&header, config)?;
    let mut arena = Arena::new(config.memory_bytes)?;
    let bytes = header.body_bytes as usize;
    if header.compressed {
        let mut small = zeros(image::most_packed())?;
        arena.fill(bytes, PART_BYTES, |part| {
            let packed = source.word()? as usize;
            let small = small.get_mut(..packed).ok_or_else(image::bad_part)?;
            source.fill(small)?;
            Ok(image::unpack(small, part)?)
        })?;
    } else {
        arena.fill(bytes, CHUNK, |part| source.fill(part))?;
    }
    let (count, text) = source.names(header.body_bytes)?;
    let pieces = objects::read(&mut source, header.limit_bytes)?;
    source.finish()?;
    let outward = resolve(count, &text, &outer.names, &outer.types, &|_| None)?;
    if config.trust == Trust::Proved {
        arena.check().map_err(refused)?;
    }
    let is_proved = config.trust == Trust::Proved && config.guard != Mode::Off;
    let outside = Outside { types: outer.types, pieces, is_left: outer.is_left, is_proved };
    adopt(&config, arena, header.serial, outside, |vm, _| {
        vm.fix(&outward, ptr::null())?;
        // SAFETY: a state, which was just made.
        let is_deterministic = unsafe { lua::rlua_c_is_deterministic(vm.main) } != 0;
        match is_deterministic == (config.profile == Profile::Deterministic) {
            true => Ok(()),
            false => Err(bad_image("its profile is not the state's")),
        }
    })
}

/// What is wrong with an image.
pub(super) fn bad_image(what: &str) -> Error {
    ImageError::bad(format_args!("{what}")).into()
}

/// What a check found in an image.
pub(super) fn refused(flaw: Flaw) -> Error {
    match flaw {
        Flaw::Damaged(what) => ImageError::bad(format_args!("{what}")).into(),
        Flaw::NoMemory => Error::NoMemoryForCheck,
    }
}

/// What the image's names stand for in this process, methods of types among them: `known` are those
/// that the VM has.
pub(super) fn resolve(
    count: u32,
    mut text: &[u8],
    names: &[HostName<'_>],
    types: &Types,
    known: &dyn Fn(u64) -> Option<lua::Outward>,
) -> Result<Vec<lua::Outward>> {
    let mut found = Vec::new();
    let mut words: Vec<u64> = Vec::new();
    for _ in 0..count {
        let (kind, name) = image::next_name(&mut text)?;
        // SAFETY: a range of bytes; the answer is a function's address, or NULL.
        let (library, word) = unsafe {
            let (text, length) = (name.as_ptr().cast(), name.len());
            let word = lua::rlua_c_name_word(kind.into(), text, length);
            (lua::rlua_c_library_function(word), word)
        };
        // So there are no more of them than the process has names.
        let Err(place) = words.binary_search(&word) else {
            return Err(bad_image("it has a name twice"));
        };
        words.try_reserve(1).map_err(|_| HostError::NoMemory { wanted_bytes: 32 })?;
        words.insert(place, word);
        let given = names.iter().find(|given| given.kind == kind && given.name == name);
        let (address, ud) = match (given, known(word)) {
            _ if kind == NAME_FUNCTION && !library.is_null() => (library, ptr::null()),
            (Some(given), _) => (given.address, given.ud),
            (None, Some(known)) => (known.address, known.ud),
            (None, None) => match types.method(name) {
                Some(method) if kind == NAME_HOST => method,
                _ => return Err(image::unknown(name).into()),
            },
        };
        found.try_reserve(1).map_err(|_| HostError::NoMemory { wanted_bytes: 32 })?;
        found.push(lua::Outward { address, ud, word, kind: kind.into() });
    }
    match text {
        [] => Ok(found),
        _ => Err(bad_image("it has more names than it says")),
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

/// Puts the arena into a VM of its own, whose words `fix` makes a state of; and what lies outside.
pub(super) fn adopt(
    config: &Config,
    arena: Arena,
    serial: u32,
    mut outside: Outside,
    fix: impl FnOnce(&mut Vm, *mut c_void) -> Result<()>,
) -> Result<*mut Vm> {
    let vm = Vm::place(config, arena)?;
    // SAFETY: the VM was just made, and is in no registry.
    unsafe {
        (*vm).serial = serial;
        let base = (*vm).arena.base();
        (*vm).types = mem::take(&mut outside.types);
        let fixed = fix(&mut *vm, base.add(MAIN_OFFSET).cast());
        Vm::or_freed(vm, fixed.and_then(|()| objects::give(vm, &outside)))
    }
}

/// C's loader.
struct Loader(*mut c_void);

fn bad(offset: usize) -> impl FnOnce(Text<120>) -> ImageError {
    move |what| ImageError::Bad { what, place: Some(offset) }
}

impl Loader {
    /// A block of the arena.
    fn load(&self, Block { offset, bytes, kind, opaque }: Block) -> ControlFlow<Error> {
        // SAFETY: a block; the answer is NULL, or a string.
        unsafe {
            let why = lua::rlua_c_load_block(self.0, offset, bytes, kind, opaque.into());
            if why.is_null() {
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(said(why, bad(offset)))
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by rlua_c_load_begin, ended once.
            unsafe { lua::rlua_c_load_end(self.0) }
        }
    }
}

impl Vm {
    /// Gives the state what differs from process to process.
    pub(super) unsafe fn adopt_state(&mut self, block: *mut c_void, before: *const c_void) {
        let arena = &raw mut self.arena;
        // SAFETY: the state's block, whose words are right (the caller).
        unsafe {
            let bytes = (*arena).reserved_bytes() as u64;
            self.main = lua::rlua_c_adopt(block, arena.cast(), bytes, before);
        }
    }

    /// Makes canonical words, which lie in the region, a state again; verifies them, and, where the
    /// config wants it, what they make. The arena was checked. `before` is NULL, or the state's
    /// block as it was, of which stays what is the process's own.
    pub(super) fn fix(&mut self, outward: &[lua::Outward], before: *const c_void) -> Result<()> {
        let proved = self.config.trust == Trust::Proved;
        let arena = &raw mut self.arena;
        // SAFETY: the arena is consistent; the loader reads what it verified, and writes to blocks
        // alone. Nothing else uses the region.
        unsafe {
            let base = (*arena).base();
            let mut first = None;
            let _ = (*arena).each_block(|block| {
                first = Some(block.offset);
                ControlFlow::Break(())
            });
            if first != Some(MAIN_OFFSET) {
                let what = format_args!("its state is not where it has to be");
                return Err(ImageError::bad(what).into());
            }
            let loader = self.loader(outward)?;
            let loaded = (*arena).each_block(|block| loader.load(block));
            if let ControlFlow::Break(error) = loaded {
                return Err(error);
            }
            self.adopt_state(base.add(MAIN_OFFSET).cast(), before);
            if !proved {
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

    /// The same of some blocks, or elements of them, by rising offset, of which nothing is proved;
    /// `before` is what the state's block was, where that is one of them.
    pub(super) unsafe fn fix_parts(
        &mut self,
        outward: &[lua::Outward],
        blocks: &[Block],
        before: Option<*const c_void>,
    ) -> Result<()> {
        let loader = self.loader(outward)?;
        for &block in blocks {
            // SAFETY: blocks of the arena (the caller).
            let opaque = unsafe { self.arena.is_opaque(block.offset) };
            if let ControlFlow::Break(error) = loader.load(Block { opaque, ..block }) {
                return Err(error);
            }
        }
        if let Some(before) = before {
            // SAFETY: its words are right.
            unsafe { self.adopt_state(self.arena.base().add(MAIN_OFFSET).cast(), before) };
        }
        Ok(())
    }

    fn loader(&mut self, outward: &[lua::Outward]) -> Result<Loader> {
        let proved = self.config.trust == Trust::Proved;
        let arena = &raw mut self.arena;
        // SAFETY: the arena, and its cards, outlive the loader.
        let loader = unsafe {
            Loader(lua::rlua_c_load_begin(
                (*arena).base().cast(),
                (*arena).used_bytes(),
                MAIN_OFFSET,
                (*arena).cards().first().cast(),
                Cards::count((*arena).reserved_bytes()),
                outward.as_ptr(),
                outward.len() as u32,
                proved.then_some(heap::block_bytes),
                arena.cast(),
            ))
        };
        if loader.0.is_null() { Err(Error::NoMemoryForHandle) } else { Ok(loader) }
    }
}
