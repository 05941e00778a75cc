//! What in a file is written for people: comments and documents, not code.

use crate::File;

/// The file's prose, with its line numbers.
pub fn prose(file: &File) -> Vec<(usize, String)> {
    let lines = file.text.lines().enumerate().map(|(index, line)| (index + 1, line));
    match file.extension() {
        "md" => without_fences(lines),
        "rs" | "c" | "cpp" | "cs" | "h" | "hpp" => c_comments(lines),
        "py" => python_comments(lines),
        "lua" => lines.filter_map(|(n, line)| after(line, "--").map(|text| (n, text))).collect(),
        _ => lines.filter_map(|(n, line)| after(line, "#").map(|text| (n, text))).collect(),
    }
}

fn after(line: &str, mark: &str) -> Option<String> {
    line.split_once(mark).map(|(_, text)| text.to_owned())
}

fn without_fences<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in lines {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.push((number, line.to_owned()));
        }
    }
    found
}

/// `//` to the end of the line, and `/* */`. A URL's `//` begins no comment.
fn c_comments<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in lines {
        let mut rest = Some(line);
        let mut text = String::new();
        while let Some(code) = rest.take() {
            if inside {
                let end = code.split_once("*/");
                text.push_str(end.map_or(code, |(comment, _)| comment));
                inside = end.is_none();
                rest = end.map(|(_, more)| more);
            } else if let Some((at, to_end_of_line)) = begin_of_comment(code) {
                let comment = &code[at + 2..];
                inside = !to_end_of_line;
                rest = inside.then_some(comment);
                text.push_str(if inside { "" } else { comment });
            }
        }
        if !text.trim().is_empty() {
            found.push((number, text));
        }
    }
    found
}

/// Where the first comment of a piece of code begins, and whether it is one of `//`.
fn begin_of_comment(code: &str) -> Option<(usize, bool)> {
    let block = code.find("/*");
    let line = code
        .match_indices("//")
        .map(|(at, _)| at)
        .find(|at| !code[..*at].ends_with(':') && !in_string(&code[..*at]));
    match (block.filter(|at| !in_string(&code[..*at])), line) {
        (Some(block), Some(line)) if line < block => Some((line, true)),
        (Some(block), _) => Some((block, false)),
        (None, line) => line.map(|line| (line, true)),
    }
}

fn in_string(before: &str) -> bool {
    before.replace("\\\"", "").replace("'\"'", "").matches('"').count() % 2 == 1
}

/// `#` and docstrings.
fn python_comments<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in lines {
        let marks = line.matches("\"\"\"").count();
        if inside || marks > 0 {
            found.push((number, line.to_owned()));
            inside ^= marks % 2 == 1;
        } else if let Some((_, comment)) = line.split_once("# ") {
            found.push((number, comment.to_owned()));
        }
    }
    found
}

#[test]
fn prose_is_what_is_not_code() {
    let texts = |path: &str, text: &str| -> Vec<String> {
        prose(&crate::file(path, text)).into_iter().map(|(_, text)| text.trim().into()).collect()
    };
    assert_eq!(texts("a.rs", "let a = \"//no\"; // yes\n/// doc\nb"), ["yes", "/ doc"]);
    assert_eq!(
        texts("a.c", "a; /* one */ b;\n/* two\n * three\n */ c;"),
        ["one", "two", "* three"]
    );
    assert_eq!(texts("a.c", "x = \"http://a\"; y"), Vec::<String>::new());
    assert_eq!(texts("a.py", "a # b\n\"\"\"c\nd\n\"\"\"\ne")[..3], ["b", "\"\"\"c", "d"]);
    assert_eq!(texts("a.md", "a\n```\nb\n```\nc"), ["a", "c"]);
    assert_eq!(texts("Makefile", "a: b # c"), ["c"]);
    assert_eq!(texts("a.lua", "a = 1 -- b"), ["b"]);
}
