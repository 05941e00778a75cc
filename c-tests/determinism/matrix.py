#!/usr/bin/env python3
"""Runs the scripts of scripts/ and of benches/scripts in many ways, and compares the results.

    matrix.py --short              a share, with the library that is built already
    matrix.py                      everything; builds the library five more times
    matrix.py --only NAME          the scripts whose name has NAME in it
    matrix.py --cells NAME         the ways whose name has NAME in it

Each way of running (a *cell*) has a build, options of digest.c, an environment, and a command in
front. After each frame digest.c prints a digest of all that can be seen of the state; every cell
has to print what the first one, `base`, printed. Of a cell that differs this tells the script, the
frame and, from the texts that `digest --dump` writes in both cells, the first path that differs.

The scripts of wrong/ differ on purpose. Each says which cells must see it, and at which path; one
that is not seen there, or not named, is a failure: so every kind of cell proves that it is on.

  --library FOLDER    of librlua.so (../../target/release)
  --digest FILE       digest.c, linked with it (../build/release/determinism/digest)
  --made NAME LIBRARY DIGEST RUNNER   a build that is there: the folder of its library, its
                      digest.c, the words of a command that runs it. Windows is there only so
  --jobs N            processes at once (as many as there are CPUs)
  --scale K           one K-th of the frames, as RLUA_TEST_SCALE=K; where that is as few as with
                      --short, a sixth of benches/scripts, too
  CC                  the compiler of everything but the cells that name theirs
  RLUA_REQUIRE_ALL=1  a cell that cannot run here is a failure, not a message

The last line is `N passed, N failed`: a script in a cell is one. Not here: what is digested.
"""

import argparse
import concurrent.futures
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "target", "determinism")
LOCALES = os.path.join(WORK, "locales")
SOURCES = [os.path.join(HERE, name) for name in ("digest.c", "walk.c", "sink.c", "host.c")]
ARM = "aarch64-unknown-linux-gnu"
CANNOT = 77  # digest.c: the locale or the tracker is not there
TIMEOUT_SECONDS = 900
SHOWN_PATHS = 4  # texts compared in each cell that differs; the rest is told by frame


class Build:
    """The library compiled in one way, and digest.c linked with it."""

    def __init__(self, name, profile="release", target=None, compiler=None, env=None, runner=(),
                 missing=None):
        self.name, self.profile, self.target = name, profile, target
        self.compiler = compiler or os.environ.get("CC", "cc")
        self.env, self.runner, self.missing = env or {}, list(runner), missing
        self.is_made = False
        self.folder = os.path.join(WORK, name)
        self.digest = os.path.join(self.folder, "digest")
        self.library = os.path.join(self.folder, *([target] if target else []),
                                    "release" if profile == "release" else "debug")

    def make(self):
        """Cargo decides what is to be done."""
        include = os.path.join(self.folder, "include")
        os.makedirs(include, exist_ok=True)
        shutil.copy2(os.path.join(ROOT, "include", "rlua.h"), include)
        command = [sys.executable, os.path.join(ROOT, "c-tests", "library.py"), include,
                   "cargo", "build", "--lib", "--quiet",
                   "--manifest-path", os.path.join(ROOT, "Cargo.toml"),
                   "--target-dir", self.folder]
        command += ["--release"] if self.profile == "release" else []
        command += ["--target", self.target] if self.target else []
        subprocess.run(command, check=True, env={**os.environ, **self.env})
        subprocess.run([*self.compiler.split(), "-std=c11", "-O1", "-I", include, *SOURCES,
                        "-o", self.digest, "-L", self.library, "-lrlua",
                        "-Wl,-rpath," + self.library, "-lm"], check=True)

    def checksum(self):
        name = "rlua.dll" if self.name == "windows" else "librlua.so"
        with open(os.path.join(self.library, name), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()


class Cell:
    """One way of running. `tags` tell which scripts of wrong/ must be seen in it."""

    def __init__(self, name, build, options=(), env=None, front=(), tags=(), scale=1, missing=None):
        self.name, self.build, self.options = name, build, list(options)
        self.env, self.front, self.scale = env or {}, list(front), scale
        self.tags = {"every", *tags}
        self.missing = missing

    def run(self, script, extra=()):
        command = [*self.front, *self.build.runner, self.build.digest, *self.options,
                   *script.options, *extra, script.path]
        env = {key: value for key, value in os.environ.items()
               if key != "RLUA_TRACKER" and not key.startswith(("LC_", "LANG", "LUA_"))}
        return subprocess.run(command, env={**env, **self.env}, timeout=TIMEOUT_SECONDS,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)

    def digests(self, script, scale):
        try:
            done = self.run(script, ["--scale", str(scale * self.scale)])
            if self.build.name == "windows" and done.returncode == 1 and not done.stderr:
                print(f"*** {script.name} in '{self.name}' ended without a word; once more ***",
                      flush=True)  # under Wine, rarely: digest.c says why it ends
                done = self.run(script, ["--scale", str(scale * self.scale)])
        except subprocess.TimeoutExpired:
            return 1, [], f"no answer within {TIMEOUT_SECONDS} seconds"
        error = done.stderr.decode("utf-8", "replace").strip()
        return done.returncode, done.stdout.decode("ascii", "replace").split(), error


class Script:
    """A script, and what its first lines say."""

    def __init__(self, path, options=()):
        self.path, self.options = path, list(options)
        self.name = os.path.basename(path)
        self.wanted = self.place = None
        with open(path, encoding="latin-1") as file:
            for line in file.readlines()[:10]:
                key, _, value = line.strip().partition(": ")
                if key == "-- caught in":
                    self.wanted = set(value.split())
                elif key == "-- named":
                    self.place = value
                elif key == "-- options":
                    self.options += value.split()


def need(what, *present):
    """What to tell where something is not there, or None."""
    return None if all(present) else what


def locale_problem(names):
    """Makes the locales in a folder of our own, which takes no rights."""
    sources = "/usr/share/i18n/locales"
    if not (shutil.which("localedef") and os.path.exists(os.path.join(sources, "tr_TR"))):
        return "no sources of locales; on Debian: apt-get install locales"
    os.makedirs(LOCALES, exist_ok=True)
    for name in names:
        language, charset = name.split(".")
        target = os.path.join(LOCALES, name)
        if not os.path.exists(target):
            subprocess.run(["localedef", "-i", language, "-f", charset, target], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not os.path.exists(target):
            return f"localedef cannot make {name}; on Debian: apt-get install locales"
    return None


def another_time():
    """A library to preload, or None."""
    library = os.path.join(WORK, "another_time.so")
    os.makedirs(WORK, exist_ok=True)
    compiler = os.environ.get("CC", "cc").split()
    done = subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-o", library,
                           os.path.join(HERE, "another_time.c"), "-ldl"], check=False)
    return library if done.returncode == 0 else None


def no_fma():
    """Without fused multiply-add in this CPU there is nothing to compare."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            found = " fma " in file.read()
    except OSError:
        found = False
    return need("this CPU has no FMA, or is not known", found)


def use_made(builds, made):
    if made:
        build = builds.setdefault(made[0], Build(made[0]))
        build.library, build.digest = map(os.path.abspath, made[1:3])
        build.runner, build.is_made = made[3].split(), True


def release_build(arguments):
    build = Build("release")
    build.library, build.digest = arguments.library, arguments.digest
    return build


def other_builds():
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True,
                             check=True).stdout.strip()
    gcc, clang = "gcc", "clang"
    no_gcc = need("no gcc; on Debian: apt-get install gcc", shutil.which(gcc))
    no_clang = need("no clang; on Debian: apt-get install clang", shutil.which(clang))
    no_arm = need("no tools for AArch64; on Debian: apt-get install gcc-aarch64-linux-gnu "
                  "libc6-dev-arm64-cross qemu-user; and: rustup target add " + ARM,
                  shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64"),
                  os.path.isdir(os.path.join(sysroot, "lib", "rustlib", ARM)))
    arm = {"CC_aarch64_unknown_linux_gnu": "aarch64-linux-gnu-gcc",
           "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "aarch64-linux-gnu-gcc"}
    return {
        "debug": Build("debug", profile="dev"),
        "gcc-O0": Build("gcc-O0", compiler=gcc, env={"CC": gcc, "RLUA_OPT": "0"}, missing=no_gcc),
        "gcc-O3": Build("gcc-O3", compiler=gcc, env={"CC": gcc, "RLUA_OPT": "3"}, missing=no_gcc),
        "clang": Build("clang", compiler=clang, env={"CC": clang}, missing=no_clang),
        "aarch64": Build("aarch64", target=ARM, compiler="aarch64-linux-gnu-gcc", env=arm,
                         runner=["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"], missing=no_arm),
    }


def surroundings(release):
    """The cells that differ in what surrounds the process alone; all with one build."""
    names = ("de_DE.UTF-8", "tr_TR.UTF-8", "de_DE.ISO-8859-1", "tr_TR.ISO-8859-9")
    no_locale = locale_problem(names)
    zones = ("America/St_Johns", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Apia")
    cells = [Cell(name, release, ["--locale", name, "--junk", str(10 + i)],
                  {"LOCPATH": LOCALES, "LC_ALL": name, "TZ": zones[i]},
                  tags=["locale", "address", "zone"], missing=no_locale)
             for i, name in enumerate(names)]
    preload = another_time()
    setarch = shutil.which("setarch")
    cells += [
        Cell("again", release),
        Cell("fixed addresses", release, front=["setarch", "-R"],
             missing=need("no setarch; on Debian: apt-get install util-linux", setarch)),
        Cell("environment", release, ["--junk", "1", "--chdir", "/"],
             {"HOME": "/nowhere", "USER": "nobody", "LUA_PATH": "/elsewhere/?.lua",
              "LUA_CPATH": "/elsewhere/?.so", "LUA_INIT": "os.exit(1)", "TMPDIR": "/nowhere",
              "TZ": "Asia/Tokyo", "PADDING": "x" * 5000},
             tags=["environment", "address", "zone"]),
        Cell("another time", release, env={"LD_PRELOAD": preload or ""}, tags=["time"],
             missing=need("another_time.c does not compile", preload)),
        Cell("C library without FMA", release,
             env={"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4"}, tags=["FMA"],
             missing=no_fma()),
    ]
    return cells


def rollbacks(release):
    return [Cell(f"rollbacks, {tracker}, {seed}", release,
                 ["--rollback", str(seed), "--tracker", tracker, "--junk", str(20 + seed)],
                 tags=["rollback", "address"])
            for tracker, seed in (("auto", 1), ("compare", 2), ("uffd", 3), ("compare", 4))]


def all_cells(release, builds):
    old_cpu = need("no qemu for x86-64; on Debian: apt-get install qemu-user",
                   shutil.which("qemu-x86_64"))
    cells = surroundings(release) + rollbacks(release)
    for name in ("debug", "gcc-O0", "gcc-O3", "clang"):
        cells.append(Cell(name, builds[name], ["--junk", "30"], tags=["address"]))
        cells.append(Cell(f"{name}, rollbacks", builds[name], ["--rollback", "5"], scale=2,
                          tags=["rollback"]))
    if os.uname().machine == "x86_64":
        cells.append(Cell("CPU without FMA", release, scale=10,
                          front=["qemu-x86_64", "-cpu", "Nehalem"], tags=["FMA"],
                          missing=old_cpu or no_fma()))
    for name in [name for name in ("aarch64", "windows", "musl") if name in builds]:
        # What scripts can ask of their machine; musl's is this one.
        tags = [] if name == "musl" else ["machine"]
        cells.append(Cell(name, builds[name], tags=tags))
        cells.append(Cell(f"{name}, rollbacks", builds[name], scale=10,
                          options=["--rollback", "6", "--tracker", "compare"],
                          tags=tags + ["rollback"]))
    return cells


def short_cells(release):
    wanted = ("environment", "tr_TR.UTF-8", "de_DE.ISO-8859-1", "another time",
              "C library without FMA", "rollbacks, compare, 2", "rollbacks, uffd, 3")
    return [cell for cell in surroundings(release) + rollbacks(release) if cell.name in wanted]


def corpus(arguments):
    scripts = [Script(path) for path in sorted(glob.glob(os.path.join(HERE, "scripts", "*.lua")))]
    benches = sorted(glob.glob(os.path.join(ROOT, "benches", "scripts", "*.lua")))
    is_share = arguments.scale >= SHORT_SCALE
    if is_share:
        benches = benches[::6]
    scripts += [Script(path, ["--chunk", "--frames", "1" if is_share else "2"])
                for path in benches]
    wrong = [Script(path, ["--wrong"])
             for path in sorted(glob.glob(os.path.join(HERE, "wrong", "*.lua")))]
    for script in wrong:
        if not script.wanted or not script.place:
            sys.exit(f"{script.path}: says not where it is caught and how it is named")
    return [s for s in scripts + wrong if not arguments.only or arguments.only in s.name]


def without_offset(line):
    """A line of a dump without the place of the object, which decides nothing by itself."""
    return line.split(" @")[0]


def first_difference(base, cell, script, frame):
    """The first Lua path that differs: "path: value here | value there"."""
    texts = []
    for one in (base, cell):
        done = one.run(script, ["--dump", str(frame)] if "--rollback" not in one.options
                       else ["--dump", str(frame), "--frames", str(frame + 40)])
        texts.append(done.stdout.decode("latin-1").split("\n"))
    if not all(texts):
        return "no text of that frame"
    for view in (without_offset, str):
        for ours, theirs in zip(*texts):
            if view(ours) != view(theirs):
                path, _, value = ours.partition("\t")
                other_path, _, other = theirs.partition("\t")
                if path == other_path:
                    return f"{path}: {value} | {other}"
                return f"{path}: {value} | {other_path}: {other}"
    return "only what cannot be written differs, or it does not happen each time"


class Report:
    def __init__(self):
        self.passed = self.failed = self.not_run = 0
        self.shown = {}

    def ok(self):
        self.passed += 1

    def fail(self, text):
        self.failed += 1
        print("FAIL " + text, flush=True)

    def skip(self, name, reason):
        print(f"\n*** NOT RUN: {name}: {reason} ***\n", flush=True)
        self.not_run += 1
        if os.environ.get("RLUA_REQUIRE_ALL"):
            self.fail(f"{name}: not run, and RLUA_REQUIRE_ALL is set")

    def close(self):
        if self.not_run:
            print(f"{self.not_run} not run, see above")
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def first_frame(expected, found):
    """The number of the first frame whose digests differ, or None. A cell may run fewer."""
    for frame, (ours, theirs) in enumerate(zip(expected, found), 1):
        if ours != theirs:
            return frame
    return None


def judge(report, base, cell, script, expected, result):
    status, digests, error = result
    where = f"{script.name} in '{cell.name}'"
    if status != 0 or not digests:
        report.fail(f"{where}: status {status}: {error[-300:]}")
        return
    frame = first_frame(expected, digests)
    if script.wanted:
        judge_wrong(report, base, cell, script, frame, where)
    elif frame is None:
        report.ok()
    else:
        report.shown[cell.name] = report.shown.get(cell.name, 0) + 1
        shown = report.shown[cell.name] <= SHOWN_PATHS
        place = ": " + first_difference(base, cell, script, frame) if shown else ""
        report.fail(f"{where}: frame {frame} differs{place}")


def judge_wrong(report, base, cell, script, frame, where):
    if not script.wanted & cell.tags:
        return  # whether it is seen there does not matter
    if frame is None:
        report.fail(f"{where}: differs on purpose, and was not caught")
        return
    place = first_difference(base, cell, script, frame)
    if place.startswith(script.place):
        print(f"caught, as it must be: {where}: frame {frame}: {place[:100]}")
        report.ok()
    else:
        report.fail(f"{where}: caught at frame {frame}, but named {place}, not {script.place}")


def usable(report, cells):
    """The cells that can run here, built."""
    found, refused = [], set()
    release = cells[0].build
    for cell in cells:
        missing = cell.missing or cell.build.missing
        if missing:
            if missing not in refused:
                report.skip(cell.name, missing)
            refused.add(missing)
            continue
        if cell.build is not release and not any(cell.build is other.build for other in found):
            try:
                if not cell.build.is_made:
                    print(f"building {cell.build.name}", flush=True)
                    cell.build.make()
            except (subprocess.CalledProcessError, OSError) as error:
                report.fail(f"{cell.build.name} cannot be built: {error}")
                cell.build.missing = f"{cell.build.name} cannot be built"
                continue
            if cell.build.checksum() == release.checksum():
                report.fail(f"{cell.build.name} is the same library as {release.name}")
        found.append(cell)
    return found


def probe(report, cells, script):
    """Leaves out the cells that digest.c says cannot run here."""
    found = []
    for cell in cells:
        status, _, error = cell.digests(script, 1000)
        if status == CANNOT:
            report.skip(cell.name, error)
        else:
            found.append(cell)
    return found


def run_all(report, arguments, base, cells, scripts):
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        def start(cell, script):
            return pool.submit(cell.digests, script, arguments.scale)
        expected = {script: start(base, script) for script in scripts}
        found = {(cell, script): start(cell, script) for cell in cells for script in scripts}
        answers = {}
        for script, future in expected.items():
            status, digests, error = future.result()
            answers[script] = digests
            if status != 0 or not digests:
                report.fail(f"{script.name} in 'base': status {status}: {error[-300:]}")
        for cell in cells:
            began = report.passed, report.failed
            for script in scripts:
                if answers[script]:
                    judge(report, base, cell, script, answers[script],
                          found[cell, script].result())
            print(f"{cell.name}: {report.passed - began[0]} agree, "
                  f"{report.failed - began[1]} do not", flush=True)
    frames = sum(len(digests) for digests in answers.values())
    print(f"{len(scripts)} scripts, {frames} frames, {len(cells)} cells against 'base'")


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    release = os.path.join(ROOT, "target", "release")
    built = os.path.join(ROOT, "c-tests", "build", "release", "determinism", "digest")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--cells")
    parser.add_argument("--library", default=release)
    parser.add_argument("--digest", default=built)
    parser.add_argument("--made", nargs=4, default=())
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--scale", type=int, default=0)
    arguments = parser.parse_args()
    arguments.scale = arguments.scale or (SHORT_SCALE if arguments.short else 1)
    arguments.scale *= int(os.environ.get("RLUA_TEST_SCALE") or 1)
    arguments.library = os.path.abspath(arguments.library)
    arguments.digest = os.path.abspath(arguments.digest)
    return arguments


SHORT_SCALE = 12


def main():
    arguments, report, began = parse(), Report(), time.monotonic()
    release = release_build(arguments)
    base = Cell("base", release)
    builds = {} if arguments.short else other_builds()
    use_made(builds, arguments.made)
    cells = short_cells(release) if arguments.short else all_cells(release, builds)
    cells = [cell for cell in cells if not arguments.cells or arguments.cells in cell.name]
    scripts = corpus(arguments)
    if not scripts or not cells:
        sys.exit("matrix.py: no such script, or no such cell")
    cells = probe(report, usable(report, [base, *cells])[1:], scripts[0])
    run_all(report, arguments, base, cells, scripts)
    print(f"{time.monotonic() - began:.0f} seconds")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
