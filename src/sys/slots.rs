//! Slots: which multiples of 4 GiB a region may be put at.
//!
//! A bit a slot tells which ones are taken, by us or by somebody else. The search goes round, so a
//! slot that was given back is the last one to be given again. It looks at one bit a slot at most
//! and asks the kernel about a slot that seems free; one that turns out to be somebody else's is
//! not asked about again, until as many searches as there are slots have found nothing.
//!
//! # Not here
//! Mapping: `memory.rs` of a platform.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The slots: 17 to 84 TiB, of the 128 TiB that programs have on every platform here.
///
/// Linux: below lie the shadow memory of AddressSanitizer and what programs map for themselves at
/// low addresses; above, from 0x5555_5555_4000 on, programs, their heaps, and libraries. Windows
/// puts heaps and stacks into the first TiB, or a few, and programs and libraries at the very top.
/// macOS has programs and libraries in the first TiB, and malloc's small blocks at 96 TiB.
pub const FIRST: usize = 0x1100;
const END: usize = 0x5400;

const COUNT: usize = END - FIRST;
const WORDS: usize = COUNT / 64;
const _: () = assert!(COUNT.is_multiple_of(64));

/// A set of slots, for all threads at once.
pub struct Slots {
    /// Taken, by us or by others.
    taken: [AtomicU64; WORDS],
    /// Found to be others'.
    foreign: [AtomicU64; WORDS],
    /// Where the next search begins.
    next: AtomicUsize,
    /// Searches that found nothing since the others' slots were last forgotten.
    failures: AtomicUsize,
}

/// A word and a bit in it, for a slot of ours.
fn place(slot: usize) -> Option<(usize, u64)> {
    let at = slot.checked_sub(FIRST).filter(|&at| at < COUNT)?;
    Some((at / 64, 1 << (at % 64)))
}

impl Slots {
    /// All free.
    pub const fn new() -> Slots {
        Slots {
            taken: [const { AtomicU64::new(0) }; WORDS],
            foreign: [const { AtomicU64::new(0) }; WORDS],
            next: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        }
    }

    /// Takes the next free slot, or `None` when there is none.
    pub fn take(&self) -> Option<usize> {
        let start = self.next.load(Relaxed) % COUNT;
        // The first word twice: from the start on, and up to it at the end.
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            loop {
                let mut free = !self.taken[word].load(Relaxed);
                if step == 0 {
                    free &= !0 << (start % 64);
                }
                if free == 0 {
                    break;
                }
                let bit = free & free.wrapping_neg();
                if self.taken[word].fetch_or(bit, Relaxed) & bit == 0 {
                    let at = word * 64 + bit.trailing_zeros() as usize;
                    self.next.store(at + 1, Relaxed);
                    return Some(FIRST + at);
                }
            }
        }
        if self.failures.fetch_add(1, Relaxed) + 1 >= COUNT {
            self.failures.store(0, Relaxed);
            self.forget_foreign();
        }
        None
    }

    /// Notes that a slot which was taken is somebody else's.
    pub fn is_foreign(&self, slot: usize) {
        if let Some((word, bit)) = place(slot) {
            self.foreign[word].fetch_or(bit, Relaxed);
        }
    }

    /// Gives a slot back. Any number will do; one that is no slot's is nobody's.
    pub fn give(&self, slot: usize) {
        if let Some((word, bit)) = place(slot) {
            self.foreign[word].fetch_and(!bit, Relaxed);
            self.taken[word].fetch_and(!bit, Relaxed);
        }
    }

    /// What was somebody else's may be free by now.
    fn forget_foreign(&self) {
        for (taken, foreign) in self.taken.iter().zip(&self.foreign) {
            taken.fetch_and(!foreign.swap(0, Relaxed), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn slots_lie_outside_programs_heaps_and_shadow_memory() {
        let programs = 0x5555_5555_4000; // ELF_ET_DYN_BASE; they and their heaps lie above it
        let shadow_end = 0x1000_7fff_8000; // AddressSanitizer's
        let all = Slots::new();
        let slots: Vec<_> = std::iter::from_fn(|| all.take()).collect();
        assert!(slots.iter().all(|&slot| slot << 32 > shadow_end && (slot + 1) << 32 <= programs));
    }

    #[test]
    fn each_slot_is_given_once_and_then_none() {
        let slots = Slots::new();
        let given: BTreeSet<_> = std::iter::from_fn(|| slots.take()).collect();
        assert_eq!(given.len(), COUNT);
        assert_eq!((given.first(), given.last()), (Some(&FIRST), Some(&(END - 1))));
        assert_eq!(slots.take(), None);
        slots.give(FIRST + 100);
        assert_eq!(slots.take(), Some(FIRST + 100));
        assert_eq!(slots.take(), None);
    }

    #[test]
    fn a_slot_given_back_is_the_last_one_to_be_given_again() {
        let slots = Slots::new();
        let first = slots.take().unwrap();
        slots.give(first);
        for _ in 1..COUNT {
            assert_ne!(slots.take(), Some(first));
        }
        assert_eq!(slots.take(), Some(first));
    }

    #[test]
    fn a_foreign_slot_is_not_asked_about_again_until_much_later() {
        let slots = Slots::new();
        let foreign = slots.take().unwrap();
        slots.is_foreign(foreign);
        let ours = std::iter::from_fn(|| slots.take()).count(); // the last call is a failure
        assert_eq!(ours, COUNT - 1);
        for _ in 1..COUNT {
            assert_eq!(slots.take(), None);
        }
        assert_eq!(slots.take(), Some(foreign));
        slots.give(foreign);
        slots.give(0);
        slots.give(usize::MAX);
        assert_eq!(slots.take(), Some(foreign));
        assert_eq!(slots.take(), None);
    }

    #[test]
    fn threads_get_different_slots() {
        let slots = Slots::new();
        let take = || -> Vec<_> { (0..500).filter_map(|_| slots.take()).collect() };
        let given: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 2000);
    }
}
