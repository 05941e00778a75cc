//! Compiles Lua as one translation unit, and stages its public headers in `OUT_DIR/include`.
//!
//! Writes into `OUT_DIR` alone, as every build script must. `make -C c-tests library` copies the
//! headers from there to where hosts look for them, beside `rlua.h` (c-tests/library.py).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const LUA_FOLDER: &str = "lua-5.4.9";
const PUBLIC_HEADERS: [&str; 4] = ["lua.h", "luaconf.h", "lauxlib.h", "lualib.h"];
/// The one translation unit; all of our C lies beside it.
const UNIT: &str = "src/lua/unit.c";

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["src/lua", "vendor/patches", "build.rs", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    for name in ["RLUA_SANITIZE", "RLUA_ASSERT", "RLUA_ORACLE", "RLUA_LUA_PATH", "RLUA_LUA_CPATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let lua = lua_folder()?;
    compile_unit(&patched(&lua)?);
    stage_headers(&lua)?;
    link_arguments()
}

/// Finds Lua's sources inside the crate `lua-src`, whose API does not tell the path.
///
/// Without the platform filter cargo asks for crates of other platforms. Offline comes first so
/// that a build without a network works; where `cargo build` has not fetched the packages that
/// only tests need, the offline call refuses and the second call fetches them.
fn lua_folder() -> Result<PathBuf, Box<dyn Error>> {
    let target = env::var("TARGET")?;
    let metadata = |mode: &[&str]| {
        Command::new(env::var("CARGO").unwrap_or("cargo".into()))
            .args(["metadata", "--format-version=1", "--filter-platform", &target])
            .args(mode)
            .output()
    };
    let mut output = metadata(&["--offline"])?;
    if !output.status.success() {
        output = metadata(&[])?;
    }
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = json["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package["name"] == "lua-src")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("cargo metadata does not list lua-src")?;
    Ok(Path::new(manifest).with_file_name(LUA_FOLDER))
}

/// Copies Lua's sources into the build's own folder, with our patches applied (vendor/README.md).
///
/// The version is pinned, so every hunk fits where it says, or the build fails: a hunk that moved
/// could mark the wrong store.
fn patched(lua: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(&env::var("OUT_DIR")?).join("lua");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(lua)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c" || extension == "h") {
            let name = path.file_name().ok_or("a file without a name")?;
            fs::write(folder.join(name), fs::read(&path)?)?;
        }
    }
    let mut patches: Vec<_> = fs::read_dir("vendor/patches")?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    patches.sort();
    for path in patches {
        let text = fs::read_to_string(&path)?;
        apply(&text, &folder).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(folder)
}

/// Applies a patch of several files, each `--- a/name`, `+++ b/name` and its hunks.
fn apply(patch: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let starts: Vec<_> = patch.match_indices("--- a/").map(|(at, _)| at).collect();
    if starts.is_empty() {
        return Err("it names no file".into());
    }
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(patch.len());
        let part = diffy::Patch::from_str(&patch[start..end])?;
        let name = part.modified().and_then(|name| name.strip_prefix("b/")).ok_or("no name")?;
        let text =
            fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        for hunk in part.hunks() {
            let first = hunk.old_range().start();
            let old = hunk.lines().iter().filter_map(|line| match line {
                diffy::Line::Context(line) | diffy::Line::Delete(line) => Some(line),
                diffy::Line::Insert(_) => None,
            });
            if !old.eq(lines.iter().skip(first - 1).take(hunk.old_range().len())) {
                return Err(format!("{name}, line {first}: the hunk does not fit").into());
            }
        }
        fs::write(folder.join(name), diffy::apply(&text, &part)?)?;
    }
    Ok(())
}

/// One unit makes Lua's internal calls direct, which is where most of the speed comes from.
fn compile_unit(lua: &Path) {
    let mut unit = cc::Build::new();
    unit.file(UNIT)
        .include(lua)
        .include("src/lua")
        .std("gnu11")
        // What lua.org's makefile gives on Linux.
        .define("LUA_USE_LINUX", None)
        .define("LUA_COMPAT_5_3", None)
        // With the flags below, -O2 beats -O3 by a little over the scripts of benches/
        // (docs/BENCHMARKS.md), and makes no script slower than stock.
        .opt_level(2)
        // Both undo what lvm.c's computed gotos are for: one indirect jump per instruction.
        .flag_if_supported("-fno-gcse")
        .flag_if_supported("-fno-crossjumping")
        .flag_if_supported("-fno-semantic-interposition")
        .flag_if_supported("-fno-plt")
        // Fused multiply-add rounds once where the language rounds twice: a desync between CPUs.
        .flag("-ffp-contract=off")
        // A C++ exception may pass through Lua's frames (recover.c): for that the tables are
        // enough, since no C of ours cleans up on the way. Most platforms make them anyway.
        .flag("-funwind-tables")
        // Inlining lua_getlocal into ldblib.c makes gcc see a path that Lua never takes.
        .flag_if_supported("-Wno-maybe-uninitialized")
        // Both make rustc's linker keep and export every public symbol of the unit.
        .link_lib_modifier("+whole-archive")
        .link_lib_modifier("+export-symbols");
    search_paths(&mut unit);
    if let Ok(checks) = env::var("RLUA_SANITIZE") {
        unit.flag(format!("-fsanitize={checks}")).flag("-fno-omit-frame-pointer");
    }
    if env::var_os("RLUA_ORACLE").is_some_and(|value| value != "0") {
        unit.define("RLUA_ORACLE", None)
            .define("_GNU_SOURCE", None)
            .flag("-fsanitize=kernel-address");
        for what in [
            "asan-instrument-reads=0",
            "asan-instrumentation-with-call-threshold=0",
            "asan-stack=0",
            "asan-globals=0",
        ] {
            unit.flag("--param").flag(what);
        }
    }
    if env::var_os("RLUA_ASSERT").is_some_and(|value| value != "0") {
        unit.define("LUAI_ASSERT", None).define("LUA_USE_APICHECK", None);
    }
    unit.compile("rlua_unit");
}

/// `package.path` and `package.cpath`: lua.org's under /usr/local, and what a distribution installs
/// under /usr, so that the library can stand in for the distribution's. `RLUA_LUA_PATH` and
/// `RLUA_LUA_CPATH` replace them.
fn search_paths(unit: &mut cc::Build) {
    let linux = env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux");
    let local = "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;\
                 /usr/local/lib/lua/5.4/?.lua;/usr/local/lib/lua/5.4/?/init.lua";
    let system = "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua";
    let path = linux.then(|| format!("{local};{system};./?.lua;./?/init.lua"));
    let cpath = linux.then(|| {
        let multiarch = unit.get_compiler().to_command().arg("-print-multiarch").output();
        let multiarch = multiarch.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        );
        // Only gcc on Debian and its descendants knows one.
        let multiarch = if multiarch.is_empty() || multiarch.contains(char::is_whitespace) {
            String::new()
        } else {
            format!("/usr/lib/{multiarch}/lua/5.4/?.so;")
        };
        format!(
            "/usr/local/lib/lua/5.4/?.so;{multiarch}/usr/lib/lua/5.4/?.so;\
             /usr/lib64/lua/5.4/?.so;/usr/local/lib/lua/5.4/loadall.so;./?.so"
        )
    });
    for (variable, name, default) in [
        ("RLUA_LUA_PATH", "LUA_PATH_DEFAULT", path),
        ("RLUA_LUA_CPATH", "LUA_CPATH_DEFAULT", cpath),
    ] {
        if let Some(path) = env::var(variable).ok().or(default) {
            unit.define(name, format!("{path:?}").as_str());
        }
    }
}

/// Writes only what differs, so that the headers keep their time and nothing is rebuilt for them.
fn stage_headers(lua: &Path) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("OUT_DIR")?).join("include");
    fs::create_dir_all(&folder)?;
    for name in PUBLIC_HEADERS {
        let target = folder.join(name);
        let text = fs::read(lua.join(name))?;
        if fs::read(&target).ok().as_ref() != Some(&text) {
            fs::write(&target, text)?;
        }
    }
    Ok(())
}

/// `-z nodelete`: code pointers into us live in states and in threads' exit handlers.
///
/// The SONAME has the major version, so that a system can keep two ABIs side by side.
fn link_arguments() -> Result<(), Box<dyn Error>> {
    let major = env::var("CARGO_PKG_VERSION_MAJOR")?;
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,librlua.so.{major}");
    Ok(())
}
