//! Two peers of GGRS, each with its own VM, over a bad line: they play the same match, a deliberate
//! desync is found, and somebody joins late.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ggrs::{
    DesyncDetection, Frame, GgrsError, GgrsEvent, P2PSession, PlayerType, SessionBuilder,
    SessionState,
};

use crate::duel::{Config, Duel, PLAYERS, input};
use crate::network::{Line, LossySocket};

const MAX_PREDICTION: usize = 8;
/// The label of the frame to load, those after it, and the present.
const MAX_SNAPSHOTS: usize = MAX_PREDICTION + 1;
/// Frames between two checksums that GGRS compares.
const INTERVAL: u32 = 10;
const BAD: Line = Line { lost_percent: 10, delay: (2, 7) };

struct Peer {
    player: usize,
    session: P2PSession<Config>,
    duel: Duel,
    /// Frames, with the checksums here and there.
    desyncs: Vec<(Frame, u128, u128)>,
    stalls: usize,
}

impl Peer {
    fn poll(&mut self) {
        self.session.poll_remote_clients();
        for event in self.session.events() {
            match event {
                GgrsEvent::DesyncDetected { frame, local_checksum, remote_checksum, .. } => {
                    self.desyncs.push((frame, local_checksum, remote_checksum));
                }
                GgrsEvent::Disconnected { .. } => panic!("peer {} lost the other", self.player),
                _ => {}
            }
        }
    }

    /// One turn of the game loop, as docs/NETCODE.md has it.
    fn tick(&mut self) {
        self.poll();
        let frame = self.session.current_frame();
        self.session.add_local_input(self.player, input(self.player, frame as usize)).unwrap();
        match self.session.advance_frame() {
            Ok(requests) => self.duel.fulfil(requests),
            Err(GgrsError::NotSynchronized) => return,
            Err(error) => panic!("{error}"),
        }
        self.stalls += usize::from(self.session.current_frame() == frame);
        // Only here: a poll moves the confirmed frame before the requests that belong to it.
        self.duel.confirm(self.session.confirmed_frame());
        let info = self.duel.vm.info();
        assert!(info.snapshot_count <= MAX_SNAPSHOTS);
        if frame % 500 == 0 {
            self.duel.vm.check();
        }
    }
}

fn connect() -> [Peer; PLAYERS] {
    let sockets: [_; PLAYERS] = std::array::from_fn(|n| LossySocket::bind(BAD, n as u64));
    let addresses = [sockets[0].address(), sockets[1].address()];
    let mut player = 0;
    let mut peers = sockets.map(|socket| {
        let session = SessionBuilder::<Config>::new()
            .with_num_players(PLAYERS)
            .unwrap()
            .with_max_prediction_window(MAX_PREDICTION)
            .with_desync_detection_mode(DesyncDetection::On { interval: INTERVAL })
            .with_disconnect_timeout(Duration::from_secs(60))
            .add_player(PlayerType::Local, player)
            .unwrap()
            .add_player(PlayerType::Remote(addresses[1 - player]), 1 - player)
            .unwrap()
            .start_p2p_session(socket)
            .unwrap();
        let duel = Duel::open(MAX_SNAPSHOTS);
        let peer = Peer { player, session, duel, desyncs: Vec::new(), stalls: 0 };
        player += 1;
        peer
    });
    let begin = Instant::now();
    while peers.iter().any(|peer| peer.session.current_state() != SessionState::Running) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the peers do not find each other");
        peers.iter_mut().for_each(Peer::poll);
        std::thread::sleep(Duration::from_millis(1));
    }
    peers
}

/// Until both have confirmed `frames` frames. Now and then a peer is held up for some turns, as by
/// a slow disk: the other predicts until it has to wait.
fn play(peers: &mut [Peer; PLAYERS], frames: usize) {
    let begin = Instant::now();
    for turn in 0_usize.. {
        for peer in &mut *peers {
            if (turn + 50 * peer.player) % 100 >= 12 {
                peer.tick();
            }
        }
        if peers.iter().all(|peer| peer.session.confirmed_frame() >= frames as Frame) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "the match does not go on");
    }
}

/// The same match with every input known in time.
fn undelayed(frames: usize) -> Duel {
    let mut duel = Duel::open(0);
    (0..=frames).for_each(|frame| duel.advance([input(0, frame), input(1, frame)]));
    duel.confirm(frames as Frame);
    duel
}

fn up_to(whole: &BTreeMap<Frame, u128>, frames: usize) -> Vec<(Frame, u128)> {
    whole.range(..=frames as Frame).map(|(frame, checksum)| (*frame, *checksum)).collect()
}

/// 10,000 frames, each state and each sound as if there were no line between the peers.
pub fn peers_play_the_same_match() {
    const FRAMES: usize = 10_000;
    let mut peers = connect();
    play(&mut peers, FRAMES);
    let right = undelayed(FRAMES);
    for peer in &peers {
        assert!(peer.desyncs.is_empty(), "{:?}", peer.desyncs);
        let duel = &peer.duel;
        assert_eq!(duel.inputs[..FRAMES], right.inputs[..FRAMES], "the inputs are the players'");
        assert_eq!(duel.checksums[..=FRAMES], right.checksums[..=FRAMES]);
        assert_eq!(up_to(&duel.whole, FRAMES), up_to(&right.whole, FRAMES), "all of the VM");
        let last = FRAMES as Frame - 1;
        assert_eq!(duel.heard(last), right.heard(last), "each sound is heard once");
        assert!(right.heard(last).len() > 1000);
        assert!(duel.loads > FRAMES / 20, "only {} rollbacks", duel.loads);
        assert!(peer.stalls > 10, "the whole window is used");
        println!(
            "player {}: {} rollbacks, {} frames again, {} turns waited",
            peer.player + 1,
            duel.loads,
            duel.simulated - duel.checksums.len(),
            peer.stalls
        );
    }
}

/// One peer's game counts wrongly from a frame on: both are told, in the next comparisons.
pub fn a_desync_is_found() {
    const WRONG: Frame = 1000;
    let mut peers = connect();
    let wrong = format!(
        "local f, frame = advance, 0 function advance(...) frame = frame + 1 \
         if frame == {WRONG} + 1 then cheat() end return f(...) end"
    );
    peers[1].duel.vm.run(&wrong);
    peers[0].duel.vm.run(&wrong.replace("cheat()", ""));
    play(&mut peers, WRONG as usize + 200);
    for peer in &peers {
        let &(frame, here, there) = peer.desyncs.first().expect("no desync was found");
        assert!(frame > WRONG && frame <= WRONG + 2 * INTERVAL as Frame, "found at {frame}");
        assert_ne!(here, there);
        println!("player {}: desync at frame {frame}: {here:x} against {there:x}", peer.player + 1);
    }
    let (first, last) = (WRONG as usize, WRONG as usize + 1);
    let [a, b] = peers.map(|peer| [peer.duel.checksums[first], peer.duel.checksums[last]]);
    assert!(a[0] == b[0] && a[1] != b[1], "the states differ from frame {WRONG} on");
}

/// What a joiner is sent: the frame of the image, its length, the image, and then two inputs for
/// each frame from there on, as they are confirmed. A late one needs no history before that.
pub fn somebody_joins_late() {
    const FRAMES: Frame = 3000;
    const LATER: Frame = 2000;
    let mut peers = connect();
    play(&mut peers, FRAMES as usize);
    let frame = peers[0].session.confirmed_frame() + 1;
    let image = peers[0].duel.image(frame);
    let joiner = env::current_exe().unwrap();
    let mut joiner = Command::new(joiner)
        .arg("--join")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = joiner.stdin.take().unwrap();
    line.write_all(&frame.to_le_bytes()).unwrap();
    line.write_all(&(image.len() as u32).to_le_bytes()).unwrap();
    line.write_all(&image).unwrap();
    // The peers play on, and do not notice that an image was made of one of them.
    play(&mut peers, (frame + LATER) as usize);
    for inputs in &peers[0].duel.inputs[frame as usize..(frame + LATER) as usize] {
        line.write_all(inputs).unwrap();
    }
    drop(line);
    let told = joiner.wait_with_output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();

    let right = undelayed((frame + LATER) as usize);
    let wanted: Vec<_> =
        right.whole.range(frame..frame + LATER).map(|(f, sum)| format!("{f} {sum:x}")).collect();
    assert!(wanted.len() >= 39);
    assert_eq!(told.lines().collect::<Vec<_>>(), wanted);
    for peer in &peers {
        assert!(peer.desyncs.is_empty(), "{:?}", peer.desyncs);
        let last = (frame + LATER) as usize;
        assert_eq!(up_to(&peer.duel.whole, last), up_to(&right.whole, last));
    }
    println!("joined at frame {frame}, by an image of {} KiB", image.len() >> 10);
}

/// The joiner, in its own process: tells the checksums of its VM, every 50th frame.
pub fn join() {
    let mut line = io::stdin().lock();
    let mut four = [0; 4];
    line.read_exact(&mut four).unwrap();
    let frame = Frame::from_le_bytes(four);
    line.read_exact(&mut four).unwrap();
    let mut image = vec![0; u32::from_le_bytes(four) as usize];
    line.read_exact(&mut image).unwrap();
    let mut duel = Duel::join(&image, frame);
    let mut inputs = [0; PLAYERS];
    while line.read_exact(&mut inputs).is_ok() {
        duel.advance(inputs);
    }
    duel.whole.iter().for_each(|(frame, checksum)| println!("{frame} {checksum:x}"));
}
