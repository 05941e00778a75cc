//! The tool from outside: what it prints, how it ends.
//!
//! Not here: what a diff finds (c-tests/diff.c), what an image is (c-tests/images.c).

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const TOOL: &str = env!("CARGO_BIN_EXE_rlua");

const GAME: &str = "units = {} for i = 1, 5 do units[i] = {hp = 100, ['odd key'] = i} end\n\
    n, name = 0, 'caf\u{e9}'\n\
    function frame(number, input)\n\
      n = n + 1 local u = units[n % 5 + 1] u.hp = u.hp - (tonumber(input) or 1)\n\
      x = math.random() clock = os.time()\n\
    end\n";

/// A folder with the game and its inputs, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("rlua-tool-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder(path);
        folder.write("game.lua", GAME.as_bytes());
        folder.write("inputs", lines(1..=20, None).as_bytes());
        folder.write("other", lines(1..=20, Some(7)).as_bytes());
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(TOOL);
        command.current_dir(&self.0).args(arguments.split(' ')).env_remove("NO_COLOR");
        command
    }

    fn run(&self, arguments: &str) -> (i32, String, String) {
        ended(&self.command(arguments).output().unwrap())
    }

    /// Two images that differ in one unit's hp.
    fn images(&self) {
        assert_eq!(self.run("replay game.lua inputs --until 7 --save a").0, 0);
        assert_eq!(self.run("replay game.lua other --until 7 --save b").0, 0);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lines(numbers: std::ops::RangeInclusive<i32>, other: Option<i32>) -> String {
    numbers.map(|n| format!("{}\n", if Some(n) == other { 99 } else { n })).collect()
}

fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_script_runs_with_its_arguments() {
    let folder = Folder::new("arguments");
    folder.write("a.lua", b"print(arg[0], #arg, _VERSION, ...)");
    let (code, out, err) = folder.run("run a.lua -- x --json");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "a.lua\t2\tLua 5.4\tx\t--json\n", ""));
}

#[test]
fn a_failing_script_ends_with_1_and_its_traceback() {
    let folder = Folder::new("failing");
    folder.write("a.lua", b"local function f() error 'on purpose' end f()");
    let (code, out, err) = folder.run("run a.lua");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("rlua: a.lua:1: on purpose\nstack traceback:\n"), "{err}");
    folder.write("b.lua", b"x = = 1");
    let (code, _, err) = folder.run("run b.lua");
    assert!(code == 1 && err.contains("b.lua:1: unexpected symbol"), "{err}");
    folder.write("c.lua", b"function frame(n) if n == 3 then error({}) end end");
    let (code, _, err) = folder.run("run c.lua --frames 5");
    assert_eq!(code, 1, "{err}");
}

#[test]
fn limits_hold() {
    let folder = Folder::new("limits");
    folder.write("a.lua", b"while true do end");
    let (code, _, err) = folder.run("run a.lua --budget 10000");
    assert!(code == 1 && err.contains("budget"), "{err}");
    folder.write("b.lua", b"t = {} while true do t[#t + 1] = {} end");
    let (code, _, err) = folder.run("run b.lua --limit 1M");
    assert!(code == 1 && err.contains("not enough memory"), "{err}");
    folder.write("c.lua", b"print(os.getenv 'HOME' == nil)");
    assert_eq!(folder.run("run c.lua").1, "true\n");
    assert_eq!(folder.run("run c.lua --profile stock").1, "false\n");
}

#[test]
fn wrong_arguments_and_missing_files_end_with_2() {
    let folder = Folder::new("wrong");
    for arguments in [
        "nonsense",
        "run",
        "run nothing.lua",
        "run game.lua --limit many",
        "run game.lua --synctest 3",
        "diff game.lua",
        "inspect nothing",
        "verify nothing",
        "replay game.lua nothing",
        "run game.lua --save no/such/folder",
    ] {
        let (code, out, err) = folder.run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments}: {err}");
        assert!(err.len() > 10, "{arguments}");
    }
}

#[test]
fn a_sync_test_passes_or_names_the_frame_and_the_value() {
    let folder = Folder::new("synctest");
    let (code, out, _) = folder.run("run game.lua --frames 10 --synctest 3");
    assert_eq!(code, 0);
    assert_eq!(out, "10 frames, and 27 runs again, came to the same states\n");
    let wrong =
        b"function frame(n) if n == 4 then t = {[1] = io.open('log', 'a'):write(1):seek()} \
        end end";
    folder.write("wrong.lua", wrong);
    let (code, out, err) = folder.run("run wrong.lua --frames 10 --synctest 2 --json");
    assert_eq!(code, 1, "{err}");
    let found = json(&out);
    assert_eq!((&found["same"], &found["frame"]), (&false.into(), &4.into()), "{out}");
}

#[test]
fn a_replay_is_checked_frame_by_frame() {
    let folder = Folder::new("replay");
    let (code, out, _) = folder.run("replay game.lua inputs --record sums");
    assert!(code == 0 && out.starts_with("20 frames, checksum "), "{out}");
    let sums = String::from_utf8(folder.read("sums")).unwrap();
    assert_eq!(sums.lines().count(), 20);
    assert!(sums.lines().all(|line| line.split_once(' ').unwrap().1.len() == 32));
    assert_eq!(folder.run("replay game.lua inputs --check sums").0, 0);
    let (code, out, _) = folder.run("replay game.lua other --check sums");
    assert!(code == 1 && out.starts_with("frame 7 differs: 7 "), "{out}");
    let (code, out, _) = folder.run("replay game.lua other --check sums --json");
    assert_eq!((code, &json(&out)["differs"]), (1, &7.into()));
    folder.write("short", sums.lines().next().unwrap().as_bytes());
    let (code, _, err) = folder.run("replay game.lua inputs --check short");
    assert!(code == 2 && err.contains("it has no frame 2"), "{err}");
}

#[test]
fn a_diff_names_the_value() {
    let folder = Folder::new("diff");
    folder.images();
    let (code, out, _) = folder.run("diff a b");
    assert_eq!((code, out.as_str()), (1, "_G.units[3].hp: 91 -> -1  value\n"));
    assert_eq!(folder.run("diff a a"), (0, String::new(), String::new()));
    let (code, out, _) = folder.run("diff a b --json");
    let found = json(&out);
    assert_eq!(code, 1);
    assert_eq!(found["same"], false);
    assert_eq!(found["differences"][0]["path"], "_G.units[3].hp");
    assert_eq!(found["differences"][0]["kind"], "value");
    assert_eq!(found["differences"][0]["b"], "-1");
}

#[test]
fn an_image_is_shown() {
    let folder = Folder::new("inspect");
    folder.images();
    let (code, out, _) = folder.run("inspect a");
    assert_eq!(code, 0);
    for part in [
        "without a key; sound",
        "profile deterministic, seed 0",
        "units table of 5",
        "hp 91",
        "\"odd key\"",
        "\"caf\u{e9}\"",
        "of the libraries",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("setmetatable"), "{out}");
    assert!(folder.run("inspect a --entries 3").1.contains(" more)"));
    let (_, out, _) = folder.run("inspect a --json --all --depth 0");
    let found = json(&out);
    assert_eq!(found["profile"], "deterministic");
    assert!(found["blocks"]["tables"]["count"].as_u64() > Some(5));
    assert!(out.contains("\"setmetatable\""));
}

#[test]
fn a_damaged_image_is_told_from_a_sound_one() {
    let folder = Folder::new("damaged");
    folder.images();
    assert_eq!(folder.run("verify a"), (0, "a: sound\n".into(), String::new()));
    let image = folder.read("a");
    for at in (0..image.len()).step_by(image.len() / 60) {
        let mut changed = image.clone();
        changed[at] ^= 0x40;
        folder.write("changed", &changed);
        for command in ["verify changed", "inspect changed", "diff a changed"] {
            let (code, out, err) = folder.run(command);
            assert_eq!((code, out.as_str()), (1, ""), "byte {at}, {command}: {err}");
            assert!(err.starts_with("rlua: changed: "), "{err}");
        }
    }
    for length in [0, 1, 127, 128, 200, image.len() / 2, image.len() - 1] {
        folder.write("changed", &image[..length]);
        let (code, out, err) = folder.run("verify changed --json");
        assert_eq!((code, &json(&out)["sound"]), (1, &false.into()), "{length}: {err}");
    }
}

#[test]
fn a_key_is_asked_for() {
    let folder = Folder::new("key");
    folder.images();
    folder.write("key", &[7; 32]);
    folder.write("bad", &[7; 31]);
    assert_eq!(folder.run("verify a --key key").0, 1); /* the image has none */
    assert_eq!(folder.run("verify a --key bad").0, 2);
    assert_eq!(folder.run("verify a --key nothing").0, 2);
}

#[test]
fn colour_is_for_terminals_or_asked_for() {
    let folder = Folder::new("colour");
    folder.images();
    assert!(!folder.run("diff a b").1.contains('\x1b'));
    assert!(folder.run("diff a b --color always").1.contains("\x1b[36m_G.units[3].hp\x1b[0m"));
    assert!(!folder.run("diff a b --color never").1.contains('\x1b'));
    assert!(!folder.run("diff a b --color always --json").1.contains('\x1b'));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = Folder::new("pipe");
    folder.images();
    let mut command = folder.command("inspect a --all --depth 9");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_ne!(output.status.code(), Some(101)); /* a panic */
}
