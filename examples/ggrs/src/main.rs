//! GGRS drives VMs of librlua: its requests in duel.rs, a sync test, two peers over a bad line, and
//! a script that leaks. docs/NETCODE.md explains.
//!
//! Usage: rlua-with-ggrs [TEST...]. Without names all tests are run. Ends with the total,
//! `N passed, N failed`.

mod duel;
mod leaks;
mod network;
mod peers;
mod synctest;
mod vm;

use std::{env, panic, process};

const TESTS: [(&str, fn()); 6] = [
    ("files_and_patterns_that_leak_are_bounded", leaks::bounded),
    ("a_deterministic_game_passes", synctest::a_deterministic_game_passes),
    ("what_does_not_roll_back_is_found", synctest::what_does_not_roll_back_is_found),
    ("peers_play_the_same_match", peers::peers_play_the_same_match),
    ("a_desync_is_found", peers::a_desync_is_found),
    ("somebody_joins_late", peers::somebody_joins_late),
];

fn main() {
    let names: Vec<String> = env::args().skip(1).collect();
    if names == ["--join"] {
        return peers::join();
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS {
        if !names.is_empty() && names.iter().all(|wanted| wanted != name) {
            continue;
        }
        println!("{name}");
        match panic::catch_unwind(test) {
            Ok(()) => passed += 1,
            Err(_) => failed += 1,
        }
    }
    println!("{passed} passed, {failed} failed");
    process::exit(i32::from(failed > 0 || passed == 0));
}
