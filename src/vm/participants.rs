//! Participants: host state outside the arena that is captured, restored and discarded with the
//! snapshots.
//!
//! # Invariants
//! - P1 *paired*: each token that a participant gave is discarded exactly once.
//!
//! # Not here
//! When each happens ([`super::timeline`]).

use super::guard::Mark;
use super::{Vm, no_room, push};
use crate::error::{Busy, Error, Flaw, HostError, Result};
use crate::units::Frame;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::atomic::Ordering;

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

/// The tokens of one capture, in the participants' order.
#[derive(Default)]
pub struct Given(Vec<Token>);

/// The tokens of one snapshot.
struct Tokens {
    /// The snapshot's number: see `Resources::held`.
    snapshot: u64,
    tokens: Vec<Token>,
}

/// The participants of one VM.
#[derive(Default)]
pub struct Participants {
    list: Vec<Participant>,
    /// Tokens of the held snapshots that participants took part in, oldest first.
    tokens: VecDeque<Tokens>,
    /// Tokens of dropped snapshots, until they are discarded. Has room for all of `tokens`.
    dropped: VecDeque<Tokens>,
}

impl Participants {
    /// Whether nobody takes part.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Makes room for the tokens of one more snapshot, and for dropping all.
    fn reserve(&mut self) -> Result<()> {
        if !self.list.is_empty() {
            self.tokens.try_reserve(1).map_err(no_room("snapshot"))?;
            self.dropped.try_reserve(self.tokens.len() + 1).map_err(no_room("snapshot"))?;
        }
        Ok(())
    }

    /// Keeps what was captured for the snapshot of that number; what it had before is dropped.
    pub fn keep(&mut self, snapshot: u64, given: Given) {
        self.drop_above(snapshot - 1);
        if !given.0.is_empty() {
            self.tokens.push_back(Tokens { snapshot, tokens: given.0 });
        }
    }

    /// The snapshots above that number are gone.
    pub fn drop_above(&mut self, newest: u64) {
        let kept = self.tokens.partition_point(|tokens| tokens.snapshot <= newest);
        self.dropped.extend(self.tokens.drain(kept..));
    }

    /// The snapshots below that number are gone.
    pub fn drop_below(&mut self, oldest: u64) {
        let gone = self.tokens.partition_point(|tokens| tokens.snapshot < oldest);
        self.dropped.extend(self.tokens.drain(..gone));
    }

    /// The tokens of the newest snapshot, whose number is `newest`.
    fn of(&self, newest: u64) -> &[Token] {
        match self.tokens.back() {
            Some(last) if last.snapshot == newest => &last.tokens,
            _ => &[],
        }
    }

    /// Verifies that tokens belong to held snapshots.
    pub fn check(&self, held: Range<u64>) -> std::result::Result<(), Flaw> {
        if self.tokens.iter().any(|tokens| !held.contains(&tokens.snapshot)) {
            let what = format_args!("P1: a snapshot has tokens, but is not in {held:?}");
            return Err(Flaw::damaged(what));
        }
        Ok(())
    }
}

/// Asks each participant for its token. After an error every token is discarded again.
///
/// # Safety
/// As for [`super::timeline::capture`]. So for all functions here.
pub unsafe fn capture(vm: *mut Vm, frame: Frame) -> Result<Given> {
    let mut given = Given::default();
    // SAFETY: the contract above; the host's functions are as it declared them.
    unsafe {
        (*vm).participants.reserve()?;
        let count = (*vm).participants.list.len();
        given.0.try_reserve_exact(count).map_err(no_room("token"))?;
        for place in 0..count {
            let participant = (&(*vm).participants.list)[place];
            let mut token = ptr::null_mut();
            let answer = (participant.capture)(participant.ud, frame.0, &mut token);
            if answer != 0 {
                discard(&given);
                return Err(HostError::Participant { place: place + 1, answer }.into());
            }
            given.0.push(Token { participant, token });
        }
    }
    Ok(given)
}

/// Hands tokens back to their participants, in order.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn discard(given: &Given) {
    for Token { participant, token } in &given.0 {
        if let Some(discard) = participant.discard {
            // SAFETY: the host's function, with what it gave.
            unsafe { discard(participant.ud, *token) }
        }
    }
}

/// Tells each participant of the newest snapshot, whose number is `target`, to go back to it.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn restore(vm: *mut Vm, target: u64) {
    // SAFETY: the contract above; the reference ends before the host's function runs.
    unsafe {
        let count = (*vm).participants.of(target).len();
        for place in 0..count {
            let Some(&token) = (*vm).participants.of(target).get(place) else { break };
            (token.participant.restore)(token.participant.ud, token.token);
        }
    }
}

/// Discards the tokens of dropped snapshots, oldest first.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn settle(vm: *mut Vm) {
    // SAFETY: the contract above; the reference ends before the host's function runs.
    unsafe {
        while let Some(dropped) = (*vm).participants.dropped.pop_front() {
            discard(&Given(dropped.tokens));
        }
    }
}

/// A participant takes part from the next capture on.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn add(vm: *mut Vm, participant: Participant) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_not_working(vm)?;
        push(&mut (*vm).participants.list, participant, no_room("participant"))
    }
}

/// A participant takes no more part; its tokens are discarded, oldest first.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn remove(vm: *mut Vm, gone: Participant) -> Result<()> {
    // SAFETY: the contract above; the references end before the host's function runs.
    unsafe {
        let _working = Mark::begin(vm)?;
        let list = &mut (*vm).participants.list;
        let at = list.iter().position(|participant| participant.is(&gone));
        let participant = list.remove(at.ok_or(HostError::NoSuchParticipant)?);
        let snapshots = (*vm).participants.tokens.len();
        for place in 0..snapshots {
            let tokens = &mut (&mut (*vm).participants.tokens)[place].tokens;
            let found = tokens.iter().position(|token| token.participant.is(&participant));
            if let Some(Token { participant, token }) = found.map(|found| tokens.remove(found))
                && let Some(discard) = participant.discard
            {
                discard(participant.ud, token);
            }
        }
        Ok(())
    }
}

unsafe fn see_not_working(vm: *mut Vm) -> Result<()> {
    // SAFETY: live (the callers); an atomic.
    match unsafe { (*vm).working.load(Ordering::Relaxed) } {
        true => Err(Error::Busy(Busy::Working)),
        false => Ok(()),
    }
}
