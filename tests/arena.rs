//! The arena against a model: random requests, the invariants checked after every step.
//!
//! The model knows each block's place, size and a byte pattern. So an overlap, a lost byte, a
//! wrong alignment or a broken invariant (A1, A2) is seen at the step that made it. proptest
//! prints the seed and the shrunk program.

use proptest::prelude::*;
use rlua::arena::Arena;
use std::ffi::c_void;
use std::ptr;

const MIB: usize = 1 << 20;
const TAG_USERDATA: usize = 7;
/// 16 and the kind of bytes that Lua alone writes to.
const TAG_BYTES: usize = 20;

#[derive(Clone)]
struct Block {
    start: *mut u8,
    size: usize,
    pattern: u8,
}

/// An arena and what a correct allocator would hold.
struct Model {
    arena: Arena,
    blocks: Vec<Block>,
    steps: u32,
    /// Owners write to no more than a part of their blocks.
    sparse: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Alloc { size: usize, userdata: bool },
    Free { which: usize },
    Resize { which: usize, size: usize },
}

impl Model {
    fn new(limit: usize) -> Model {
        Model { arena: Arena::new(limit).unwrap(), blocks: Vec::new(), steps: 0, sparse: false }
    }

    fn request(&mut self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        let ud = ptr::from_mut(&mut self.arena).cast::<c_void>();
        // SAFETY: the arena is live and the model passes only blocks that it holds.
        unsafe { Arena::allocate(ud, block.cast(), old, new).cast() }
    }

    fn fill(&mut self, start: *mut u8, size: usize) -> Block {
        self.steps += 1;
        let pattern = self.steps as u8;
        // SAFETY: the allocator just handed these bytes out.
        unsafe { ptr::write_bytes(start, pattern, self.written(size)) };
        Block { start, size, pattern }
    }

    /// Bytes of a block that its owner writes to.
    fn written(&self, size: usize) -> usize {
        if self.sparse { (size / 2).min(4000) } else { size }
    }

    fn verify(&self, block: &Block, kept: usize) {
        let mut copy = vec![0; kept.min(self.written(block.size))];
        // SAFETY: inside the block.
        unsafe { block.start.copy_to(copy.as_mut_ptr(), copy.len()) };
        // Compared as a whole, which is faster under Miri.
        assert!(copy == vec![block.pattern; copy.len()], "a block of {} changed", block.size);
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Alloc { size, userdata } => {
                let kind = if userdata { TAG_USERDATA } else { TAG_BYTES };
                let start = self.request(ptr::null_mut(), kind, size);
                if start.is_null() {
                    return;
                }
                let alignment = if userdata { 16 } else { 8 };
                assert_eq!(start as usize % alignment, 0, "size {size}");
                let block = self.fill(start, size);
                self.blocks.push(block);
            }
            Step::Free { which } if !self.blocks.is_empty() => {
                let block = self.blocks.swap_remove(which % self.blocks.len());
                self.verify(&block, block.size);
                assert!(self.request(block.start, block.size, 0).is_null());
            }
            Step::Resize { which, size } if !self.blocks.is_empty() => {
                let block = self.blocks.swap_remove(which % self.blocks.len());
                let start = self.request(block.start, block.size, size);
                if start.is_null() {
                    assert!(size > block.size, "A3: a shrink failed");
                    self.verify(&block, block.size);
                    self.blocks.push(block);
                    return;
                }
                let kept = block.size.min(size);
                self.verify(&Block { start, ..block.clone() }, kept);
                let block = self.fill(start, size);
                self.blocks.push(block);
            }
            Step::Free { .. } | Step::Resize { .. } => {}
        }
    }

    fn check(&self) {
        self.arena.check().unwrap();
        assert!(self.arena.used_bytes() <= self.arena.limit_bytes());
        assert!(self.arena.used_bytes() <= self.arena.peak_bytes());
    }

    fn free_all(&mut self) {
        while !self.blocks.is_empty() {
            self.run(&Step::Free { which: self.blocks.len() / 2 });
        }
    }

    /// A copy of the used pages.
    fn bytes(&self) -> Vec<u8> {
        let mut copy = vec![0; self.arena.used_bytes().next_multiple_of(4096)];
        // SAFETY: the used pages can be read.
        unsafe { self.arena.base().copy_to(copy.as_mut_ptr(), copy.len()) };
        copy
    }

    /// What a restore does.
    fn put_back(&mut self, bytes: &[u8]) {
        // SAFETY: the pages were used when they were copied, so they are committed.
        unsafe { self.arena.base().copy_from(bytes.as_ptr(), bytes.len()) };
    }

    fn offsets(&self) -> Vec<usize> {
        let base = self.arena.base() as usize;
        self.blocks.iter().map(|block| block.start as usize - base).collect()
    }
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 1..=128usize,
        4 => 129..=600usize,
        2 => 600..=6000usize,
        1 => 6000..=200_000usize,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (size(), any::<bool>()).prop_map(|(size, userdata)| Step::Alloc { size, userdata }),
        4 => any::<usize>().prop_map(|which| Step::Free { which }),
        3 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize { which, size }),
    ]
}

/// Miri is far slower.
fn cases(count: u32) -> u32 {
    if cfg!(miri) { 2 } else { count }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..if cfg!(miri) { most / 10 } else { most })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(300),
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn random_programs_keep_bytes_and_invariants(
        limit in 8usize..600,
        steps in steps(300),
    ) {
        let mut model = Model::new(limit * 4096);
        for step in &steps {
            model.run(step);
            model.check();
        }
        model.free_all();
        model.check();
    }

    #[test]
    fn the_same_requests_give_the_same_offsets(steps in steps(300)) {
        let (mut one, mut other) = (Model::new(MIB), Model::new(MIB));
        for step in &steps {
            one.run(step);
            other.run(step);
            prop_assert_eq!(one.offsets(), other.offsets());
        }
    }

    /// Z1: a block's owner writes to half of it, and the rest must not tell what lay there before.
    #[test]
    fn a_replay_gives_the_same_bytes(before in steps(150), replayed in steps(150)) {
        let mut model = Model::new(MIB);
        model.sparse = true;
        before.iter().for_each(|step| model.run(step));
        let (bytes, blocks, count) = (model.bytes(), model.blocks.clone(), model.steps);
        replayed.iter().for_each(|step| model.run(step));
        let first = model.bytes();
        model.put_back(&bytes);
        (model.blocks, model.steps) = (blocks, count);
        replayed.iter().for_each(|step| model.run(step));
        model.check();
        prop_assert!(first == model.bytes());
    }
}

/// Sizes around every power and limit that the arithmetic may trip over.
fn extreme_size() -> impl Strategy<Value = usize> {
    // Not 0, which frees.
    let beside = |centre: usize, d: usize| centre.wrapping_add(d).wrapping_sub(65).max(1);
    let around = |centre: usize| (0..130usize).prop_map(move |d| beside(centre, d));
    prop_oneof![
        6 => around(1 << 32),
        2 => around((1 << 32) - (8 << 10)),
        2 => around(1 << 31),
        1 => around(usize::MAX),
        1 => around(usize::MAX / 2),
        2 => around(1 << 20),
        1 => around(512),
        1 => 1..2000usize,
    ]
}

fn extreme_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (extreme_size(), any::<bool>())
            .prop_map(|(size, userdata)| Step::Alloc { size, userdata }),
        2 => any::<usize>().prop_map(|which| Step::Free { which }),
        3 => (any::<usize>(), extreme_size())
            .prop_map(|(which, size)| Step::Resize { which, size }),
    ]
}

/// Limits around 4 GiB and small ones. Miri would have to hold the memory.
fn extreme_limit() -> impl Strategy<Value = usize> {
    let large = if cfg!(miri) { 256 << 10 } else { 1 << 32 };
    prop_oneof![
        2 => (0..3usize).prop_map(move |pages| large - pages * 4096),
        1 => (2..40usize).prop_map(|pages| pages * 4096),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(60),
        failure_persistence: None,
        ..Default::default()
    })]

    /// A3: a request that no arena can serve is NULL, one that could be is NULL or served, and
    /// nothing overflows.
    #[test]
    fn requests_at_the_extremes_are_served_or_null(
        limit in extreme_limit(),
        steps in prop::collection::vec(extreme_step(), 1..25),
    ) {
        let mut model = Model::new(limit);
        model.sparse = true;
        for step in &steps {
            model.run(step);
            model.check();
            let held: usize = model.blocks.iter().map(|block| block.size).sum();
            prop_assert!(held < limit);
        }
        model.free_all();
        model.check();
    }
}

/// The map has to cover an opaque run before it says what that is.
#[test]
#[cfg_attr(miri, ignore = "4 GiB")]
fn an_opaque_block_that_grows_far_keeps_its_bytes() {
    let mut model = Model::new(1 << 32);
    model.sparse = true;
    model.run(&Step::Alloc { size: 1048511, userdata: true });
    for size in [513, 1048511, 2147483612] {
        model.run(&Step::Resize { which: 0, size });
        model.check();
    }
}

#[test]
fn freeing_everything_gives_the_space_back() {
    let mut model = Model::new(16 * MIB);
    let empty = model.arena.used_bytes();
    for round in 0..if cfg!(miri) { 1000 } else { 20_000 } {
        model.run(&Step::Alloc { size: 1 + round * 7 % 700, userdata: round % 3 == 0 });
    }
    assert!(cfg!(miri) || model.arena.used_bytes() > 5 * MIB);
    model.free_all();
    model.check();
    let left = model.arena.used_bytes() - empty;
    assert!(left < 64 << 10, "{left} bytes are still in use");
}

/// Whatever was handed out first, and in whichever order blocks come back, the map at the top
/// sinks.
#[test]
fn a_peak_leaves_nothing_at_the_top() {
    for first in (16..4096).step_by(if cfg!(miri) { 4096 } else { 96 }) {
        for ascending in [true, false] {
            let mut model = Model::new(4 * MIB);
            let kept = model.request(ptr::null_mut(), TAG_BYTES, first);
            let low = model.arena.used_bytes();
            let count = if cfg!(miri) { 1500 } else { 16_000 };
            let ask = |model: &mut Model| model.request(ptr::null_mut(), TAG_BYTES, 48);
            let mut blocks: Vec<_> = (0..count).map(|_| ask(&mut model)).collect();
            if !ascending {
                blocks.reverse();
            }
            for block in blocks {
                model.request(block, 48, 0);
            }
            let left = model.arena.used_bytes() - low;
            assert!(left < 8 << 10, "first {first}, ascending {ascending}: {left} bytes");
            model.request(kept, first, 0);
            model.check();
        }
    }
}

#[test]
fn freed_space_of_one_size_serves_every_other() {
    let mut model = Model::new(4 * MIB);
    let sizes = [3000, 100_000, 56, 40, 512, 24];
    for size in sizes.into_iter().take(if cfg!(miri) { 2 } else { 6 }) {
        let mut held = 0;
        loop {
            let before = model.blocks.len();
            model.run(&Step::Alloc { size, userdata: false });
            if model.blocks.len() == before {
                break;
            }
            held += size;
        }
        assert!(held > 3 * MIB, "only {held} bytes of blocks of {size} fit");
        model.check();
        model.free_all();
    }
}

#[test]
fn absurd_sizes_are_null_and_change_nothing() {
    let mut model = Model::new(MIB);
    model.run(&Step::Alloc { size: 100, userdata: false });
    for size in [MIB, usize::MAX, usize::MAX - 7, usize::MAX / 2, 1 << 32, (1 << 32) - 1] {
        for kind in [TAG_BYTES, TAG_USERDATA] {
            assert!(model.request(ptr::null_mut(), kind, size).is_null());
        }
        let block = &model.blocks[0];
        let (start, old) = (block.start, block.size);
        assert!(model.request(start, old, size).is_null());
        model.check();
    }
}

#[test]
fn a_shrink_at_the_limit_never_fails() {
    let mut model = Model::new(64 << 10);
    while {
        model.run(&Step::Alloc { size: 300, userdata: false });
        model.blocks.len() < 1000
    } {
        let start = model.request(ptr::null_mut(), TAG_BYTES, 300);
        if start.is_null() {
            break;
        }
        model.request(start, 300, 0);
    }
    for which in (0..model.blocks.len()).step_by(if cfg!(miri) { 40 } else { 1 }) {
        let block = &model.blocks[which];
        let (start, size) = (block.start, block.size);
        let shrunk = model.request(start, size, 20);
        assert!(!shrunk.is_null(), "A3");
        let block = model.fill(shrunk, 20);
        model.blocks[which] = block;
        model.check();
    }
    model.free_all();
    model.check();
}

#[test]
fn check_sees_a_damaged_arena() {
    // Each writes 8 bytes where a tired host might; the walk has to notice.
    for (what, offset) in [("the header", 0), ("the top", 16), ("a bin's bitmap", 32)] {
        let model = Model::new(MIB);
        model.check();
        // SAFETY: inside the arena's header.
        unsafe { model.arena.base().add(offset).cast::<u64>().write_unaligned(0x1234_5678_9abc) };
        assert!(model.arena.check().is_err(), "damage to {what} went unnoticed");
    }
    let mut model = Model::new(MIB);
    model.run(&Step::Alloc { size: 5000, userdata: false });
    model.run(&Step::Alloc { size: 5000, userdata: false });
    let start = model.blocks[0].start;
    // SAFETY: past the end of the block: the head of the next run.
    unsafe { ptr::write_bytes(start, 0xee, 5024) };
    assert!(model.arena.check().is_err(), "an overrun block went unnoticed");
}

#[test]
fn check_sees_a_block_freed_twice() {
    let mut model = Model::new(MIB);
    for _ in 0..5 {
        model.run(&Step::Alloc { size: 56, userdata: false });
    }
    let (first, second) = (model.blocks[0].start, model.blocks[1].start);
    model.request(first, 56, 0);
    model.request(second, 56, 0);
    model.request(first, 56, 0);
    assert!(model.arena.check().is_err());
}

#[test]
fn a_limit_too_small_for_the_header_is_refused() {
    for limit in [0, 1, 4095, 4096] {
        assert!(Arena::new(limit).is_err(), "limit {limit}");
    }
    Arena::new(8192).unwrap();
}
