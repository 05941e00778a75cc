//! One version everywhere: Cargo.toml, the header, the library's answer, its SONAME and its port.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;
use std::process::Command;

/// The header's `#define RLUA_VERSION...`, by name.
fn macros() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/rlua.h");
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("#define RLUA_VERSION"))
        .filter_map(|rest| rest.split_once(' '))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

#[test]
fn header_has_the_version_of_the_package() {
    let expected = [
        ("", env!("CARGO_PKG_VERSION")),
        ("_MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("_MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("_PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ];
    assert_eq!(macros(), expected.map(|(name, value)| (name.into(), value.into())).into());
}

#[test]
fn library_answers_the_version_of_the_header() {
    // SAFETY: a static string.
    let answer = unsafe { CStr::from_ptr(rlua::ffi::status::rlua_version()) }.to_str().unwrap();
    assert_eq!(answer, format!("{} (Lua 5.4.9)", macros()[""]));
}

#[test]
fn vcpkg_port_has_the_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/vcpkg/rlua/vcpkg.json");
    let text = std::fs::read_to_string(path).unwrap();
    let expected = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&expected), "no {expected}");
}

#[test]
fn soname_has_the_major_version() {
    let library = std::env::current_exe().unwrap().with_file_name("librlua.so");
    let output = Command::new("readelf").arg("-dW").arg(library).env("LC_ALL", "C").output();
    let output = output.expect("readelf comes with the C compiler");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("(SONAME)")).expect("no SONAME");
    let expected = format!("[librlua.so.{}]", macros()["_MAJOR"]);
    assert!(line.ends_with(&expected), "{line}, not {expected}");
}
