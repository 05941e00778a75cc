//! The shared library exports what the headers declare, and nothing else.

#[path = "../tools/build/exports.rs"]
#[allow(dead_code)]
mod exports;

use exports::{LUA_HEADERS, VARIABLE, declared_by_lua, declared_by_us};
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
    let mut declared = declared_by_us(&include("rlua.h"));
    assert!(declared.len() > 25, "the header was not understood: {declared:?}");
    for header in LUA_HEADERS {
        declared.extend(declared_by_lua(&include(header)));
    }
    declared.insert(VARIABLE.into());
    let exported = exported();
    let missing: Vec<_> = declared.difference(&exported).collect();
    let extra: Vec<_> = exported.difference(&declared).collect();
    assert!(missing.is_empty(), "declared but not exported: {missing:?}");
    assert!(extra.is_empty(), "exported but not declared: {extra:?}");
    assert!(exported.iter().filter(|name| name.starts_with("lua")).count() >= 155);
}
