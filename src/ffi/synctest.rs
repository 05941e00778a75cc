//! Sync test: each frame is rolled back and run again, and has to come to the same state.
//!
//! All of it goes through the public functions, and the VM is in no call while the host's function
//! runs.

use crate::error::{Error, HostError, Status, Text};
use crate::ffi::diff::compare;
use crate::ffi::images::{clone_unrun, rlua_Checksum, rlua_checksum};
use crate::ffi::sized::{self, Sized};
use crate::ffi::snapshots::{rlua_newest_frame, rlua_rollback, rlua_snap};
use crate::lua::lua_State;
use crate::vm::diff::close_unrun;
use crate::vm::guard;
use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::{mem, ptr};

/// Bytes of the path in an rlua_SyncReport, the zero at its end included.
pub const RLUA_SYNC_PATH: usize = 512;
/// Bytes of a value in an rlua_SyncReport, the zero at its end included.
pub const RLUA_SYNC_VALUE: usize = 256;

/// Runs one frame: sets its inputs and calls the script. The same `frame` has to have the same
/// inputs each time.
///
/// @param frame  From 0 on.
/// @param again  1 when the frame was run before, and is run again after a rollback.
/// @return       RLUA_OK, or a status that ends the test.
pub type rlua_FrameFn = Option<
    unsafe extern "C" fn(L: *mut lua_State, ud: *mut c_void, frame: c_uint, again: c_int) -> c_int,
>;

/// What a sync test found. Set `size` before the call; the call fills the rest.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_SyncReport {
    /// sizeof(rlua_SyncReport).
    pub size: usize,
    /// Frames that were run for the first time.
    pub frames: c_uint,
    /// Runs again, of all frames together.
    pub reruns: c_uint,
    /// 1 where a state differs.
    pub differs: c_int,
    /// The first frame after which it does.
    pub frame: c_uint,
    /// 1 when the state before `frame` was another one at once after the rollback: something runs
    /// in the VM when it is rolled back, as a participant does.
    pub rolled_back: c_int,
    /// The rlua_DiffKind of the first difference. 0 when there is none that a script could see
    /// (then the collector, the allocator or the count of instructions differs), or none could be
    /// looked for, since the state cannot be cloned (see rlua_clone).
    pub kind: c_int,
    /// Of the state after the first run.
    pub first: rlua_Checksum,
    /// Of the state after the run that differs.
    pub second: rlua_Checksum,
    /// Where the first difference is, as rlua_Difference has it; empty where `kind` is 0.
    pub path: [c_char; RLUA_SYNC_PATH],
    /// What the first run left there.
    pub a: [c_char; RLUA_SYNC_VALUE],
    /// What the other run left there.
    pub b: [c_char; RLUA_SYNC_VALUE],
}

// SAFETY: repr(C); integers and bytes.
unsafe impl Sized for rlua_SyncReport {}

/// Copies a text and its zero; what does not fit is left out, in whole characters.
fn copy_text(to: &mut [c_char], text: &CStr) {
    let bytes = text.to_bytes();
    let mut length = bytes.len().min(to.len() - 1);
    while length < bytes.len() && bytes[length] & 0xC0 == 0x80 {
        length -= 1;
    }
    for (place, &byte) in to.iter_mut().zip(&bytes[..length]) {
        *place = byte as c_char;
    }
    to[length] = 0;
}

/// The state before a frame, or after the one before it, as the first run left it.
struct Before {
    checksum: rlua_Checksum,
    /// A clone to compare with, or NULL.
    clone: *mut lua_State,
}

impl Drop for Before {
    fn drop(&mut self) {
        // SAFETY: a clone of our own, or NULL, which is no VM.
        unsafe { close_unrun(self.clone) }
    }
}

/// Why a test ends: a status whose sentence was noted.
type Outcome<T = ()> = Result<T, c_int>;

fn ok(status: c_int) -> Outcome {
    if status == Status::Ok as c_int { Ok(()) } else { Err(status) }
}

struct Test {
    main: *mut lua_State,
    frame: unsafe extern "C" fn(*mut lua_State, *mut c_void, c_uint, c_int) -> c_int,
    ud: *mut c_void,
    distance: usize,
    /// The states of the frames that can be rolled back, the oldest first.
    states: VecDeque<Before>,
    clones: bool,
    report: rlua_SyncReport,
}

/// # Safety
/// Of all methods: the contract of [`rlua_synctest`].
impl Test {
    unsafe fn checksum(&self) -> Outcome<rlua_Checksum> {
        let mut sum = rlua_Checksum { bytes: [0; 16] };
        // SAFETY: the contract above.
        ok(unsafe { rlua_checksum(self.main, &mut sum) })?;
        Ok(sum)
    }

    /// Captures the state that the first run came to.
    unsafe fn keep(&mut self) -> Outcome {
        // SAFETY: the contract above.
        unsafe {
            ok(rlua_snap(self.main))?;
            if self.states.try_reserve(1).is_err() {
                let error = HostError::NoRoom { what: "state to compare with" };
                return Err(guard::look(self.main, |_| Err(error.into())));
            }
            let mut before = Before { checksum: self.checksum()?, clone: ptr::null_mut() };
            if self.clones {
                before.clone = clone_unrun(self.main);
                self.clones = !before.clone.is_null();
            }
            if self.states.len() > self.distance {
                self.states.pop_front();
            }
            self.states.push_back(before);
        }
        Ok(())
    }

    /// Compares the state with the one that the first run left before `frame`.
    unsafe fn compare(&mut self, place: usize, frame: c_uint, rolled_back: bool) -> Outcome {
        // SAFETY: the contract above.
        let sum = unsafe { self.checksum()? };
        let first = &self.states[place];
        if sum.bytes == first.checksum.bytes {
            return Ok(());
        }
        let report = &mut self.report;
        report.differs = 1;
        report.frame = frame;
        report.rolled_back = rolled_back.into();
        (report.first, report.second) = (first.checksum, sum);
        let mut what = Text::from(if first.clone.is_null() {
            "checksums differ, and the state cannot be cloned to find out where"
        } else {
            "only in the collector, the allocator or the count of instructions"
        });
        if !first.clone.is_null() {
            // SAFETY: the contract above, and a clone of our own.
            let found = unsafe { compare(first.clone, self.main, 1)? };
            if let Some(one) = found.iter().next() {
                report.kind = one.kind;
                copy_text(&mut report.path, one.path);
                copy_text(&mut report.a, one.a);
                copy_text(&mut report.b, one.b);
                let [path, a, b] = [one.path, one.a, one.b].map(CStr::to_string_lossy);
                what = format_args!("{path}: {a} -> {b}").into();
            }
        }
        let rolled_back = report.rolled_back != 0;
        let error = HostError::Desync { frame, rolled_back, what };
        // SAFETY: the contract above.
        Err(unsafe { guard::look(self.main, |_| Err(error.into())) })
    }

    /// The label of the newest snapshot, which the host's function has to leave as it is.
    unsafe fn newest(&self) -> Outcome<i64> {
        let mut label = 0;
        // SAFETY: the contract above.
        ok(unsafe { rlua_newest_frame(self.main, &mut label) })?;
        Ok(label)
    }

    unsafe fn run(&mut self, frame: c_uint, again: c_int) -> Outcome {
        // SAFETY: the contract above, and the host's function.
        let (before, after) = unsafe {
            let before = self.newest()?;
            ok((self.frame)(self.main, self.ud, frame, again))?;
            (before, self.newest()?)
        };
        if before == after {
            return Ok(());
        }
        let why = "a frame took snapshots or rolled back, which the test does";
        let error = Error::BadArg { function: "rlua_synctest", why };
        // SAFETY: the contract above.
        Err(unsafe { guard::look(self.main, |_| Err(error)) })
    }

    /// Rolls back as far as it goes, and runs all again.
    unsafe fn run_again(&mut self, newest: c_uint) -> Outcome {
        let back = self.states.len() - 1;
        let oldest = newest - back as c_uint;
        // SAFETY: the contract above.
        unsafe {
            ok(rlua_rollback(self.main, back + 1))?;
            self.compare(0, oldest, true)?;
            for place in 0..back {
                let frame = oldest + place as c_uint;
                self.run(frame, 1)?;
                self.report.reruns += 1;
                self.compare(place + 1, frame, false)?;
                ok(rlua_snap(self.main))?;
            }
        }
        Ok(())
    }

    unsafe fn all(&mut self, frames: c_uint) -> Outcome {
        // SAFETY: the contract above.
        unsafe {
            self.keep()?;
            for frame in 0..frames {
                self.run(frame, 0)?;
                self.report.frames += 1;
                self.keep()?;
                self.run_again(frame + 1)?;
            }
        }
        Ok(())
    }
}

/// Runs frames, and after each one rolls back `check_distance` frames and runs them again, as
/// GGPO's sync test and GGRS's SyncTestSession do. A frame that comes to another state than in its
/// first run ends the test: it depends on something that does not roll back. The report tells the
/// frame and, by rlua_diff_vms, the first value that differs.
///
/// The VM's snapshots are used, by rlua_snap: labels go on from the newest one, and older snapshots
/// go as the history is full. Afterwards the VM is where the frames have led to; after a difference
/// it is in the state of the run that differs; after an error as the frame's function left it.
///
/// Cost: for each frame `check_distance` + 1 runs, captures and checksums, and a clone, for which
/// no object outside is made; `check_distance` + 1 clones are kept at a time.
///
/// @param L               A thread of an idle VM that keeps more than `check_distance` snapshots;
///                        `frame` gets the main one.
/// @param frame           Called for each run of a frame; any call on the VM may be made there, but
///                        rollbacks and captures.
/// @param ud              The function's.
/// @param check_distance  Frames that are run again each time, 1 or more: as many as the game's
///                        prediction window.
/// @param frames          Frames to run.
/// @param report          The caller's, or NULL.
/// @return                RLUA_OK, or DESYNC with a sentence that says what differs, or NULL_ARG,
///                        NOT_ROLLBACK, BUSY, POISONED, BAD_ARG (too few snapshots, or `frame`
///                        took or dropped some), BAD_CONFIG (`report->size`), NO_MEMORY, or what
///                        `frame` returned.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call; `report` is
/// NULL or points to an rlua_SyncReport.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_synctest(
    L: *mut lua_State,
    frame: rlua_FrameFn,
    ud: *mut c_void,
    check_distance: c_uint,
    frames: c_uint,
    report: *mut rlua_SyncReport,
) -> c_int {
    // SAFETY: zero is a valid report.
    let empty: rlua_SyncReport = unsafe { mem::zeroed() };
    let (distance, mut main) = (check_distance as usize, L);
    // SAFETY: by the contract above.
    let begun = unsafe {
        guard::look(L, |vm| {
            if frame.is_none() {
                return Err(Error::NullArg { name: "frame" });
            }
            if distance == 0 {
                let why = "check_distance = 0 compares nothing";
                return Err(Error::BadArg { function: "rlua_synctest", why });
            }
            let max = vm.history().max_snapshots();
            if max <= distance {
                return Err(HostError::TooFewSnapshots { wanted: distance + 1, max }.into());
            }
            main = vm.main();
            if report.is_null() { Ok(()) } else { sized::write("report", report, empty) }
        })
    };
    let Some(frame) = frame.filter(|_| begun == Status::Ok as c_int) else { return begun };
    let states = VecDeque::new();
    let mut test = Test { main, frame, ud, distance, states, clones: true, report: empty };
    // SAFETY: by the contract above.
    let outcome = unsafe { test.all(frames) };
    if !report.is_null() {
        // SAFETY: as above; its size has been seen.
        let _ = unsafe { sized::write("report", report, test.report) };
    }
    outcome.err().unwrap_or(Status::Ok as c_int)
}
