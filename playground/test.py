"""test.py: the playground, without a terminal and in one.

Usage: test.py PROGRAM. Ends with `N passed, N failed`.

Headless runs have a counted clock, so the same options give the same match. Mods that are wrong, or
that would notice a trace, are written into a folder of the test's own.
"""

import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
FOLDER = pathlib.Path(__file__).resolve().parent
TAKE, GIVE = b"\033[?1049h", b"\033[?1049l"

WRONG_MODS = {
    # It plays by how large the heap is: that is to be the same in both VMs, and after scrubbing.
    "a_heap.lua": "function rules.each_frame(balls) balls[1].dy = balls[1].dy"
                  " + math.floor(collectgarbage 'count' * 1024) % 3 - 1 end",
    "b_endless.lua": "rules.speed = 20 function rules.each_frame() while true do end end",
    "c_raises.lua": "function rules.hit() error 'no such sound' end rules.paddle = 11",
    "d_no_lua.lua": "rules.paddle = = 3",
    "e_at_once.lua": "rules.paddle = 11 error 'not in this version'",
}


def headless(*options, folder=FOLDER, expect=0):
    """The text that a run reports."""
    command = [PROGRAM, "--headless", "--folder", str(folder), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == expect, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def numbers(pattern, text):
    return [int(number) for number in re.findall(pattern, text)]


def both_vms_agree_and_rollbacks_happen():
    text = headless("--frames", 3000, "--latency", 120, "--jitter", 30, "--loss", 10)
    assert min(numbers(r"(\d+) rollbacks", text)) > 50, text
    assert min(numbers(r"(\d+) frames again", text)) > 300, text
    [same] = numbers(r"the same in both VMs up to frame (\d+)", text)
    assert same > 2900, text


def a_line_changes_nothing_but_time():
    states = set()
    for latency, jitter, loss in (0, 0, 0), (50, 0, 0), (100, 40, 0), (120, 20, 20):
        text = headless("--players", "random", "--frames", 2500, "--state", 2400, "--latency",
                        latency, "--jitter", jitter, "--loss", loss, "--keys", "300:m,900:m")
        states.update(re.findall(r"state 2400: \w+", text))
    assert len(states) == 1, states
    other = headless("--players", "random", "--frames", 2500, "--state", 2400, "--seed", 2)
    assert not states & set(re.findall(r"state 2400: \w+", other)), "the seed counts"


def a_long_line_makes_peers_wait():
    text = headless("--frames", 1500, "--latency", 300)
    assert min(numbers(r"(\d+) ticks waited", text)) > 100, text


def a_mod_comes_to_both_at_the_same_frame():
    text = headless("--frames", 900, "--latency", 100, "--loss", 20, "--keys", "300:m,600:m")
    assert len(re.findall(r"mod gravity.lua since frame 615$", text, re.M)) == 2, text


def scrubbing_comes_back_to_the_same_present():
    keys = "500:p,501:home,510:right,511:],512:left,513:end,520:p,700:p,701:[,702:[,703:p"
    text = headless("--frames", 900, "--keys", keys, "--loss", 10)
    assert "\n0 frames differed" in text, text
    assert numbers(r"player 1: frame (\d+)", text)[0] > 800, text


def play_can_go_on_from_the_past():
    text = headless("--frames", 900, "--keys", "300:m,500:p,501:home,502:],503:enter")
    assert numbers(r": frame (\d+)", text) == [407, 407], text
    assert text.count("mod none") == 2, text
    text = headless("--frames", 600, "--keys", "500:p,501:left,502:enter")
    assert "not confirmed" in text and numbers(r": frame (\d+)", text) == [499, 499], text


def a_desync_is_seen():
    text = headless("--frames", 900, "--keys", "600:d", expect=1)
    assert "DESYNC at frame 601" in text, text


def looking_leaves_no_trace(folder):
    text = headless("--frames", 900, "--loss", 10, "--keys", "100:m,400:p,401:home,410:p",
                    folder=folder)
    assert text.count("mod a_heap.lua") == 2, text


def a_mod_that_fails_is_dropped_by_both(folder):
    text = headless("--frames", 400, "--keys", "100:m,110:m", folder=folder)
    assert "mod dropped: b_endless.lua" in text and "budget" in text, text
    text = headless("--frames", 900, "--keys", "100:m,101:m,102:m", folder=folder)
    assert "no such sound" in text, text
    text = headless("--frames", 400, "--keys", "100:m,101:m,102:m,103:m", folder=folder)
    assert "not sent: " in text and "mod c_raises.lua" in text, text
    text = headless("--frames", 400, "--keys", "100:m,101:m,102:m,103:m,104:m", folder=folder)
    assert "not in this version" in text, text


def the_screen_is_80_by_24(folder):
    text, svg = folder / "screen.txt", folder / "screen.svg"
    headless("--frames", 300, "--keys", "200:m", "--text", text, "--svg", svg)
    lines = text.read_text().split("\n")[:-1]
    assert len(lines) == 24 and max(map(len, lines)) <= 80
    assert "player 1's machine" in lines[1] and "player 2's machine" in lines[1]
    assert any("rollbacks" in line for line in lines) and "q quit" in lines[-1]
    assert svg.read_text().startswith("<svg") and "&" not in svg.read_text().replace("&lt;", "")


def wrong_options_are_refused():
    for options in ["--frames"], ["--frames", "x"], ["--nothing", "1"]:
        headless(*options, expect=2)
    headless("--keys", "1:nokey", expect=2)


class Terminal:
    """The playground in a terminal of its own."""

    def __init__(self, columns=80, rows=24, **environment):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.slave, self.before = slave, termios.tcgetattr(slave)
        clean = {name: text for name, text in os.environ.items() if name != "NO_COLOR"}
        clean.update({"LC_ALL": "C.UTF-8"}, **environment)
        self.process = subprocess.Popen(
            [PROGRAM, "--folder", str(FOLDER)], stdin=slave, stdout=slave, stderr=slave, env=clean,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.output = b""

    def wait_for(self, wanted, seconds=20):
        end = time.monotonic() + seconds
        while wanted not in self.output:
            assert time.monotonic() < end, f"no {wanted!r} in {self.output[-300:]!r}"
            self.read(0.1)

    def read(self, seconds):
        while select.select([self.master], [], [], seconds)[0]:
            self.output += os.read(self.master, 65536)
            seconds = 0

    def press(self, keys):
        os.write(self.master, keys)

    def ended(self):
        """The exit status, once the terminal has been seen to be as it was."""
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, "it does not end"
            self.read(0.05)
        self.read(0.1)
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
        assert self.output.count(TAKE) == self.output.count(GIVE) == 1
        assert self.output.rindex(b"\033[?25h") > self.output.rindex(b"\033[?25l")
        os.close(self.master)
        os.close(self.slave)
        return self.process.returncode


def keys_play_and_q_quits():
    terminal = Terminal()
    terminal.wait_for("player 1's machine (you)".encode())
    assert termios.tcgetattr(terminal.slave) != terminal.before
    assert b"\033[0;96m" in terminal.output, "in colour"
    terminal.press(b"\033[C\033[C")
    terminal.wait_for(b"120 ms one way")
    terminal.press(b"m")
    terminal.wait_for(b"blizzard.lua from frame")
    terminal.press(b"p\033[D")
    terminal.wait_for(b"paused")
    terminal.press(b"p1q")
    assert terminal.ended() == 0


def signals_give_the_terminal_back():
    for number in signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV:
        terminal = Terminal()
        terminal.wait_for(b"machine")
        terminal.process.send_signal(number)
        assert terminal.ended() == -number
    terminal = Terminal()
    terminal.wait_for(b"machine")
    terminal.press(b"\003")
    assert terminal.ended() == -signal.SIGINT


def no_color_is_heeded():
    terminal = Terminal(NO_COLOR="1")
    terminal.wait_for(b"machine")
    terminal.press(b"q")
    terminal.ended()
    assert set(re.findall(rb"\033\[[\d;]*m", terminal.output)) == {b"\033[0m"}


def without_utf8_all_is_ascii():
    terminal = Terminal(LC_ALL="C")
    terminal.wait_for(b"machine")
    terminal.press(b"q")
    terminal.ended()
    assert terminal.output.isascii()


def a_small_window_is_told():
    terminal = Terminal(columns=60)
    terminal.wait_for(b"needs 80x24; this is 60x24")
    terminal.press(b"q")
    assert terminal.ended() == 0


def no_terminal_is_told():
    done = subprocess.run([PROGRAM, "--folder", str(FOLDER)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "no terminal" in done.stderr and "\033" not in done.stdout


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shutil.copy(FOLDER / "game.lua", folder)
        (folder / "mods").mkdir()
        for mod, text in WRONG_MODS.items():
            (folder / "mods" / mod).write_text(text)
        tests = [both_vms_agree_and_rollbacks_happen, a_line_changes_nothing_but_time,
                 a_long_line_makes_peers_wait, a_mod_comes_to_both_at_the_same_frame,
                 scrubbing_comes_back_to_the_same_present, play_can_go_on_from_the_past,
                 a_desync_is_seen, looking_leaves_no_trace, a_mod_that_fails_is_dropped_by_both,
                 the_screen_is_80_by_24, wrong_options_are_refused, keys_play_and_q_quits,
                 signals_give_the_terminal_back, no_color_is_heeded, without_utf8_all_is_ascii,
                 a_small_window_is_told, no_terminal_is_told]
        for test in tests:
            try:
                test(folder) if test.__code__.co_argcount else test()
                passed += 1
            except Exception as error:  # a failed check, or a run that hangs
                failed += 1
                print(f"FAIL {test.__name__}: {type(error).__name__}: {error}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
