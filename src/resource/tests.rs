//! The table of resources by itself: epochs, orders, ids.

use super::*;

fn object(n: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(n * 16)
}

fn create(resources: &mut Resources, n: usize) -> u64 {
    let id = resources.create(object(n), 0).unwrap();
    resources.name(id, object(n));
    id
}

fn released(resources: &mut Resources) -> Vec<usize> {
    std::iter::from_fn(|| resources.next_released()).map(|r| r.object as usize / 16).collect()
}

#[test]
fn death_without_a_snapshot_that_reaches_it_is_released_at_once() {
    let mut resources = Resources::default();
    resources.captured();
    let id = create(&mut resources, 1);
    assert!(resources.die(id, object(1)).is_some());
    assert!(resources.die(id, object(1)).is_none());
    assert_eq!(resources.count(), 0);
}

#[test]
fn death_after_a_snapshot_waits_until_the_snapshot_is_dropped() {
    let mut resources = Resources::default();
    let id = create(&mut resources, 1);
    resources.captured();
    assert!(resources.die(id, object(1)).is_none());
    resources.captured();
    assert_eq!(released(&mut resources), []);
    resources.discarded(1);
    assert_eq!(released(&mut resources), [1]);
}

#[test]
fn restore_revives_the_dead_and_releases_the_unborn_in_creation_order() {
    let mut resources = Resources::default();
    let old = create(&mut resources, 1);
    resources.captured();
    let ids: Vec<_> = (2..6).map(|n| create(&mut resources, n)).collect();
    resources.captured();
    assert!(resources.die(ids[1], object(3)).is_none());
    assert!(resources.die(old, object(1)).is_none());
    resources.restored(2);
    assert_eq!(released(&mut resources), [2, 3, 4, 5]);
    assert_eq!(resources.get(old, object(1)), Some((object(1), 0, true)));
    assert_eq!(resources.count(), 1);
    resources.check(1).unwrap();
}

#[test]
fn births_after_a_restore_are_not_in_its_target() {
    let mut resources = Resources::default();
    resources.captured();
    resources.restored(1);
    create(&mut resources, 1);
    resources.restored(1);
    assert_eq!(released(&mut resources), [1]);
}

#[test]
fn close_releases_everything_once_in_creation_order() {
    let mut resources = Resources::default();
    let first = create(&mut resources, 1);
    create(&mut resources, 2);
    resources.captured();
    resources.begin_close();
    assert!(resources.die(first, object(1)).is_none());
    resources.close();
    assert_eq!(released(&mut resources), [1, 2]);
    assert_eq!(released(&mut resources), []);
}

#[test]
fn check_sees_a_list_out_of_order() {
    let mut resources = Resources::default();
    create(&mut resources, 1);
    create(&mut resources, 2);
    resources.check(0).unwrap();
    resources.entries[0].sequence = 9;
    assert!(resources.check(0).is_err());
    assert!(resources.check(1).is_err());
}

#[test]
fn the_unborn_are_taken_newest_first_and_the_others_stay() {
    let mut resources = Resources::in_arena();
    create(&mut resources, 1);
    resources.captured();
    create(&mut resources, 2);
    resources.captured();
    create(&mut resources, 3);
    let before = |resources: &Resources, n| -> Vec<_> {
        resources.born_before(n).map(|(object, ..)| object as usize / 16).collect()
    };
    assert_eq!(before(&resources, 2), [1]);
    assert_eq!(before(&resources, 1), [1, 2]);
    assert_eq!(before(&resources, 0), [1, 2, 3]);
    let unborn = std::iter::from_fn(|| resources.take_unborn(2));
    assert_eq!(unborn.map(|r| r.object as usize / 16).collect::<Vec<_>>(), [3, 2]);
    resources.restored(2);
    assert_eq!(released(&mut resources), []);
    assert_eq!(before(&resources, 0), [1]);
    resources.check(1).unwrap();
}

#[test]
fn the_dead_are_found_until_they_are_taken() {
    let mut resources = Resources::in_arena();
    let ids: Vec<_> = (1..5).map(|n| create(&mut resources, n)).collect();
    let dead = |resources: &Resources| -> Vec<_> {
        let mut cursor = 0;
        std::iter::from_fn(|| {
            let (object, next) = resources.next_dead(cursor)?;
            cursor = next;
            Some(object as usize / 16)
        })
        .collect()
    };
    resources.captured();
    assert!(resources.die(ids[2], object(3)).is_none());
    assert!(resources.die(ids[0], object(1)).is_none());
    assert_eq!(dead(&resources), [3, 1]);
    resources.captured();
    assert!(resources.die(ids[1], object(2)).is_none());
    resources.discarded(1);
    // Those that ended lie in the second snapshot, too, and have left the count.
    assert_eq!(dead(&resources), [2, 3, 1, 1, 3]);
    assert_eq!(released(&mut resources), [3, 1]);
    assert_eq!(dead(&resources), [2, 3, 1]);
    assert_eq!(resources.count(), 2);
    resources.check(1).unwrap();
    resources.captured();
    resources.discarded(1);
    assert_eq!(released(&mut resources), [2]);
    assert_eq!(dead(&resources), [2]);
    resources.discarded(1);
    assert_eq!(dead(&resources), []);
    assert_eq!(resources.count(), 1);
    resources.check(0).unwrap();
}

#[test]
fn the_ended_stay_while_a_snapshot_has_their_bytes_also_over_a_restore() {
    let mut resources = Resources::in_arena();
    let id = create(&mut resources, 1);
    for _ in 0..4 {
        resources.captured();
    }
    resources.restored(4);
    assert!(resources.die(id, object(1)).is_none());
    for _ in 0..3 {
        resources.captured();
    }
    resources.discarded(1);
    assert_eq!(released(&mut resources), [1]);
    assert_eq!(resources.get(id, object(1)), Some((object(1), 0, false)));
    resources.restored(3);
    resources.check(1).unwrap();
    assert_eq!(resources.born_before(0).count(), 1);
    // The snapshots that come now have what lies there now, and are not waited for.
    resources.captured();
    resources.discarded(1);
    assert_eq!(resources.born_before(0).count(), 0);
    assert_eq!(released(&mut resources), []);
}

#[test]
fn check_sees_an_end_that_is_not_counted() {
    let mut resources = Resources::in_arena();
    let id = create(&mut resources, 1);
    resources.captured();
    assert!(resources.die(id, object(1)).is_none());
    resources.captured();
    resources.discarded(1);
    resources.check(1).unwrap();
    resources.ended_count = 0;
    assert!(resources.check(1).is_err());
}

#[test]
fn a_trial_leaves_the_table_as_it_was() {
    for snapshots in 0..3 {
        let mut resources = Resources::default();
        let ids: Vec<_> = (1..4)
            .map(|n| {
                if n <= snapshots {
                    resources.captured();
                }
                create(&mut resources, n)
            })
            .collect();
        let held = resources.held();
        resources.begin_trial();
        assert!(resources.die(ids[1], object(2)).is_none(), "it comes back");
        let born = [create(&mut resources, 8), create(&mut resources, 9)];
        assert!(resources.die(born[0], object(8)).is_some(), "it is nowhere else");
        resources.end_trial();
        assert_eq!(released(&mut resources), [9]);
        assert_eq!(resources.held(), held);
        assert_eq!(resources.count(), 3);
        assert!(!resources.has_kept());
        for (n, &id) in ids.iter().enumerate() {
            assert_eq!(resources.get(id, object(n + 1)), Some((object(n + 1), 0, true)));
            assert_eq!(resources.is_held(id), n < snapshots.saturating_sub(1), "{snapshots} {n}");
        }
        resources.check(snapshots).unwrap();
    }
}
