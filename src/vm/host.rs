//! Host: what a host keeps with the VM outside the arena, and how it follows the snapshots.
//!
//! Orders one capture, restore or drop so that the host's own code sees a consistent VM:
//!
//! ```text
//!  capture:  participants capture, in order -> pages are copied -> [settle]
//!  restore:  pages are put back -> participants restore, in order -> [settle]
//!  close:    finalizers -> [settle] of everything
//!  settle:   tokens of dropped snapshots are discarded, oldest first, then resources are released
//! ```
//!
//! Callbacks run with the VM marked as working: what needs V1 answers BUSY, protected calls work.
//! They enter the VM again through its pointer, so no reference to it is held while they run.
//!
//! # Invariants
//! - P1 *paired*: each token that a participant gave is discarded exactly once.
//!
//! # Not here
//! Which resources are unreachable ([`crate::resource`]); the arguments' checks (`crate::ffi`).

use super::{Vm, registry, see_idle};
use crate::error::{Error, HostError, Result};
use crate::lua::{self, lua_State};
use crate::resource::{Released, Resources};
use crate::units::Frame;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// As `rlua_ResourceType.release`.
pub type Release = unsafe extern "C" fn(*mut lua_State, *mut c_void, *mut c_void);

/// As the fields of `rlua_Participant`, and its ud.
#[derive(Clone, Copy)]
#[allow(missing_docs)] // the header tells
pub struct Participant {
    pub capture: unsafe extern "C" fn(*mut c_void, i64, *mut *mut c_void) -> c_int,
    pub restore: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub discard: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    pub ud: *mut c_void,
}

impl Participant {
    fn is(&self, other: &Participant) -> bool {
        self.ud == other.ud
            && self.capture as usize == other.capture as usize
            && self.restore as usize == other.restore as usize
    }
}

/// One participant's state at one snapshot.
#[derive(Clone, Copy)]
struct Token {
    participant: Participant,
    token: *mut c_void,
}

/// The tokens of one snapshot, by the participants' order.
struct Tokens {
    /// The snapshot's number: see [`Resources::held`].
    snapshot: u64,
    tokens: Vec<Token>,
}

/// A type of resources.
struct Kind {
    name: CString,
    release: Release,
    ud: *mut c_void,
}

/// What a host keeps with one VM.
#[derive(Default)]
pub struct Host {
    resources: Resources,
    kinds: Vec<Kind>,
    participants: Vec<Participant>,
    /// Tokens of the held snapshots that participants took part in, oldest first.
    tokens: VecDeque<Tokens>,
    /// Tokens of dropped snapshots, until they are discarded. Has room for all of `tokens`.
    dropped: VecDeque<Tokens>,
    /// Serial of the newest reference. Never goes back, so that a slot's serials differ.
    serial: u32,
}

fn no_room<E>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |_| HostError::NoRoom { what }.into()
}

impl Host {
    /// A serial for a reference, never 0.
    pub fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1).max(1);
        self.serial
    }

    /// The number of a type; a type of that name is entered when there is none.
    fn kind(&mut self, name: &CStr, release: Release, ud: *mut c_void) -> Result<u32> {
        let at = self.kinds.iter().position(|kind| kind.name.as_c_str() == name);
        if let Some(at) = at {
            let known = &self.kinds[at];
            if known.release as usize != release as usize || known.ud != ud {
                let name = name.to_string_lossy().into_owned();
                return Err(HostError::TypeDiffers { name }.into());
            }
            return Ok(at as u32);
        }
        self.kinds.try_reserve(1).map_err(no_room("resource type"))?;
        self.kinds.push(Kind { name: name.into(), release, ud });
        Ok(self.kinds.len() as u32 - 1)
    }

    /// The tokens of the newest snapshot, whose number is `newest`.
    fn tokens_of(&self, newest: u64) -> &[Token] {
        match self.tokens.back() {
            Some(last) if last.snapshot == newest => &last.tokens,
            _ => &[],
        }
    }

    /// The oldest snapshots are dropped, `held` stay.
    fn drop_oldest(&mut self, held: usize) {
        let numbers = self.resources.held();
        let oldest = numbers.end - held as u64;
        if oldest == numbers.start {
            return;
        }
        self.resources.discarded((oldest - numbers.start) as usize);
        let kept = self.tokens.partition_point(|tokens| tokens.snapshot < oldest);
        self.dropped.extend(self.tokens.drain(..kept));
    }

    /// Verifies the table of resources and that tokens belong to held snapshots.
    pub fn check(&self, held: usize) -> std::result::Result<(), String> {
        let numbers = self.resources.held();
        if self.tokens.iter().any(|tokens| !numbers.contains(&tokens.snapshot)) {
            return Err(format!("P1: a snapshot has tokens, but is not in {numbers:?}"));
        }
        self.resources.check(held)
    }
}

impl Vm {
    /// Captures the arena under a label from `next_frame`.
    fn capture_arena(&mut self, frame: Frame, untouched: bool) -> Result<()> {
        if untouched && self.history.repeat(frame)? {
            return Ok(());
        }
        let live = self.live();
        // SAFETY: Idle (V1): nothing writes to the region.
        unsafe { self.history.capture(live, self.tracker.get(), frame) }
    }

    /// Puts the arena back to the n-th newest snapshot.
    fn restore_arena(&mut self, n: usize) -> Result<()> {
        let live = self.live();
        // SAFETY: Idle (V1), and the commit never falls (R2).
        unsafe { self.history.restore(live, self.tracker.get(), n) }
    }
}

/// All functions below share one contract.
///
/// # Safety
/// `vm` is live and used by this thread only; no reference to it is held by the caller.
///
/// Captures under `frame`, or under the label after the newest one.
///
/// Sees to V1: an untouched VM is what it was when it was last captured or restored, idle, and
/// equal to the newest snapshot. So its region is not looked at: a first look at a page that is
/// neither in the cache nor in the TLB costs as much as all the rest.
pub unsafe fn capture(vm: *mut Vm, frame: Option<Frame>) -> Result<()> {
    // SAFETY: the contract above; references end before a callback runs.
    unsafe {
        // Participants may run Lua before the copy: then it is asked after them.
        let alone = (*vm).host.participants.is_empty();
        let untouched = alone && (*vm).tracker.get().is_untouched();
        if !untouched {
            see_idle(vm)?;
        }
        let outcome = capture_idle(vm, frame, alone.then_some(untouched));
        settle(vm);
        outcome
    }
}

/// `untouched` is `None` where that is not known yet.
unsafe fn capture_idle(vm: *mut Vm, frame: Option<Frame>, untouched: Option<bool>) -> Result<()> {
    // SAFETY: the contract above; references end before a callback runs.
    unsafe {
        let frame = (*vm).next_frame(frame)?;
        let host = &mut (*vm).host;
        if !host.participants.is_empty() {
            host.tokens.try_reserve(1).map_err(no_room("snapshot"))?;
            host.dropped.try_reserve(host.tokens.len() + 1).map_err(no_room("snapshot"))?;
        }
        let tokens = capture_participants(vm, frame)?;
        let untouched = untouched.unwrap_or_else(|| (*vm).tracker.get().is_untouched());
        if let Err(error) = (*vm).capture_arena(frame, untouched) {
            discard(&tokens);
            return Err(error);
        }
        let held = (*vm).history.count();
        let host = &mut (*vm).host;
        host.drop_oldest(held - 1);
        host.resources.captured();
        if !tokens.is_empty() {
            let snapshot = host.resources.held().end - 1;
            host.tokens.push_back(Tokens { snapshot, tokens });
        }
        Ok(())
    }
}

/// Asks each participant for its token. After an error every token is discarded again.
unsafe fn capture_participants(vm: *mut Vm, frame: Frame) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    // SAFETY: the contract above; the host's functions are as it declared them.
    unsafe {
        let count = (*vm).host.participants.len();
        tokens.try_reserve_exact(count).map_err(no_room("token"))?;
        for place in 0..count {
            let participant = (&(*vm).host.participants)[place];
            let mut token = std::ptr::null_mut();
            let answer = (participant.capture)(participant.ud, frame.0, &mut token);
            if answer != 0 {
                discard(&tokens);
                return Err(HostError::Participant { place: place + 1, answer }.into());
            }
            tokens.push(Token { participant, token });
        }
    }
    Ok(tokens)
}

/// Hands tokens back to their participants, in order.
unsafe fn discard(tokens: &[Token]) {
    for Token { participant, token } in tokens {
        if let Some(discard) = participant.discard {
            // SAFETY: the host's function, with what it gave.
            unsafe { discard(participant.ud, *token) }
        }
    }
}

/// Puts back the n-th newest snapshot.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn restore(vm: *mut Vm, n: usize) -> Result<()> {
    // SAFETY: the contract above; references end before a callback runs.
    unsafe {
        (*vm).restore_arena(n)?;
        let host = &mut (*vm).host;
        host.resources.restored(n);
        let target = host.resources.held().end - 1;
        let kept = host.tokens.partition_point(|tokens| tokens.snapshot <= target);
        host.dropped.extend(host.tokens.drain(kept..));
        let count = host.tokens_of(target).len();
        for place in 0..count {
            let Some(&token) = (*vm).host.tokens_of(target).get(place) else { break };
            (token.participant.restore)(token.participant.ud, token.token);
        }
        Ok(())
    }
}

/// Puts back the snapshot with that label.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn restore_to(vm: *mut Vm, frame: Frame) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        let n = (*vm).steps_to(frame)?;
        restore(vm, n)
    }
}

/// Drops what is older than a confirmed frame.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn discard_before(vm: *mut Vm, frame: Frame) {
    // SAFETY: the contract above.
    unsafe {
        let vm = &mut *vm;
        vm.history.discard_before(frame);
        vm.host.drop_oldest(vm.history.count());
    }
}

/// Changes how many snapshots are kept.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn set_max_snapshots(vm: *mut Vm, max_snapshots: usize) -> Result<()> {
    if max_snapshots > super::MAX_SNAPSHOTS {
        let (wanted, max) = (max_snapshots, super::MAX_SNAPSHOTS);
        return Err(Error::TooManySnapshots { wanted, max });
    }
    // SAFETY: the contract above.
    unsafe {
        let vm = &mut *vm;
        vm.history.set_max_snapshots(max_snapshots);
        vm.host.drop_oldest(vm.history.count());
    }
    Ok(())
}

/// Discards the tokens of dropped snapshots, oldest first, then releases what nobody can reach.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn settle(vm: *mut Vm) {
    // SAFETY: the contract above; references end before a callback runs.
    unsafe {
        while let Some(dropped) = (*vm).host.dropped.pop_front() {
            discard(&dropped.tokens);
        }
        while let Some(released) = (*vm).host.resources.next_released() {
            release(vm, (*vm).main, released);
        }
    }
}

unsafe fn release(vm: *mut Vm, thread: *mut lua_State, released: Released) {
    // SAFETY: the contract above; the reference ends before the host's function runs.
    unsafe {
        let kinds = &(*vm).host.kinds;
        let kind = kinds.get(released.kind as usize);
        if let Some((release, ud)) = kind.map(|kind| (kind.release, kind.ud)) {
            release(thread, released.object, ud);
        }
    }
}

/// Runs finalizers and closes variables, as lua_close does first.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn finalize(vm: *mut Vm) {
    // SAFETY: Idle (V1); the state is closed next.
    unsafe {
        begin_close(vm);
        lua::rlua_c_finalize((*vm).main);
    }
}

unsafe fn begin_close(vm: *mut Vm) {
    // SAFETY: the contract above.
    unsafe { (*vm).host.resources.begin_close() }
}

/// Discards every token and releases every resource: the VM closes next. A poisoned VM too.
///
/// # Safety
/// As for [`capture`]; finalizers have run.
pub unsafe fn close(vm: *mut Vm) {
    // SAFETY: the contract above. The mark stays: nothing that needs V1 runs in this VM again.
    unsafe {
        (*vm).working.store(true, Ordering::Relaxed);
        begin_close(vm);
        let host = &mut (*vm).host;
        host.dropped.extend(host.tokens.drain(..));
        host.resources.close();
        settle(vm);
        // A release function may have made more.
        while (*vm).host.resources.count() > 0 {
            (*vm).host.resources.close();
            settle(vm);
        }
    }
}

/// A handle was collected or closed (a hook of C).
///
/// # Safety
/// Lua is running in the VM, on this thread.
pub unsafe extern "C" fn collected(thread: *mut lua_State, handle: *mut c_void, id: u64) {
    let registry::Owner::Live(vm) = registry::find(thread) else { return };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: Lua is running in the VM, on this thread; the references end at once.
        unsafe {
            if let Some(released) = (*vm).host.resources.die(id, handle) {
                release(vm, thread, released);
            }
        }
    }));
    if outcome.is_err() {
        // SAFETY: as above (V2).
        unsafe { (*vm).poisoned.store(true, Ordering::Relaxed) };
    }
}

/// os.exit(code, true) closes the VM from inside Lua (a hook of C); the process ends next.
///
/// # Safety
/// As for [`collected`].
pub unsafe extern "C" fn exiting(main: *mut lua_State, finalized: c_int) {
    let registry::Owner::Live(vm) = registry::find(main) else { return };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as above; Lua's frames below are never returned to.
        unsafe {
            match finalized {
                0 => begin_close(vm),
                _ => close(vm),
            }
        }
    }));
}

/// What rlua_pushresource was asked for.
#[allow(missing_docs)] // the header tells
pub struct Push<'a> {
    pub object: *mut c_void,
    pub name: &'a CStr,
    pub release: Release,
    pub ud: *mut c_void,
    pub methods: *const lua::Method,
}

/// Pushes a handle of a new resource. Answers Lua's status; after an error the object is the
/// host's as before.
///
/// # Safety
/// As for [`capture`]; `thread` is of this VM; `methods` is NULL or ends with a NULL name.
pub unsafe fn push_resource(vm: *mut Vm, thread: *mut lua_State, push: &Push) -> Result<c_int> {
    let mut handle = std::ptr::null_mut();
    // SAFETY: the contract above; the references end before Lua runs, which may collect handles.
    unsafe {
        let host = &mut (*vm).host;
        let kind = host.kind(push.name, push.release, push.ud)?;
        let id = host.resources.create(push.object, kind)?;
        let name = push.name.as_ptr();
        let answer = lua::rlua_c_pushresource(thread, name, push.methods, push.ud, id, &mut handle);
        let host = &mut (*vm).host;
        match answer {
            0 => host.resources.name(id, handle),
            _ => host.resources.forget(id),
        }
        Ok(answer)
    }
}

/// The object of the handle at an index, if it is of that type and alive.
///
/// # Safety
/// As for [`capture`]; `thread` is of this VM.
pub unsafe fn to_resource(
    vm: *mut Vm,
    thread: *mut lua_State,
    index: c_int,
    name: &CStr,
) -> Result<*mut c_void> {
    // SAFETY: the contract above.
    unsafe {
        let found = find_resource(vm, thread, index, name)?;
        Ok(found.2)
    }
}

unsafe fn find_resource(
    vm: *mut Vm,
    thread: *mut lua_State,
    index: c_int,
    name: &CStr,
) -> Result<(u64, *mut c_void, *mut c_void)> {
    let text = || name.to_string_lossy().into_owned();
    let other = || Error::from(HostError::NotThisResource { wanted: text() });
    let mut id = 0;
    // SAFETY: the contract above.
    unsafe {
        let handle = lua::rlua_c_handle(thread, index, &mut id);
        if handle.is_null() {
            return Err(other());
        }
        let host = &(*vm).host;
        let Some((object, kind, alive)) = host.resources.get(id, handle) else {
            return Err(HostError::DeadResource { name: text() }.into());
        };
        if host.kinds.get(kind as usize).is_none_or(|kind| kind.name.as_c_str() != name) {
            return Err(other());
        }
        if !alive {
            return Err(HostError::DeadResource { name: text() }.into());
        }
        Ok((id, handle, object))
    }
}

/// Ends the life of a resource before its handle is collected.
///
/// # Safety
/// As for [`to_resource`].
pub unsafe fn close_resource(
    vm: *mut Vm,
    thread: *mut lua_State,
    index: c_int,
    name: &CStr,
) -> Result<()> {
    // SAFETY: the contract above; the reference ends before the host's function runs.
    unsafe {
        let (id, handle, _) = find_resource(vm, thread, index, name)?;
        if let Some(released) = (*vm).host.resources.die(id, handle) {
            release(vm, thread, released);
        }
        Ok(())
    }
}

/// A participant takes part from the next capture on.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn add_participant(vm: *mut Vm, participant: Participant) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        if (*vm).working.load(Ordering::Relaxed) {
            return Err(Error::Busy);
        }
        let participants = &mut (*vm).host.participants;
        participants.try_reserve(1).map_err(no_room("participant"))?;
        participants.push(participant);
        Ok(())
    }
}

/// A participant takes no more part; its tokens are discarded, oldest first.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn remove_participant(vm: *mut Vm, gone: Participant) -> Result<()> {
    // SAFETY: the contract above; the references end before the host's function runs.
    unsafe {
        if (*vm).working.load(Ordering::Relaxed) {
            return Err(Error::Busy);
        }
        let host = &mut (*vm).host;
        let at = host.participants.iter().position(|participant| participant.is(&gone));
        let at = at.ok_or(HostError::NoSuchParticipant)?;
        let participant = host.participants.remove(at);
        (*vm).working.store(true, Ordering::Relaxed);
        let snapshots = (*vm).host.tokens.len();
        for place in 0..snapshots {
            let tokens = &mut (&mut (*vm).host.tokens)[place].tokens;
            let found = tokens.iter().position(|token| token.participant.is(&participant));
            if let Some(found) = found {
                let token = tokens.remove(found);
                discard(&[token]);
            }
        }
        (*vm).working.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// A serial for the next reference.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn next_serial(vm: *mut Vm) -> u32 {
    // SAFETY: the contract above.
    unsafe { (*vm).host.next_serial() }
}
