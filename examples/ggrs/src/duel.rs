//! A game behind GGRS: how each of its requests is answered.
//!
//! The VM keeps the states; a cell of GGRS keeps the label of one, and the checksum that goes with
//! it. Frame f is simulated from the state labelled f.
//!
//! Not here: sessions (synctest.rs, peers.rs), the game (examples/rollback/duel.lua).

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};

use ggrs::{Frame, GgrsRequest, PredictRepeatLast};

use crate::vm::{Key, State, Vm, integer_argument};

const SCRIPT: &str = include_str!("../../rollback/duel.lua");
const MEMORY_BYTES: usize = 4 << 20;
/// In a game the peers agree on it when they meet.
const KEY: Key = *b"what the peers agreed on........";
pub const PLAYERS: usize = 2;
const FRAMES_PER_SECOND: i64 = 60;
/// Frames between two checksums of the whole VM, which cost as much as its size.
const WHOLE_INTERVAL: Frame = 50;

/// What is in a cell: a handle to a state of the VM, not the state.
#[derive(Clone, Copy)]
pub struct Saved {
    label: i64,
    checksum: u64,
}

pub struct Config;

impl ggrs::Config for Config {
    type Input = u8;
    type InputPredictor = PredictRepeatLast;
    type State = Saved;
    type Address = std::net::SocketAddr;
}

/// Sounds that are asked for are noted under their frame, which forgets what an earlier run of it
/// asked for, and played when the frame is confirmed. None of this is in the VM: it must not go
/// back. (docs/SIDE-EFFECTS.md has other ways.)
#[derive(Default)]
struct Sounds {
    frame: Frame,
    noted: BTreeMap<Frame, Vec<i64>>,
    played: Vec<(Frame, i64)>,
}

/// sound(id)
unsafe extern "C" fn sound(state: State, ud: *mut c_void) -> c_int {
    // SAFETY: `ud` is the box of `Duel::sounds`, which outlives the VM, and nothing else uses it
    // while the script runs.
    let sounds = unsafe { &mut *ud.cast::<Sounds>() };
    // SAFETY: the thread that calls.
    let id = unsafe { integer_argument(state, 1) };
    sounds.noted.entry(sounds.frame).or_default().push(id);
    0
}

pub struct Duel {
    pub vm: Vm,
    sounds: *mut Sounds,
    /// The frame that is simulated next.
    frame: Frame,
    /// Of the state before `frame`: what the last frame returned.
    checksum: u64,
    /// Of the state before each frame, and the frame's inputs, as the last run had them. What is
    /// confirmed does not change any more.
    pub checksums: Vec<u64>,
    pub inputs: Vec<[u8; PLAYERS]>,
    /// Of the whole VM, before every 50th frame.
    pub whole: BTreeMap<Frame, u128>,
    pub loads: usize,
    pub simulated: usize,
}

impl Duel {
    /// `max_snapshots`: 1 more than frames are predicted, because the present is saved too.
    pub fn open(max_snapshots: usize) -> Self {
        let vm = Vm::open(MEMORY_BYTES, max_snapshots, Some(&KEY));
        let sounds = Box::into_raw(Box::<Sounds>::default());
        // SAFETY: freed when the VM is closed.
        unsafe { vm.set_function(c"sound", sound, sounds.cast()) };
        vm.run(SCRIPT);
        Self::with(vm, sounds, 0)
    }

    /// The match of somebody else, as it was before `frame`.
    pub fn join(image: &[u8], frame: Frame) -> Self {
        let sounds = Box::into_raw(Box::<Sounds>::default());
        // SAFETY: as in `open`.
        let vm = unsafe { Vm::load(image, 0, &KEY, (c"sound", sound, sounds.cast())) };
        Self::with(vm, sounds, frame)
    }

    fn with(vm: Vm, sounds: *mut Sounds, frame: Frame) -> Self {
        Self {
            vm,
            sounds,
            frame,
            checksum: 0,
            checksums: Vec::new(),
            inputs: Vec::new(),
            whole: BTreeMap::new(),
            loads: 0,
            simulated: 0,
        }
    }

    /// The whole match as it was before `frame`, whose inputs are confirmed: back, and forth again
    /// to the present, so that GGRS does not notice.
    pub fn image(&mut self, frame: Frame) -> Vec<u8> {
        let present = self.frame;
        let checksum = self.checksum;
        if frame < present {
            self.vm.roll_back(frame.into());
        }
        let image = self.vm.save();
        for again in frame..present {
            self.frame = again;
            self.checksum = self.checksums[again as usize];
            self.vm.snap(again.into());
            self.advance(self.inputs[again as usize]);
        }
        assert_eq!(self.checksum, checksum);
        image
    }

    pub fn fulfil(&mut self, requests: Vec<GgrsRequest<Config>>) {
        for request in requests {
            match request {
                GgrsRequest::SaveGameState { cell, frame } => {
                    assert_eq!(frame, self.frame);
                    self.vm.snap(frame.into());
                    let saved = Saved { label: frame.into(), checksum: self.checksum };
                    cell.save(frame, Some(saved), Some(self.checksum.into()));
                }
                GgrsRequest::LoadGameState { cell, frame } => {
                    let saved = cell.load().expect("a cell that was saved");
                    self.vm.roll_back(saved.label);
                    self.frame = frame;
                    self.checksum = saved.checksum;
                    self.loads += 1;
                }
                GgrsRequest::AdvanceFrame { inputs } => self.advance([inputs[0].0, inputs[1].0]),
            }
        }
    }

    /// The checksum is made by the frame itself, not at each save: a call between frames would
    /// leave garbage in the state, and peers do not save equally often.
    pub fn advance(&mut self, inputs: [u8; PLAYERS]) {
        let index = self.frame as usize;
        let frames = self.inputs.len().max(index + 1);
        self.checksums.resize(frames, 0);
        self.checksums[index] = self.checksum;
        self.inputs.resize(frames, [0; PLAYERS]);
        self.inputs[index] = inputs;

        if self.frame % WHOLE_INTERVAL == 0 {
            self.whole.insert(self.frame, self.vm.checksum());
        }

        let frame = i64::from(self.frame);
        let nanoseconds = frame % FRAMES_PER_SECOND * 1_000_000_000 / FRAMES_PER_SECOND;
        self.vm.set_time(frame / FRAMES_PER_SECOND, nanoseconds as u32);
        // SAFETY: no script runs.
        let sounds = unsafe { &mut *self.sounds };
        sounds.frame = self.frame;
        sounds.noted.remove(&self.frame);
        let result = self.vm.call(c"advance", &[inputs[0].into(), inputs[1].into()]);
        self.checksum = result as u64;
        self.frame += 1;
        self.simulated += 1;
    }

    /// All inputs up to `frame` are known, and every request that came of them is fulfilled.
    pub fn confirm(&mut self, frame: Frame) {
        self.vm.discard_before(i64::from(frame) + 1);
        // SAFETY: no script runs.
        let sounds = unsafe { &mut *self.sounds };
        while let Some(entry) = sounds.noted.first_entry().filter(|entry| *entry.key() <= frame) {
            let (frame, ids) = entry.remove_entry();
            sounds.played.extend(ids.into_iter().map(|id| (frame, id)));
        }
    }

    /// What was heard up to `frame`.
    pub fn heard(&self, frame: Frame) -> Vec<(Frame, i64)> {
        // SAFETY: no script runs.
        let sounds = unsafe { &*self.sounds };
        sounds.played.iter().copied().filter(|(at, _)| *at <= frame).collect()
    }
}

impl Drop for Duel {
    fn drop(&mut self) {
        // The VM is closed later, and runs no script: the game has no finalizers.
        // SAFETY: from Box::into_raw, and nothing refers to it any more.
        unsafe { drop(Box::from_raw(self.sounds)) }
    }
}

/// What a player holds in a frame: something else every few frames, now and then the same.
pub fn input(player: usize, frame: usize) -> u8 {
    let period = 5 + 4 * player;
    let mut word = (frame / period * 2 + player) as u64;
    word = (word ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (word >> 57) as u8 & 31
}
