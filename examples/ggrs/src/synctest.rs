//! GGRS's sync test: each frame is simulated again and again, and the checksums are compared.
//!
//! A test of a test: what a host function keeps outside the VM does not roll back, and a script
//! that reads it has to be found out.

use std::ffi::{c_int, c_void};

use ggrs::{GgrsError, SessionBuilder};

use crate::duel::{Config, Duel, PLAYERS, input};
use crate::vm::{State, return_integer};

const CHECK_DISTANCE: usize = 7;

/// Runs `frames` frames; the error of the first whose checksums differ.
fn run(duel: &mut Duel, frames: usize) -> Result<(), GgrsError> {
    let mut session = SessionBuilder::<Config>::new()
        .with_num_players(PLAYERS)?
        .with_max_prediction_window(CHECK_DISTANCE + 1)
        .with_check_distance(CHECK_DISTANCE)
        .start_synctest_session()?;
    for frame in 0..frames {
        for player in 0..PLAYERS {
            session.add_local_input(player, input(player, frame))?;
        }
        duel.fulfil(session.advance_frame()?);
        if frame % 100 == 0 {
            duel.vm.check();
        }
    }
    Ok(())
}

/// The game is the same however often its frames are simulated.
pub fn a_deterministic_game_passes() {
    const FRAMES: usize = 2000;
    let mut duel = Duel::open(CHECK_DISTANCE + 1);
    run(&mut duel, FRAMES).expect("the checksums agree");
    assert_eq!(duel.loads, FRAMES - 1 - CHECK_DISTANCE);
    assert_eq!(duel.simulated, FRAMES + duel.loads * CHECK_DISTANCE);

    let mut once = Duel::open(0);
    (0..FRAMES).for_each(|frame| once.advance([input(0, frame), input(1, frame)]));
    assert_eq!(duel.checksums, once.checksums);
}

/// How often it was called: outside the VM, so it does not go back.
unsafe extern "C" fn counter(state: State, ud: *mut c_void) -> c_int {
    // SAFETY: `ud` is the counter of the test below; the thread that calls.
    unsafe {
        *ud.cast::<i64>() += 1;
        return_integer(state, *ud.cast())
    }
}

/// A script that reads what does not roll back is found.
pub fn what_does_not_roll_back_is_found() {
    let mut calls = 0_i64;
    let mut duel = Duel::open(CHECK_DISTANCE + 1);
    // SAFETY: `calls` outlives the VM, which is dropped first.
    unsafe { duel.vm.set_function(c"counter", counter, (&raw mut calls).cast()) };
    duel.vm.run("local f = advance function advance(...) return f(...) ~ counter() end");
    let found = run(&mut duel, 100);
    assert!(matches!(found, Err(GgrsError::MismatchedChecksum { .. })), "{found:?}");
}
