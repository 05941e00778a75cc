//! Vm: owns the parts of one VM.
//!
//! - [`guard`]: who may enter a VM, and what a caller that may not is told.
//! - [`timeline`]: capture, restore, discard, close, and the order of what belongs to each.
//! - [`participants`], [`resources`]: what of the host follows the snapshots.
//! - [`guarded`], [`streams`]: what C modules and the io library have outside. [`objects`]: how it
//!   goes into an image, and into a second VM, by its [`types`].
//! - [`registry`]: which address belongs to which VM. [`config`]: how one is made; [`agreement`]:
//!   what of that peers have in common.
//!
//! # Invariants
//! - C3 *suspects*: at each capture and restore these are marked: the arena's header, the global
//!   state, the stacks and frames of the main thread and of every thread that was entered since,
//!   and all opaque memory.
//! - V1 *idle*: capture, restore, discard and close run only when no Lua frame of this VM is on
//!   the C stack, of any thread.
//! - V2 *poison*: a Rust panic is caught at the ABI and poisons the VM: later calls answer
//!   POISONED, the host lives.
//! - V3 *aliased*: no reference to a `Vm` is held while the host's code or Lua runs: either may
//!   enter the VM again, through its pointer.
//!
//! # Not here
//! C's structs and the functions of the ABI (`crate::ffi`).

pub mod agreement;
mod base;
mod blocks;
pub mod canonical;
pub mod checksum;
pub mod config;
pub mod deltas;
pub mod diff;
pub mod follower;
mod front;
mod graft;
pub mod guard;
pub mod guarded;
mod handles;
mod heap;
pub mod images;
mod kept;
pub mod load;
pub mod meeting;
pub mod objects;
pub mod participants;
pub mod registry;
pub mod resources;
pub mod streams;
pub mod timeline;
pub mod types;

use crate::arena::Arena;
use crate::cards::Cards;
use crate::error::{Error, HostError, Result, Sentence};
use crate::lua::{self, lua_State};
use crate::pages::Live;
use crate::snapshot::History;
use crate::tracker::{self, Backend};
use crate::units::pages_for;
use agreement::Agreement;
use base::Base;
use config::{Config, Pacing};
use follower::Follower;
use front::Front;
use guarded::Guarded;
use participants::Participants;
use resources::Outside;
use std::alloc::{self, Layout};
use std::collections::TryReserveError;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use types::Types;

/// One VM. In C's order and from the start of a cache line, so that what a call needs first comes
/// first, and the rare last: see `guard::warm`. Fields are dropped in this order: the tracker,
/// which watches the region, before the arena, which owns it.
#[repr(C, align(64))]
pub struct Vm {
    /// The OS thread inside a call of ours, 0 for none; a second one gets BUSY.
    holder: AtomicUsize,
    /// Set while a call that needs V1 works: what it calls back gets BUSY.
    working: AtomicBool,
    poisoned: AtomicBool,
    /// Set while a function of the host runs that must not use it.
    sealed: AtomicBool,
    /// Whether there was ever a guarded userdata: what follows the snapshots is else not looked at.
    guards: bool,
    main: *mut lua_State,
    tracker: Backend,
    history: History,
    participants: Participants,
    outside: Outside,
    /// How what lies outside is saved and loaded.
    types: Types,
    /// Lua's allocation function holds a pointer to it.
    arena: Arena,
    /// Serial of the newest reference. Never goes back, so that a slot's serials differ.
    serial: u32,
    last_error: Sentence,
    guarded: Guarded,
    follower: Follower,
    /// What deltas are made from; that of the snapshot that the history notes.
    base: Option<Base>,
    /// What the last delta that was applied led to, and what changed since.
    front: Option<Front>,
    /// As it was made. How many snapshots are kept may have changed since.
    config: Config,
}

impl Vm {
    /// What Lua gets its blocks from.
    pub const ALLOCATE: lua::lua_Alloc = Arena::allocate;
    /// The same, as hosts get it.
    pub const ALLOCATE_FOR_HOST: lua::lua_Alloc = Arena::allocate_for_host;

    /// A VM around an arena, without a state.
    fn place(config: &Config, arena: Arena) -> Result<*mut Vm> {
        // SAFETY: the arena's region lives as long as the VM, which owns both.
        let tracker = unsafe {
            let cards = (arena.cards(), config.audit);
            tracker::open(config.tracker, arena.base(), arena.reserved_bytes(), cards)?
        };
        // SAFETY: a Vm has a size.
        let vm = unsafe { alloc::alloc(Layout::new::<Vm>()) }.cast::<Vm>();
        if vm.is_null() {
            return Err(Error::NoMemoryForHandle);
        }
        let made = Vm {
            holder: AtomicUsize::new(0),
            working: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            guards: false,
            main: ptr::null_mut(),
            tracker,
            history: History::new(config.max_snapshots),
            participants: Participants::default(),
            outside: Outside::default(),
            types: Types::default(),
            arena,
            serial: 0,
            last_error: Sentence::new(),
            guarded: Guarded::new(config.guard),
            follower: Follower::default(),
            base: None,
            front: None,
            config: config.clone(),
        };
        // SAFETY: the place is a Vm's.
        unsafe { vm.write(made) };
        Ok(vm)
    }

    /// Makes a VM; it is not in the registry yet. To be freed by [`Vm::free`].
    pub fn open(config: &Config) -> Result<*mut Vm> {
        let limit_bytes = config.limit_bytes()?;
        let vm = Vm::place(config, Arena::new(limit_bytes)?)?;
        // SAFETY: the VM was just made. The arena stays in it, and nothing else uses it while Lua
        // runs.
        unsafe {
            let birth = config.birth((*vm).arena.reserved_bytes());
            let birth = birth.as_ref().map_or(ptr::null(), ptr::from_ref);
            let arena = (&raw mut (*vm).arena).cast();
            let (cards, base) = ((*vm).arena.cards().first().cast(), (*vm).arena.base().cast());
            let count = Cards::count((*vm).arena.reserved_bytes());
            (*vm).main = lua::rlua_c_open(arena, birth, cards, count, base);
            if (*vm).main.is_null() {
                Vm::free(vm);
                return Err(Error::NoMemoryForVm { limit_bytes });
            }
            let Pacing { pause, step_multiplier, step_size, sweep_divisor } = config.pacing;
            // A new state, on which nothing runs; the call raises nothing and allocates nothing.
            lua::rlua_c_pace((*vm).main, pause, step_multiplier, step_size, sweep_divisor);
            Vm::or_freed(vm, guarded::as_the_vm_keeps(vm))
        }
    }

    /// A VM that was just made, or, where that failed, its error: then it is freed.
    ///
    /// # Safety
    /// As for [`Vm::free`].
    unsafe fn or_freed(vm: *mut Vm, made: Result<()>) -> Result<*mut Vm> {
        // SAFETY: the contract above.
        made.map(|()| vm).inspect_err(|_| unsafe { Vm::free(vm) })
    }

    /// Frees a VM, with all that it owns.
    ///
    /// # Safety
    /// `vm` is from [`Vm::open`], and nothing uses it or its memory any more.
    pub unsafe fn free(vm: *mut Vm) {
        // SAFETY: by the contract above.
        unsafe {
            lua::rlua_c_forget_cards((*vm).arena.base().cast());
            ptr::drop_in_place(vm);
            alloc::dealloc(vm.cast(), Layout::new::<Vm>());
        }
    }

    /// How what lies outside is saved and loaded.
    pub fn types(&mut self) -> &mut Types {
        &mut self.types
    }

    /// The main thread.
    pub fn main(&self) -> *mut lua_State {
        self.main
    }

    /// Whether a panic was caught in this VM.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// The allocator; only for reading while Lua is not running.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// A host got a block, or another size of one.
    pub fn note_block(&mut self, block: *const c_void) {
        if self.config.announces {
            let offset = block.addr() - self.arena.base().addr();
            // SAFETY: a block of the arena (the caller has it from Lua).
            unsafe { self.arena.announce(offset) }
        }
    }

    /// Marks what a host writes to; false where some of it is not the VM's.
    pub fn touch(&mut self, pointer: *const c_void, bytes: usize) -> bool {
        let offset = pointer.addr().wrapping_sub(self.arena.base().addr());
        let inside = self.arena.used_bytes().checked_sub(bytes).is_some_and(|last| offset <= last);
        if inside && bytes > 0 {
            let marks = self.arena.cards();
            // SAFETY: inside the region.
            unsafe {
                marks.enter();
                marks.mark_range(offset, bytes);
            }
        }
        inside
    }

    /// The held snapshots.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Guarded userdata: alive, or kept for a snapshot.
    pub fn guarded_count(&self) -> usize {
        self.guarded.count()
    }

    /// What peers must have in common.
    pub fn agreement(&self) -> Agreement {
        Agreement::of(&self.config)
    }

    /// The tracker's number in the C API.
    pub fn tracker_id(&self) -> i32 {
        self.tracker.id()
    }

    /// A serial for a reference, never 0.
    pub fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1).max(1);
        self.serial
    }

    /// Walks everything and verifies the invariants. The VM is idle (V1).
    pub fn check(&self) -> Result<()> {
        let held = self.history.count();
        self.arena.check()?;
        heap::check(self)?;
        self.history.check()?;
        self.participants.check(self.outside.table.held())?;
        self.outside.table.check(held)?;
        if self.guards {
            // SAFETY: idle, by the contract above.
            unsafe { self.guarded.check(&self.arena, held)? };
        }
        Ok(())
    }
}

/// The part of an arena that holds state.
fn live(arena: &Arena) -> Live {
    Live { base: arena.base(), used_pages: pages_for(arena.used_bytes()) }
}

/// For what is noted outside the arena.
fn no_room<E>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |_| HostError::NoRoom { what }.into()
}

/// Adds an item; where there is no memory for it, the list is as it was.
fn push<T>(list: &mut Vec<T>, item: T, full: impl FnOnce(TryReserveError) -> Error) -> Result<()> {
    list.try_reserve(1).map_err(full)?;
    list.push(item);
    Ok(())
}
