//! Images: a VM's state as bytes, and as a second VM. Saving reads an idle VM and changes nothing.
//!
//! # Not here
//! The format ([`crate::image`]); canonical bytes ([`super::canonical`]); the way back
//! ([`super::load`]); deltas ([`super::deltas`]).

use super::canonical::{Canonical, For};
use super::config::{Config, Pacing, Profile};
use super::guard::see_idle;
use super::guarded::Mode;
use super::load::Outside;
use super::meeting::Meeting;
use super::{Vm, load};
use crate::arena::kinds::THREAD;
use crate::arena::{Arena, Block, MAIN_OFFSET, View};
use crate::cards::Cards;
use crate::error::{Error, HostError, Result};
use crate::image::{self, Form, Hash, Header, PART_BYTES};
use crate::lua;
use crate::units::Frame;
use std::ops::ControlFlow;
use std::ptr;

/// So many zero bytes.
pub(super) fn zeros(bytes: usize) -> Result<Vec<u8>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(bytes).map_err(|_| HostError::NoMemory { wanted_bytes: bytes })?;
    zeros.resize(bytes, 0);
    Ok(zeros)
}

/// A copy of the state of an idle VM.
///
/// # Safety
/// `vm` is live and held, or in no registry.
pub(super) unsafe fn whole(vm: *mut Vm) -> Result<Vec<u8>> {
    // SAFETY: the contract above; the used part, of an idle VM (V1).
    unsafe {
        let mut copy = zeros((*vm).arena.used_bytes())?;
        (*vm).arena.base().copy_to_nonoverlapping(copy.as_mut_ptr(), copy.len());
        Ok(copy)
    }
}

/// Puts such a copy in place again, or one of another state that was in place: so there is room.
///
/// # Safety
/// As for [`whole`].
pub(super) unsafe fn put_whole(vm: *mut Vm, state: &[u8]) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        let arena = &raw mut (*vm).arena;
        (*arena).replace(state)?;
        let (base, cards) = ((*arena).base(), (*arena).cards().first());
        let count = Cards::count((*arena).reserved_bytes());
        lua::rlua_c_set_cards(base.cast(), cards.cast(), count, state.len());
    }
    Ok(())
}

/// Where an image goes, in parts.
pub type Sink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// Hands parts on, and hashes them.
pub(super) struct Hashed<'a, 'b> {
    sink: &'a mut Sink<'b>,
    hash: Hash,
}

impl<'a, 'b> Hashed<'a, 'b> {
    /// The first part is the header.
    pub(super) fn new(
        sink: &'a mut Sink<'b>,
        header: &Header,
        config: &Config,
    ) -> Result<Hashed<'a, 'b>> {
        let mut hashed = Hashed { sink, hash: Hash::new(config.image_key.as_ref()) };
        hashed.put(&header.encode())?;
        Ok(hashed)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        (self.sink)(bytes)
    }

    /// The names, as the format has them, and how many.
    pub(super) fn put_names(&mut self, (names, count): (&[u8], u32)) -> Result<()> {
        self.put(&count.to_le_bytes())?;
        self.put(&(names.len() as u32).to_le_bytes())?;
        self.put(names)
    }

    /// The last part: the hash.
    pub(super) fn finish(self) -> Result<()> {
        (self.sink)(&self.hash.finish())
    }
}

/// A state's bytes, and where its region lies.
pub(super) struct State {
    pub(super) view: View,
    pub(super) base: *const u8,
}

/// The live state of an idle VM.
///
/// # Safety
/// `vm` is live and held, and nothing is written to it while the answer is used.
pub(super) unsafe fn live_state(vm: *mut Vm) -> Result<State> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        let base = (*vm).arena.base();
        Ok(State { view: View::new(base), base })
    }
}

/// Saves a state that `vm` has, or had so many restores back.
///
/// # Safety
/// As for [`live_state`].
unsafe fn save_state(
    vm: *mut Vm,
    state: &State,
    back: Option<usize>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        let mut outside = Meeting::of(vm, back);
        let mut canonical = Canonical::of(state.view, state.base, For::Image)?;
        outside.attend(&mut canonical);
        let header = Header { body_bytes: canonical.used_bytes() as u64, ..header_of(&*vm) };
        let config = (*vm).config.clone(); // the host's writer runs (V3)
        let mut sink = Hashed::new(sink, &header, &config)?;
        let mut chunk = zeros(PART_BYTES)?;
        let mut small = zeros(if header.compressed { image::most_packed() } else { 0 })?;
        canonical.each(&mut chunk, |part| match header.compressed {
            true => sink.put(image::pack(part, &mut small)),
            false => sink.put(part),
        })?;
        sink.put_names(canonical.names())?;
        outside.put(&mut sink)?;
        sink.finish()
    }
}

/// Saves an idle VM. What comes to the sink before an error is no image.
///
/// Cost: a pass over the state.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn save(vm: *mut Vm, sink: &mut Sink<'_>) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        let state = live_state(vm)?;
        save_state(vm, &state, None, sink)
    }
}

/// Saves a held snapshot.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn save_snapshot(vm: *mut Vm, frame: Frame, sink: &mut Sink<'_>) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        let back = (*vm).steps_to(frame)?;
        let copy = (*vm).history.copy_of(back)?;
        let state = State { view: View::new(copy.start()), base: (*vm).arena.base() };
        save_state(vm, &state, Some(back), sink)
    }
}

impl Vm {
    /// How many restores back a held snapshot is.
    pub(super) fn steps_to(&self, frame: Frame) -> Result<usize> {
        let range = self.history.frames().map(|(oldest, newest)| (oldest.0, newest.0));
        let no_such = Error::NoSuchFrame { wanted: frame.0, range };
        self.history.steps_to(frame).ok_or(no_such)
    }
}

/// A second VM with the same state, without snapshots of its own yet; not in the registry yet.
/// Where it is only looked at, what lies outside is left: the host's functions do not run.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn copy(vm: *mut Vm, is_left: bool) -> Result<*mut Vm> {
    // SAFETY: the contract above.
    unsafe {
        let state = live_state(vm)?;
        let config = Config {
            memory_bytes: (*vm).arena.limit_bytes(),
            max_snapshots: (*vm).history.max_snapshots(),
            ..(*vm).config.clone()
        };
        let mut arena = Arena::new(config.memory_bytes)?;
        let to = arena.base() as u64;
        let mut outside = Meeting::of(vm, None);
        let mut canonical = Canonical::of(state.view, state.base, For::Clone(to))?;
        outside.attend(&mut canonical);
        let (used, mut run, mut at) = (canonical.used_bytes(), View::FIRST, 0);
        arena.fill(used, used, |part| {
            run = canonical.write(run, at, part)?;
            at += part.len();
            Ok(())
        })?;
        let (types, pieces) = ((*vm).types.copy()?, outside.pieces(is_left)?);
        let outside = Outside { types, pieces, is_left, is_proved: false };
        load::adopt(&config, arena, (*vm).serial, outside, |vm, block| {
            let arena = &raw mut vm.arena;
            let cards = (*arena).cards().first().cast();
            let count = Cards::count((*arena).reserved_bytes());
            let base = (*arena).base();
            lua::rlua_c_set_cards(base.cast(), cards, count, (*arena).used_bytes());
            let _ = (*arena).each_block(|Block { offset, kind, .. }| {
                if kind == THREAD {
                    let is_main = offset == MAIN_OFFSET;
                    lua::rlua_c_set_thread_cards(base.add(offset).cast(), cards, is_main.into());
                }
                ControlFlow::<()>::Continue(())
            });
            vm.adopt_state(block, ptr::null());
            Ok(())
        })
    }
}

fn header_of(vm: &Vm) -> Header {
    let Config { pacing, profile, seed, guard, announces, .. } = vm.config;
    let Pacing { pause, step_multiplier, step_size, sweep_divisor } = pacing;
    Header {
        keyed: vm.config.image_key.is_some(),
        compressed: vm.config.compress,
        announces,
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
        ..Header::default()
    }
}

/// The header of a delta of this VM.
pub(super) fn delta_header(vm: &Vm) -> Header {
    Header { form: Form::Delta, compressed: false, ..header_of(vm) }
}
