//! Timeline: a VM's captures, restores and drops, and its end, in the order that the host's own
//! code sees:
//!
//! ```text
//!  capture:  participants capture, in order -> lines are copied -> [settle]
//!  restore:  guarded userdata that the snapshot lacks are finalized -> lines are put back, guarded
//!            blocks kept -> participants restore, in order -> [settle]
//!  discard:  snapshots go -> [settle]
//!  close:    kept userdata are finalized -> finalizers -> [settle] of everything
//!  settle:   tokens of dropped snapshots are discarded, oldest first, then guarded userdata are
//!            finalized, newest first, then resources are released
//! ```
//!
//! Each sees to V1 first and changes nothing after an error. Callbacks run with the VM marked as
//! working: what needs V1 answers BUSY, protected calls work.
//!
//! # Not here
//! Who may enter, and the call of settle ([`super::guard`]); which lines are copied
//! (`crate::snapshot`).

use super::canonical::Canonical;
use super::checksum::Digests;
use super::config::see_max_snapshots;
use super::follower::Follower;
use super::front::Front;
use super::guard::{Mark, see_idle};
use super::{Vm, guarded, live, participants, resources};
use crate::error::{Error, Result};
use crate::lua;
use crate::resource::Resources;
use crate::snapshot::Captured;
use crate::units::{Frame, LINE_BYTES};
use std::iter;
use std::sync::atomic::Ordering;

/// Captures under `frame`, or under the label after the newest one. The newest label again replaces
/// that snapshot.
///
/// V1: a VM that was not written to is what it was when it was last captured or restored: idle, and
/// equal to the newest snapshot. So its region is not looked at: a first look at a page that is
/// neither in the cache nor in the TLB costs as much as all the rest.
///
/// # Safety
/// `vm` is live and held, and no reference to it is (V3). So for all functions here.
pub unsafe fn capture(vm: *mut Vm, frame: Option<Frame>) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        // Participants may run Lua before the copy: then it is asked after them.
        let alone = (*vm).participants.is_empty();
        let mut untouched = alone && (*vm).is_untouched();
        if !(untouched || alone && (*vm).is_left_alone()) {
            see_idle(vm)?;
        }
        let frame = (*vm).history.label(frame)?;
        let tokens = participants::capture(vm, frame)?;
        if !alone {
            untouched = (*vm).is_untouched();
        }
        match (*vm).capture_arena(frame, untouched) {
            Ok(captured) => (*vm).note_capture(captured, tokens),
            Err(error) => {
                participants::discard(&tokens);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Puts back the n-th newest snapshot; newer ones are dropped.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn restore(vm: *mut Vm, n: usize) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        // From the first finalizer on, nothing can fail.
        (*vm).history.prepare_restore(n)?;
        guarded::before_restore(vm, n)?;
        (*vm).restore_arena(n)?;
        let target = (*vm).note_restore(n);
        guarded::after_restore(vm);
        participants::restore(vm, target);
        Ok(())
    }
}

/// Puts back the snapshot with that label; newer ones are dropped.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn restore_to(vm: *mut Vm, frame: Frame) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        let history = &(*vm).history;
        let n = history.steps_to(frame).ok_or_else(|| {
            let range = history.frames().map(|(oldest, newest)| (oldest.0, newest.0));
            Error::NoSuchFrame { wanted: frame.0, range }
        })?;
        restore(vm, n)
    }
}

/// Drops what is older than a confirmed frame.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn discard_before(vm: *mut Vm, frame: Frame) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        (*vm).history.discard_before(frame);
        (*vm).note_discards();
    }
    Ok(())
}

/// Changes how many snapshots are kept; the oldest go.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn set_max_snapshots(vm: *mut Vm, max_snapshots: usize) -> Result<()> {
    see_max_snapshots(max_snapshots)?;
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        if max_snapshots > 0 && (*vm).history.max_snapshots() == 0 {
            guarded::turn_on(vm)?;
        }
        (*vm).history.set_max_snapshots(max_snapshots);
        if max_snapshots == 0 {
            guarded::turn_off(vm);
        }
        (*vm).note_discards();
    }
    Ok(())
}

impl Vm {
    /// Captures the arena.
    fn capture_arena(&mut self, frame: Frame, untouched: bool) -> Result<Captured> {
        self.suspect(untouched);
        let Vm { arena, tracker, history, .. } = self;
        // SAFETY: Idle (V1): nothing writes to the region.
        let done = unsafe { history.capture(|| live(arena), untouched, tracker.get(), frame) };
        if !untouched && self.base.is_some() && self.history.noted().is_none() {
            self.base = None;
        }
        let Vm { history, follower, front, .. } = self;
        for follower in followers(follower, front).filter(|_| !untouched) {
            match done {
                Ok(Captured::Added) if history.count() > 1 => {
                    history.each_added(|page, lines| follower.changed(page, lines));
                }
                // Against what it was, nothing is known of it.
                _ => follower.forget(),
            }
        }
        done.map_err(|error| self.poison_where_damaged(error))
    }

    /// An audit that finds a write which nobody announced: snapshots may lack others, too.
    fn poison_where_damaged(&mut self, error: Error) -> Error {
        if matches!(error, Error::Corrupt { .. }) {
            self.poisoned.store(true, Ordering::Relaxed);
        }
        error
    }

    /// Marks what is suspect (C3). Where no thread was entered, that is what hosts write to.
    ///
    /// Answers whether all that was written is marked, but for pages that are noted.
    pub(super) fn suspect(&mut self, untouched: bool) -> bool {
        if untouched {
            return false;
        }
        let pages = live(&self.arena).used_pages;
        let Some(opaque) = self.tracker.get().ask(pages) else { return false };
        // The extra space of the main thread, which is no block of its own.
        let extra = self.main.addr() - self.arena.base().addr() - size_of::<usize>();
        self.arena.suspect_opaque(opaque);
        opaque.lines.add(extra / LINE_BYTES, extra / LINE_BYTES);
        // SAFETY: Idle (V1); the main thread is in the region.
        unsafe {
            if self.arena.cards().is_entered() {
                self.arena.suspect_header();
                lua::rlua_c_suspect(self.main);
            } else {
                self.arena.cards().mark(extra);
            }
        }
        true
    }

    /// Whether nobody entered the VM since it was last captured or restored: then it is idle (V1).
    fn is_left_alone(&mut self) -> bool {
        self.history.count() > 0 && self.tracker.get().is_left_alone()
    }

    /// Whether the VM is what the newest snapshot holds, where a look at few lines can tell: nobody
    /// entered it, and what a host may write to at any time is as it was.
    fn is_untouched(&mut self) -> bool {
        let Vm { arena, tracker, history, .. } = self;
        // SAFETY: whoever writes to opaque memory does so in the thread that captures.
        let same = |lines| unsafe { history.newest_has(arena.base(), lines) };
        tracker.get().suspects_alone().is_some_and(same)
    }

    /// Puts the arena back to the n-th newest snapshot.
    fn restore_arena(&mut self, n: usize) -> Result<()> {
        self.suspect(false);
        let Vm { main, arena, tracker, history, guards, guarded, .. } = self;
        // SAFETY: Idle (V1), and the commit never falls (R2).
        let done = unsafe {
            history.restore(live(arena), tracker.get(), n, &mut |written| {
                if *guards {
                    guarded.save(*main, n, written);
                }
            })
        };
        let Vm { history, follower, front, .. } = self;
        for follower in followers(follower, front) {
            history.restored_pages().for_each(|page| follower.changed(page, u64::MAX));
        }
        done.map_err(|error| self.poison_where_damaged(error))
    }

    /// Tells a follower what differs from the newest snapshot. Without one, what was written since
    /// it was last told, which it alone asks for then.
    pub(super) fn note_written(&mut self, follower: &mut Follower) {
        if self.is_untouched() {
            return;
        }
        let by_cards = self.suspect(false);
        let cards = self.arena.cards();
        let Vm { arena, history, tracker, .. } = self;
        let (live, noted) = (live(arena), tracker.get().noted_pages());
        let lines_of = |page| match by_cards && !noted.is_some_and(|set| set.contains(page)) {
            // SAFETY: a used page.
            true => unsafe { cards.lines(page) },
            false => u64::MAX,
        };
        if history.count() > 0 {
            let note = |page, lines| follower.differs(page, lines);
            // SAFETY: Idle (V1).
            return unsafe { history.each_difference(live, lines_of, note) };
        }
        (0..live.used_pages).for_each(|page| follower.changed(page, lines_of(page)));
        // SAFETY: used pages (C4).
        unsafe { cards.clear(0..live.used_pages) }
    }

    /// The sum of the digests of an idle VM's units.
    pub(super) fn follow(&mut self, canonical: &mut Canonical) -> Result<u128> {
        if self.history.count() == 0 {
            self.follower.forget();
            // SAFETY: Idle (V1).
            return unsafe { Digests::of(canonical) }.map(|digests| digests.total());
        }
        let mut follower = std::mem::take(&mut self.follower);
        self.note_written(&mut follower);
        // SAFETY: Idle (V1).
        let sum = unsafe { follower.follow(canonical, None, |_, _, _| {})? };
        self.follower = follower;
        Ok(sum)
    }

    /// What the snapshots have outside: resources, and guarded userdata where there ever were any.
    pub(super) fn tables(&mut self) -> impl Iterator<Item = &mut Resources> {
        let guarded = self.guards.then_some(&mut self.guarded.table);
        iter::once(&mut self.outside.table).chain(guarded)
    }

    /// Tells what follows the snapshots what the history did.
    fn note_capture(&mut self, captured: Captured, tokens: participants::Given) {
        match captured {
            Captured::Replaced => self.tables().for_each(Resources::replaced),
            Captured::Added => {
                // First, since what the discards release is in the new snapshot, too (H4).
                self.tables().for_each(Resources::captured);
                self.note_discards();
            }
        }
        let number = self.outside.table.held().end - 1;
        self.participants.keep(number, tokens);
    }

    /// Tells what follows the snapshots which of them are newest now; answers its number.
    fn note_restore(&mut self, n: usize) -> u64 {
        self.tables().for_each(|table| table.restored(n));
        let target = self.outside.table.held().end - 1;
        self.participants.drop_above(target);
        target
    }

    /// Tells what follows the snapshots which of the oldest are gone.
    fn note_discards(&mut self) {
        let noted = self.outside.table.held();
        let oldest = noted.end - self.history.count() as u64;
        if oldest > noted.start {
            let count = (oldest - noted.start) as usize;
            self.tables().for_each(|table| table.discarded(count));
            self.participants.drop_below(oldest);
        }
    }
}

/// Those that follow the state.
fn followers<'a>(
    follower: &'a mut Follower,
    front: &'a mut Option<Front>,
) -> impl Iterator<Item = &'a mut Follower> {
    let of_front = front.as_mut().map(|front| &mut front.kept.follower);
    iter::once(follower).chain(of_front).filter(|follower| follower.follows())
}

/// Walks everything and verifies the invariants.
///
/// # Safety
/// As for [`capture`].
pub unsafe fn check(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        (*vm).check()
    }
}

/// Discards the tokens of dropped snapshots, oldest first, then releases what nobody can reach.
///
/// # Safety
/// As for [`capture`]; the VM is marked as working.
pub unsafe fn settle(vm: *mut Vm) {
    // SAFETY: the contract above.
    unsafe {
        participants::settle(vm);
        guarded::settle(vm);
        resources::settle(vm);
    }
}

/// Runs finalizers and closes variables, as lua_close does first.
///
/// # Safety
/// As for [`capture`]; the VM is marked as working, and closed next.
pub unsafe fn finalize(vm: *mut Vm) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        begin_close(vm);
        lua::rlua_c_finalize((*vm).main);
        Ok(())
    }
}

/// From here on no snapshot matters: guarded userdata that were kept for one are finalized.
///
/// # Safety
/// As for [`capture`], but Lua may be running: os.exit. The VM is closed next.
pub unsafe fn begin_close(vm: *mut Vm) {
    // SAFETY: the contract above.
    unsafe {
        (*vm).outside.table.begin_close();
        guarded::begin_close(vm);
    }
}

/// Discards every token and releases every resource: the VM goes next. A poisoned VM too.
///
/// # Safety
/// As for [`capture`]; finalizers have run.
pub unsafe fn close(vm: *mut Vm) {
    // SAFETY: the contract above.
    unsafe {
        let _working = Mark::working(vm);
        (*vm).outside.table.begin_close();
        (*vm).participants.drop_below(u64::MAX);
        loop {
            (*vm).outside.table.close();
            settle(vm);
            // A release function may have made more.
            if (*vm).outside.table.count() == 0 {
                break;
            }
        }
    }
}
