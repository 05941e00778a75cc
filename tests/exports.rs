//! The shared library exports what the headers declare, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A public header: ours, or Lua's where the build staged it.
fn include(name: &str) -> String {
    let ours = name.starts_with("rlua");
    let root = if ours { env!("CARGO_MANIFEST_DIR") } else { env!("OUT_DIR") };
    let path = Path::new(root).join("include").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lua marks every function of its API, and writes it as `LUA_API type (name) (parameters)`.
fn declared_by_lua(header: &str) -> BTreeSet<String> {
    let text = include(header).replace("LUALIB_API", "LUA_API").replace("LUAMOD_API", "LUA_API");
    text.split("LUA_API")
        .skip(1)
        .filter_map(|declaration| declaration.split_once('(')?.1.split_once(')'))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

fn declared_by_us() -> BTreeSet<String> {
    let text = include("rlua.h");
    text.lines()
        .filter(|line| !line.starts_with([' ', '/', '#', '}']))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("rlua_"))
        .map(str::to_owned)
        .collect()
}

fn library() -> PathBuf {
    // Beside this test: cargo builds all of the package's libraries for it.
    std::env::current_exe().unwrap().with_file_name("librlua.so")
}

fn exported() -> BTreeSet<String> {
    let output = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library())
        .output()
        .expect("nm comes with the C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|name| name.split('@').next().unwrap().to_owned())
        .collect()
}

#[test]
fn exports_are_the_declared_functions() {
    let mut declared = declared_by_us();
    assert!(declared.len() > 25, "the header was not understood: {declared:?}");
    for header in ["lua.h", "lauxlib.h", "lualib.h"] {
        declared.extend(declared_by_lua(header));
    }
    declared.insert("lua_ident".into());
    let exported = exported();
    let missing: Vec<_> = declared.difference(&exported).collect();
    let extra: Vec<_> = exported.difference(&declared).collect();
    assert!(missing.is_empty(), "declared but not exported: {missing:?}");
    assert!(extra.is_empty(), "exported but not declared: {extra:?}");
    assert!(exported.iter().filter(|name| name.starts_with("lua")).count() >= 155);
}
