//! Files that prose names are there.

use crate::File;
use crate::prose::prose;
use std::collections::BTreeSet;

/// Made by a build, or standing for the reader's own.
const NOT_OURS: [&str; 7] =
    ["target/", "build/", "c-tests/build/", "game.c", "OUT_DIR/", "linux/", "self."];
const EXTENSIONS: [&str; 12] =
    ["c", "cpp", "cs", "h", "hpp", "lua", "md", "py", "rs", "sh", "svg", "toml"];
/// Lua's sources, which come from a crate; by their names without an extension.
const OF_LUA: &str = "lapi lauxlib lbaselib lcode lcorolib lctype ldblib ldebug ldo ldump lfunc \
    lgc linit liolib ljumptab llex llimits lmathlib lmem loadlib lobject lopcodes lopnames loslib \
    lparser lprefix lstate lstring lstrlib ltable ltablib ltests ltm lua luac luaconf lualib \
    lundump lutf8lib lvm lzio";

/// Words that look like a file or folder of a repository.
fn named_paths(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./*:<>{}$~".contains(c);
    text.split(|c| !is_part(c))
        .map(|word| word.trim_end_matches(['.', ':', '/', '-']))
        .map(|word| word.split_once(".rs:").map_or(word, |(file, _)| &word[..file.len() + 3]))
        .filter(|word| !word.contains(['*', '<', '>', '{', '}', '$', '~', ':']))
        .filter(|word| !word.starts_with(['/', '.', '-']))
        .filter(|word| {
            let extension = word.rsplit_once('.').map(|(_, extension)| extension);
            let in_folder = crate::FOLDERS
                .iter()
                .any(|f| word.strip_prefix(f).is_some_and(|rest| rest.starts_with('/')));
            in_folder
                || extension.is_some_and(|e| EXTENSIONS.contains(&e) && word.len() > e.len() + 1)
        })
        .filter(|word| !NOT_OURS.iter().any(|prefix| word.starts_with(prefix)))
        .collect()
}

fn is_of_lua(path: &str) -> bool {
    let stem = path.trim_end_matches(".c").trim_end_matches(".h");
    stem != path && OF_LUA.split_whitespace().any(|name| name == stem)
        || crate::STAGED.contains(&path)
}

/// A path as it is, from the citing file's folder, or any file that ends so.
fn complaints(files: &[File], known: &BTreeSet<String>) -> Vec<String> {
    let exists = |path: &str| {
        let tail = format!("/{path}");
        known.contains(path) || known.iter().any(|known| known.ends_with(&tail))
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.path.starts_with("tests/tidy")) {
        for (line, text) in prose(file) {
            for path in named_paths(&text) {
                if !exists(path) && !is_of_lua(path) {
                    found.push(format!("{}:{line}: there is no {path}", file.path));
                }
            }
        }
    }
    found
}

/// Every file and folder below the repository's folders.
fn known() -> BTreeSet<String> {
    fn walk(folder: &std::path::Path, known: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            known.insert(path.strip_prefix(crate::root()).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() {
                walk(&path, known);
            }
        }
    }
    let mut known: BTreeSet<String> = crate::AT_ROOT.iter().map(|name| name.to_string()).collect();
    known.extend(["Cargo.lock", "rustfmt.toml", "LICENSE"].map(str::to_owned));
    for folder in crate::FOLDERS {
        walk(&crate::root().join(folder), &mut known);
    }
    known
}

#[test]
fn named_files_exist() {
    let files = crate::repository();
    let cited = files.iter().flat_map(prose).map(|(_, text)| named_paths(&text).len());
    assert!(cited.sum::<usize>() > 100, "no paths were found");
    crate::assert_none(&complaints(&files, &known()));
}

#[test]
fn a_file_that_is_not_there_is_seen() {
    let known = ["src/vm/mod.rs", "docs/HOST.md"].map(str::to_owned).into();
    let count = |text: &str| complaints(&[crate::file("src/a.rs", text)], &known).len();
    assert_eq!(count("// src/vm/mod.rs, vm/mod.rs, mod.rs; `docs/HOST.md`."), 0);
    assert_eq!(count("// src/vm/host.rs"), 1);
    assert_eq!(count("// see (host.rs)"), 1);
    assert_eq!(count("// src/attic/"), 1);
    assert_eq!(count("// lgc.c, include/lua.h, /proc/self/maps, c-tests/*.c, 5.4.9, e.g."), 0);
    assert_eq!(count("let path = \"src/no.rs\";"), 0);
}
