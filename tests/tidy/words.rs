//! Plain English: the words of CONTRIBUTING.md that no text uses, and the first lines of docs.
//!
//! The check reads the table of words from CONTRIBUTING.md. Only words in backticks there are
//! checked. A word counts in a comment, in a text within quotes and on a page. It does not count in
//! code, nor in backticks. The check prefers gaps to false alarms.

use crate::sources::{files, names, none, numbered, read, relative, root, sources};

/// The head of the table of words in CONTRIBUTING.md.
const HEAD: &str = "| word | use instead |";

/// The libraries, whose docs are public.
const LIBRARIES: [&str; 3] = ["io/src/", "runtime/src/", "engine/src/"];

/// The first words that no doc may have: a sentence with one of them does not stand alone.
const BAD_STARTS: [&str; 7] = ["This", "The function", "The method", "Of", "What", "How", "If"];

/// A word, and what to use instead.
struct Word {
    word: String,
    instead: String,
}

/// A line of a comment or of a text within quotes.
#[derive(Debug, PartialEq)]
struct Prose {
    line: usize,
    text: String,
}

#[test]
fn the_words_are_plain() {
    let words = words(&read(&root().join("CONTRIBUTING.md")));
    assert!(words.len() > 10, "CONTRIBUTING.md has the table of words");
    let mut found = Vec::new();
    for source in sources() {
        for prose in prose_of(&source.text) {
            found.extend(complaints(&words, &source.name, prose.line, &prose.text));
        }
    }
    for page in files(&root(), ".md") {
        let (page, text) = (relative(&page), read(&page));
        let mut is_code = false;
        let mut is_table = false;
        for (number, line) in numbered(&text) {
            is_code ^= line.trim_start().starts_with("```");
            is_table = line == HEAD || is_table && line.starts_with('|');
            if !is_code && !is_table {
                found.extend(complaints(&words, &page, number, line));
            }
        }
    }
    none(&found);
}

#[test]
fn docs_begin_with_a_sentence() {
    let mut found = Vec::new();
    for source in sources() {
        if !LIBRARIES.iter().any(|folder| source.name.starts_with(folder)) {
            continue;
        }
        for (number, fault) in bad_docs(&source.text) {
            found.push(format!("{}:{number}: {fault}", source.name));
        }
    }
    none(&found);
}

#[test]
fn the_words_of_a_text_are_found() {
    let words = words("x\n| word | use instead |\n|---|---|\n| `colour`, hue | a shade |\n\ny\n");
    let of = |text: &str| -> Vec<usize> {
        let said = |prose: &Prose| !complaints(&words, "f", prose.line, &prose.text).is_empty();
        prose_of(text).iter().filter(|prose| said(prose)).map(|prose| prose.line).collect()
    };
    assert_eq!(of("// A Colour.\n// Colours, a hue and `colour`.\nlet colour = 1;\n"), [1]);
    assert_eq!(of("f(\"the \\\"colour\");\nf('\"', \"colour\", \"{colour} of\");\n"), [1]);
    assert_eq!(of("f(r#\"a \"colour\" of\"#);\nf::<'a>(\"a\n  colour\");\n"), [1, 3]);
    assert_eq!(of("/// ```\n/// let colour = 1; // its colour\n/// colour();\n/// ```\n"), [2]);
    let faults = |text: &str| bad_docs(text).len();
    assert_eq!(faults("/// Returns a\n/// word.\n///\n/// more\npub fn a() {}\n"), 0);
    assert_eq!(faults("/// Return a word.\npub fn a() {}\n"), 1);
    assert_eq!(faults("/// Returns a word\n#[inline]\npub fn a() {}\n"), 1);
    assert_eq!(faults("/// Of a word.\nstruct A;\n"), 1);
}

/// Reads the words in backticks from the table of words.
fn words(page: &str) -> Vec<Word> {
    let rows = page.lines().skip_while(|line| *line != HEAD).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (word, instead) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let quoted = word.split('`').skip(1).step_by(2);
        quoted.map(|word| Word { word: word.to_lowercase(), instead: instead.to_owned() })
    })
    .collect()
}

/// Returns the bad words in one line, as messages.
fn complaints(words: &[Word], file: &str, line: usize, text: &str) -> Vec<String> {
    let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join("_").to_lowercase();
    let bad = words.iter().filter(|word| names(&plain, &word.word));
    bad.map(|word| format!("{file}:{line}: \"{}\", use instead: {}", word.word, word.instead))
        .collect()
}

/// Returns the comments and the texts within quotes, line by line.
fn prose_of(source: &str) -> Vec<Prose> {
    let mut found = Vec::new();
    let mut is_example = false;
    let mut rest = source;
    let mut line = 1;
    while let Some(at) = rest.find(['/', '"', '\'', '\n', 'r']) {
        let before_is_name = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        line += usize::from(rest[at..].starts_with('\n'));
        let found_at = &rest[at..];
        let length = match found_at.as_bytes()[0] {
            b'/' if found_at.starts_with("//") => {
                let comment = found_at.lines().next().unwrap_or_default();
                found.extend(comment_of(comment, line, &mut is_example));
                comment.len()
            }
            b'"' => text_of(found_at, "\"", &mut line, &mut found),
            b'r' if !before_is_name => match raw_end(found_at) {
                Some(end) => text_of(found_at, &end, &mut line, &mut found),
                None => 1,
            },
            b'\'' => character(found_at),
            _ => 1,
        };
        rest = &found_at[length..];
    }
    found
}

/// Returns the prose of a comment. In an example of a doc it is the comment within the code.
fn comment_of(comment: &str, line: usize, is_example: &mut bool) -> Option<Prose> {
    let text = comment.trim_start_matches(['/', '!']).trim_start();
    let is_doc = comment.starts_with("///") || comment.starts_with("//!");
    if is_doc && text.starts_with("```") {
        *is_example ^= true;
        return None;
    }
    *is_example &= is_doc;
    let text = if *is_example { text.split_once("//")?.1 } else { text };
    Some(Prose { line, text: text.to_owned() })
}

/// Returns the end of the raw string that begins here, if one does.
fn raw_end(code: &str) -> Option<String> {
    let hashes = code[1..].bytes().take_while(|byte| *byte == b'#').count();
    code[1 + hashes..].starts_with('"').then(|| format!("\"{}", "#".repeat(hashes)))
}

/// Adds the lines of the string that begins here. Returns the length of the string.
fn text_of(code: &str, end: &str, line: &mut usize, found: &mut Vec<Prose>) -> usize {
    let start = code.find('"').map_or(1, |quote| quote + 1);
    let is_raw = code.starts_with('r');
    let mut at = start;
    while at < code.len() && !code[at..].starts_with(end) {
        let escaped = code[at..].starts_with('\\') && !is_raw;
        at += if escaped { 1 } else { 0 };
        at += code[at..].chars().next().map_or(1, char::len_utf8);
    }
    // A single word is data, such as the name of a file.
    let text = code.get(start..at).unwrap_or_default();
    let is_prose = text.contains(' ');
    for (number, part) in text.split('\n').enumerate() {
        *line += usize::from(number > 0);
        if is_prose {
            found.push(Prose { line: *line, text: without_values(part) });
        }
    }
    (at + end.len()).min(code.len())
}

/// Returns the text without the names of values between braces.
fn without_values(text: &str) -> String {
    text.split('{')
        .enumerate()
        .map(|(at, part)| if at == 0 { part } else { part.split_once('}').map_or("", |it| it.1) })
        .collect::<Vec<_>>()
        .join("_")
}

/// Returns the length of the character literal, or of the quote of a lifetime, that begins here.
fn character(code: &str) -> usize {
    let mut chars = code.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => code[2..].find('\'').map_or(1, |end| (end + 3).max(4)),
        Some((at, c)) if code[at + c.len_utf8()..].starts_with('\'') => at + c.len_utf8() + 1,
        _ => 1,
    }
}

/// Returns the docs whose first paragraph is not a sentence that stands alone, with their lines.
fn bad_docs(source: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let marker = ["///", "//!"].into_iter().find(|marker| line.starts_with(marker));
        let Some(marker) = marker.filter(|marker| at == 0 || !lines[at - 1].starts_with(marker))
        else {
            continue;
        };
        let docs = lines[at..].iter().take_while(|line| line.starts_with(marker));
        let docs: Vec<&str> = docs.map(|line| line[3..].trim()).collect();
        let first: Vec<&str> = docs.iter().copied().take_while(|line| !line.is_empty()).collect();
        let first = first.join(" ");
        let item = lines[at + docs.len()..].iter().find(|line| !line.starts_with("#["));
        let is_function = marker == "///"
            && item.is_some_and(|item| item.starts_with("pub ") && item.contains("fn "));
        found.extend(fault_of(&first, is_function).map(|fault| (at + 1, fault)));
    }
    found
}

fn fault_of(first: &str, is_function: bool) -> Option<String> {
    let word = first.split([' ', '(', ',', ':']).next().unwrap_or_default();
    let begins = |bad: &&str| first.strip_prefix(bad).is_some_and(|rest| rest.starts_with(' '));
    if let Some(bad) = BAD_STARTS.into_iter().find(begins) {
        return Some(format!("a doc begins with \"{bad}\""));
    }
    if !first.ends_with(['.', '?', '!']) && !first.ends_with("```") && !first.ends_with(".)") {
        return Some("the first sentence of a doc has no end".to_owned());
    }
    if is_function && !word.ends_with('s') && word != "See" {
        return Some(format!("the doc of a function begins with \"{word}\": say what it does"));
    }
    None
}
