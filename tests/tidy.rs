//! What a compiler does not check about this repository's text.
//!
//! Each rule is a function from files to complaints. It is run on the repository, and on small
//! wrong texts, where it has to complain: a rule that sees nothing is no rule.
//!
//! - Every invariant that is cited is defined once, and stands in the index of
//!   docs/ARCHITECTURE.md under the file that defines it.
//! - Every file that prose names is there.
//! - Every link of a document leads to a file, and to a heading in it; every document is in
//!   docs/README.md.
//! - Lines and source files have a limit.
//! - Figures (times, rates, ratios, percentages) stand in docs/BENCHMARKS.md, where they are
//!   measured again; copies grow old. The README may quote them.
//!
//! Not here: floors (floors.rs), the header (header.rs), what a figure says.

#[path = "tidy/figures.rs"]
mod figures;
#[path = "tidy/invariants.rs"]
mod invariants;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/prose.rs"]
mod prose;

use std::fs;
use std::path::Path;

/// A text file of the repository.
pub struct File {
    /// From the root, with slashes.
    pub path: String,
    /// As it is on disk.
    pub text: String,
}

impl File {
    /// Without the dot; empty where there is none.
    pub fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

const FOLDERS: [&str; 12] = [
    "benches",
    "bindings",
    "c-tests",
    "docs",
    "examples",
    "include",
    "packaging",
    "playground",
    "src",
    "tests",
    "tools",
    "vendor",
];
/// Other files at the root: those of cargo and the licence are not ours to word.
const AT_ROOT: [&str; 7] = [
    "README.md",
    "CHANGELOG.md",
    "CMakeLists.txt",
    "Cargo.toml",
    "Makefile",
    "build.rs",
    "cbindgen.toml",
];
const KINDS: [&str; 14] =
    ["c", "cmake", "cpp", "cs", "h", "hpp", "in", "lua", "md", "py", "rs", "sh", "supp", "toml"];
const BUILT: [&str; 2] = ["c-tests/build", "packaging/conan/test_package/build"];
/// Lua's own, copied there by the build.
const STAGED: [&str; 4] =
    ["include/lua.h", "include/luaconf.h", "include/lauxlib.h", "include/lualib.h"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, found: &mut Vec<File>) {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !BUILT.contains(&name.as_str()) {
                collect(&path, found);
            }
        } else if is_ours(&name) {
            found.push(File { text: fs::read_to_string(&path).unwrap(), path: name });
        }
    }
}

fn is_ours(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let script = name.ends_with("Makefile") || name.ends_with("CMakeLists.txt");
    let known = KINDS.contains(&extension) || script;
    known && !STAGED.contains(&name)
}

fn repository() -> Vec<File> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut found);
    }
    for name in AT_ROOT {
        let text = fs::read_to_string(root().join(name)).unwrap();
        found.push(File { path: name.to_owned(), text });
    }
    assert!(found.len() > 90, "only {} files: the sources were not found", found.len());
    found
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} found:\n{}", complaints.len(), complaints.join("\n"));
}

const MAX_COLUMNS: usize = 100;
const MAX_MARKDOWN_COLUMNS: usize = 120;
const MAX_SOURCE_LINES: usize = 500;

/// Tables and links cannot be broken.
fn may_be_long(file: &File, line: &str) -> bool {
    line.contains("://") || file.extension() == "md" && line.starts_with(['|', '!'])
}

fn long_lines(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let limit = if file.extension() == "md" { MAX_MARKDOWN_COLUMNS } else { MAX_COLUMNS };
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > limit && !may_be_long(file, line) {
                found.push(format!("{}:{}: {columns} columns", file.path, index + 1));
            }
        }
    }
    found
}

fn long_files(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.starts_with("src/"))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_SOURCE_LINES)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect()
}

#[test]
fn lines_fit() {
    assert_none(&long_lines(&repository()));
}

#[test]
fn a_line_that_does_not_fit_is_seen() {
    let long = "x".repeat(MAX_COLUMNS + 1);
    assert_eq!(long_lines(&[file("src/a.rs", &long), file("c-tests/a.c", &long)]).len(), 2);
    assert_eq!(long_lines(&[file("docs/a.md", &long)]).len(), 0);
    assert_eq!(long_lines(&[file("docs/a.md", &"x".repeat(MAX_MARKDOWN_COLUMNS + 1))]).len(), 1);
    assert_eq!(long_lines(&[file("docs/a.md", &format!("|{}", long.repeat(2)))]).len(), 0);
    assert_eq!(long_lines(&[file("src/a.rs", &"é".repeat(MAX_COLUMNS))]).len(), 0);
}

#[test]
fn source_files_fit() {
    assert_none(&long_files(&repository()));
}

#[test]
fn a_source_file_that_does_not_fit_is_seen() {
    let long = "x\n".repeat(MAX_SOURCE_LINES + 1);
    assert_eq!(long_files(&[file("src/lua/a.c", &long), file("c-tests/a.c", &long)]).len(), 1);
}
