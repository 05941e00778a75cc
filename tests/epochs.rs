//! The table of resources against a model, without Lua, so that Miri can run it: random programs of
//! births, deaths, captures, replacements, restores and drops. The model keeps which resources the
//! live state and each held snapshot reach. What is handed out for release is, after each step,
//! exactly what nothing reaches any more, once, in the order of creation (H1). Of objects that lie
//! in the arena it also keeps whose bytes each snapshot has from before their end: those, and what
//! is reached, are what the table knows (H4), and releases come newest first.
//!
//! Not here: what a script's handles do (`tests/resources.rs`).

use proptest::prelude::*;
use rlua::resource::Resources;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::c_void;

#[derive(Clone, Debug)]
enum Step {
    Create { count: u8 },
    Die { count: u8, from: u16 },
    Capture,
    Replace,
    Restore { n: u8 },
    Discard { count: u8 },
}

/// Resources are numbered from 1; the number is the address of object and handle.
#[derive(Default)]
struct Model {
    resources: Resources,
    ids: Vec<u64>,
    live: BTreeSet<usize>,
    held: VecDeque<BTreeSet<usize>>,
    /// Whose bytes each held snapshot has from before their end.
    bytes: VecDeque<BTreeSet<usize>>,
    in_arena: bool,
    released: BTreeSet<usize>,
}

fn address(number: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(number)
}

impl Model {
    fn in_arena() -> Model {
        Model { resources: Resources::in_arena(), in_arena: true, ..Model::default() }
    }

    /// The objects that the table knows.
    fn known(&self) -> BTreeSet<usize> {
        self.resources.born_before(0).map(|(object, ..)| object.addr()).collect()
    }

    fn create(&mut self) {
        let number = self.ids.len() + 1;
        let id = self.resources.create(address(number), 0).unwrap();
        self.resources.name(id, address(number));
        self.ids.push(id);
        self.live.insert(number);
    }

    fn die(&mut self, number: usize) -> Option<usize> {
        self.live.remove(&number);
        let released = self.resources.die(self.ids[number - 1], address(number));
        released.map(|released| released.object.addr())
    }

    fn reached(&self) -> BTreeSet<usize> {
        self.held.iter().flatten().chain(&self.live).copied().collect()
    }

    fn run(&mut self, step: &Step) {
        let before = self.reached();
        let mut released = Vec::new();
        match *step {
            Step::Create { count } => (0..count).for_each(|_| self.create()),
            Step::Die { count, from } => {
                for _ in 0..count.min(self.live.len() as u8) {
                    let number = *self.live.iter().nth(from as usize % self.live.len()).unwrap();
                    released.extend(self.die(number));
                }
                released.sort_unstable();
            }
            Step::Capture => {
                self.held.push_back(self.live.clone());
                self.bytes.push_back(before.clone());
                self.resources.captured();
            }
            Step::Replace => {
                if let Some(newest) = self.held.back_mut() {
                    newest.clone_from(&self.live);
                    *self.bytes.back_mut().unwrap() = before.clone();
                    self.resources.replaced();
                }
            }
            Step::Restore { n } => {
                if !self.held.is_empty() {
                    let n = 1 + n as usize % self.held.len();
                    if self.in_arena {
                        let unborn = std::iter::from_fn(|| self.resources.take_unborn(n));
                        released.extend(unborn.map(|unborn| unborn.object.addr()));
                    }
                    self.held.truncate(self.held.len() + 1 - n);
                    self.bytes.truncate(self.held.len());
                    self.live = self.held.back().unwrap().clone();
                    self.resources.restored(n);
                }
            }
            Step::Discard { count } => {
                let count = count as usize % (self.held.len() + 1);
                self.held.drain(..count);
                self.bytes.drain(..count);
                self.resources.discarded(count);
            }
        }
        let handed_out = std::iter::from_fn(|| self.resources.next_released());
        released.extend(handed_out.map(|released| released.object.addr()));
        if self.in_arena {
            assert!(matches!(step, Step::Die { .. }) || released.is_sorted_by(|a, b| a > b));
            released.sort_unstable();
            let bytes = self.bytes.iter().flatten().copied().collect();
            assert_eq!(self.known(), &self.reached() | &bytes, "{step:?}");
        }
        let unreachable: Vec<_> = before.difference(&self.reached()).copied().collect();
        assert_eq!(released, unreachable, "{step:?}");
        for number in released {
            assert!(self.released.insert(number), "resource {number} was released twice");
        }
        self.resources.check(self.held.len()).unwrap();
        assert_eq!(self.resources.count(), self.reached().len());
    }

    fn end(mut self) {
        if self.in_arena {
            self.run(&Step::Discard { count: self.held.len() as u8 });
            assert_eq!(self.known(), self.live);
            return;
        }
        let reached = self.reached().into_iter().collect::<Vec<_>>();
        self.resources.begin_close();
        self.resources.close();
        let released = std::iter::from_fn(|| self.resources.next_released());
        assert_eq!(released.map(|r| r.object.addr()).collect::<Vec<_>>(), reached);
        assert_eq!(self.resources.count(), 0);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..9u8).prop_map(|count| Step::Create { count }),
        4 => (1..9u8, any::<u16>()).prop_map(|(count, from)| Step::Die { count, from }),
        4 => Just(Step::Capture),
        3 => Just(Step::Replace),
        3 => (0..9u8).prop_map(|n| Step::Restore { n }),
        2 => (0..9u8).prop_map(|count| Step::Discard { count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 2000 },
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn what_nothing_reaches_is_released_once_and_at_once(
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 40 } else { 150 }),
    ) {
        let mut model = Model::default();
        steps.iter().for_each(|step| model.run(step));
        model.end();
    }

    #[test]
    fn what_lies_in_the_arena_is_known_while_a_snapshot_has_its_bytes(
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 40 } else { 150 }),
    ) {
        let mut model = Model::in_arena();
        steps.iter().for_each(|step| model.run(step));
        model.end();
    }
}

#[test]
fn a_replacement_looks_at_what_came_and_went_since_alone() {
    let mut model = Model::default();
    (0..10).for_each(|_| model.create());
    model.run(&Step::Capture);
    model.run(&Step::Create { count: 2 });
    model.run(&Step::Die { count: 1, from: 0 });
    model.run(&Step::Replace);
    // Number 1 was in the replaced snapshot alone, and 11 and 12 are in the new one.
    assert_eq!(model.released, BTreeSet::from([1]));
    model.run(&Step::Restore { n: 0 });
    assert!(model.live.contains(&12) && !model.live.contains(&1));
    model.end();
}
