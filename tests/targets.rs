//! What the library cannot be built for is refused in one sentence that says what is lacking.

#[path = "../tools/build/targets.rs"]
mod targets;

use targets::{System, Target};

fn target<'a>(name: &'a str, os: &'a str, env: &'a str, pointer_width: &'a str) -> Target<'a> {
    Target { name, os, env, pointer_width, endian: "little" }
}

#[test]
fn platforms_with_a_folder_are_taken() {
    for (name, os, env, system) in [
        ("x86_64-unknown-linux-gnu", "linux", "gnu", System::Linux),
        ("aarch64-unknown-linux-musl", "linux", "musl", System::Linux),
        ("x86_64-pc-windows-gnu", "windows", "gnu", System::Windows),
        ("aarch64-apple-darwin", "macos", "", System::MacOs),
    ] {
        assert_eq!(target(name, os, env, "64").system(), Ok(system));
    }
}

#[test]
fn others_are_refused_with_what_they_lack() {
    let big_endian =
        Target { endian: "big", ..target("s390x-unknown-linux-gnu", "linux", "gnu", "64") };
    for (target, lacks) in [
        (target("i686-unknown-linux-gnu", "linux", "gnu", "32"), "64-bit addresses"),
        (target("wasm32-wasip1", "wasi", "p1", "32"), "64-bit addresses"),
        (target("x86_64-pc-windows-msvc", "windows", "msvc", "64"), "x86_64-pc-windows-gnu"),
        (target("aarch64-apple-ios", "ios", "", "64"), "no folder for \"ios\""),
        (target("x86_64-unknown-freebsd", "freebsd", "", "64"), "no folder for \"freebsd\""),
        (big_endian, "little-endian"),
    ] {
        let sentence = target.system().unwrap_err();
        let start = format!("librlua cannot be built for {}: ", target.name);
        assert!(sentence.starts_with(&start) && sentence.contains(lacks), "{sentence}");
    }
}
