//! The sources of this repository, and the view of a line of code.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) struct Source {
    /// The path from the root of the repository, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Returns a line without its comment and without the contents of its strings.
pub(crate) fn code(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' if !code.ends_with('\'') => {
                quoted = !quoted;
                code.push(c);
            }
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => code.push(c),
        }
    }
    code
}

/// Returns whether `code` contains `word` as a whole identifier.
pub(crate) fn names(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(part) && !code[at + word.len()..].starts_with(part))
}

/// Returns the number of lines of a source that have unsafe code.
pub(crate) fn unsafe_lines(text: &str) -> usize {
    text.lines().filter(|line| names(&code(line), "unsafe")).count()
}

/// Returns whether `code` uses `name`: a crate, a path with `::` at its end, or a module.
pub(crate) fn mentions(code: &str, name: &str) -> bool {
    if let Some(path) = name.strip_suffix("::") {
        return code
            .match_indices(name)
            .any(|(at, _)| names(&code[at..], path) && starts(code, at));
    }
    if name.starts_with("kvick") {
        return names(code, name);
    }
    let inside = format!("{name}::");
    let reached = code.match_indices(&inside).any(|(at, _)| starts(code, at));
    reached || names(code, &format!("crate::{name}"))
}

/// Returns whether an identifier begins at `at`.
pub(crate) fn starts(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

pub(crate) fn sources() -> Vec<Source> {
    let sources: Vec<Source> = files(&root(), ".rs")
        .iter()
        .map(|file| Source { name: relative(file), text: read(file) })
        .collect();
    assert!(sources.len() > 50, "this repository has more files than {}", sources.len());
    sources
}

/// Returns every file with this ending, sorted, except the files that cargo and git made.
pub(crate) fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).expect("a directory of this repository");
    for entry in entries {
        let path = entry.expect("an entry of this repository").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of the workspace").to_owned()
}

pub(crate) fn relative(file: &Path) -> String {
    let path = file.strip_prefix(root()).expect("a file of this repository");
    path.to_str().expect("names are ASCII").replace('\\', "/")
}

pub(crate) fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[track_caller]
pub(crate) fn none(found: &[String]) {
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}
