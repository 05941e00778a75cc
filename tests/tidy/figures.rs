//! Figures stand in docs/BENCHMARKS.md alone; the README may quote what stands there.

use crate::File;
use crate::prose::prose;

const HOME: &str = "docs/BENCHMARKS.md";
const MAY_QUOTE: &str = "README.md";
const UNITS: [&str; 11] =
    ["ns", "us", "µs", "μs", "ms", "%", "GB/s", "MB/s", "GiB/s", "MiB/s", "KiB/s"];

/// What has versions, not figures.
const PRODUCTS: [&str; 6] = ["Lua ", "Linux ", "Rust ", "Python ", "CMake ", "glibc "];

/// Measured values in a text: `1.2 us`, `10 %`, `1.5x`, `0.86 of`, `1.1 times`, `0.7–0.8`; in a
/// document also every other decimal fraction.
fn figures(text: &str, in_document: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(|c: char| c.is_ascii_digit()) {
        let start = from + at;
        let number: &str = &text[start..];
        let length = number.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',');
        let number = number[..length.unwrap_or(number.len())].trim_end_matches(['.', ',']);
        from = start + number.len();
        let rest = &text[from..];
        let version = PRODUCTS.iter().any(|name| text[..start].ends_with(name));
        let begins = !version
            && !text[..start].ends_with(|c: char| c.is_alphanumeric() || "_.-#/".contains(c));
        if begins && (has_unit(rest) || is_ratio(number, rest, in_document)) {
            found.push(text[start..].chars().take(number.len() + 10).collect());
        }
    }
    found
}

fn has_unit(rest: &str) -> bool {
    let rest = rest.strip_prefix([' ', '\u{a0}']).unwrap_or(rest);
    UNITS.iter().any(|unit| rest.strip_prefix(unit).is_some_and(ends_word))
}

fn is_ratio(number: &str, rest: &str, in_document: bool) -> bool {
    let factor = rest.strip_prefix('x').is_some_and(ends_word);
    let fraction = number.split_once('.').is_some_and(|(_, fraction)| !fraction.contains('.'));
    let compared = [" of ", " times", " against ", "–", " to a ", " heap"];
    factor || fraction && (in_document || compared.iter().any(|word| rest.starts_with(word)))
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Whether a figure with a unit stands in a text.
fn stands_in(text: &str, figure: &str) -> bool {
    let part_of_a_number = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let number = figure.split(|c: char| !part_of_a_number(c)).next().unwrap_or_default();
    UNITS.iter().map(|unit| format!("{number} {unit}")).any(|token| {
        figure.strip_prefix(&token).is_some_and(ends_word)
            && text.match_indices(&token).any(|(at, _)| !text[..at].ends_with(part_of_a_number))
    })
}

fn complaints(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let home = files.iter().find(|file| file.path == HOME).map_or("", |file| &file.text);
    for file in files.iter().filter(|f| f.path != HOME && !f.path.starts_with("tests/tidy")) {
        for (line, text) in prose(file) {
            for figure in figures(&text, file.extension() == "md") {
                if file.path == MAY_QUOTE && stands_in(home, &figure) {
                    continue;
                }
                found.push(format!("{}:{line}: {figure}", file.path));
            }
        }
    }
    found
}

#[test]
fn figures_stand_in_one_place() {
    let files = crate::repository();
    let home = files.iter().find(|file| file.path == HOME).expect("no BENCHMARKS.md");
    assert!(
        prose(home).iter().any(|(_, text)| !figures(text, true).is_empty()),
        "no figures there"
    );
    crate::assert_none(&complaints(&files));
}

#[test]
fn a_figure_elsewhere_is_seen() {
    for figure in [
        "0.7 us",
        "1.5us.",
        "10 % of",
        "10%",
        "0.97x",
        "8 GB/s",
        "0.86 of the time",
        "1.1 times",
        "3 ns per",
        "0.7–0.8",
        "(1.07 times)",
        "12,5 µs",
    ] {
        assert_eq!(figures(figure, false).len(), 1, "{figure}");
    }
    for word in [
        "4 KiB",
        "64 bytes",
        "Lua 5.4 of",
        "0x10",
        "5.4.9 of",
        "3 times",
        "frame 12 of 20",
        "%.14g",
        "f32 us",
        "2-3 seconds",
        "a 100 user",
    ] {
        assert_eq!(figures(word, true).len(), 0, "{word}");
    }
    assert_eq!((figures("about 0.18;", true).len(), figures("about 0.18;", false).len()), (1, 0));
    let file = |path, text| crate::file(path, text);
    assert_eq!(complaints(&[file("src/a.rs", "// costs 5 us\nlet a = \"5 us\";")]).len(), 1);
    assert_eq!(complaints(&[file(HOME, "costs 5 us")]).len(), 0);
}

#[test]
fn a_quotation_that_grew_old_is_seen() {
    let file = |path, text| crate::file(path, text);
    let count = |path, text| complaints(&[file(path, text), file(HOME, "| 0.91 ms |")]).len();
    assert_eq!(count("README.md", "it takes 0.91 ms of a frame"), 0);
    assert_eq!(count("docs/HOST.md", "it takes 0.91 ms of a frame"), 1);
    for old in ["it takes 0.92 ms", "it takes 0.91 us", "it takes 91 ms", "0.91 of the time"] {
        assert_eq!(count("README.md", old), 1, "{old}");
    }
}
