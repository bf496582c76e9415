//! The imports between the files of a library, as read from their text.
//!
//! Paths that begin with `crate::`, `super::`, `self::` or the name of a child module count, in
//! `use` items and elsewhere. A re-exported name is followed to the file that defines it, and a
//! re-export is no import. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Source, code};

/// The module path of a file within its crate, such as `["hybrid_log", "tail"]`; empty for
/// `lib.rs`.
pub(crate) type Module = Vec<String>;

/// The modules of a crate, and the imports of each.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    pub(crate) arrows: BTreeMap<Module, BTreeSet<Module>>,
}

struct Crate {
    /// The code of each module, without tests.
    texts: BTreeMap<Module, String>,
    /// The names that a module re-exports, and the path of each.
    handed_on: BTreeMap<(Module, String), Module>,
}

impl Imports {
    /// Reads the crate whose sources are in `folder`, such as `engine/src/`.
    pub(crate) fn of(sources: &[Source], folder: &str) -> Self {
        let read = Crate::read(sources, folder);
        let mut arrows = BTreeMap::new();
        for (module, text) in &read.texts {
            let mut targets = BTreeSet::new();
            for (path, is_handed_on) in read.paths(module, text) {
                let target = read.resolve(&path);
                if !is_handed_on && target != *module {
                    targets.insert(target);
                }
            }
            arrows.insert(module.clone(), targets);
        }
        Self { arrows }
    }

    /// Returns the groups of modules that import each other in a circle.
    pub(crate) fn circles(&self) -> Vec<Vec<Module>> {
        let reach: BTreeMap<&Module, BTreeSet<&Module>> =
            self.arrows.keys().map(|from| (from, self.reachable(from))).collect();
        let mut circles: Vec<Vec<Module>> = Vec::new();
        for (from, reached) in &reach {
            let is_known = circles.iter().any(|circle| circle.contains(from));
            if !is_known && reached.contains(from) {
                let is_in = |to: &&&Module| reach[**to].contains(from);
                circles.push(reached.iter().filter(is_in).map(|to| (*to).clone()).collect());
            }
        }
        circles
    }

    fn reachable<'a>(&'a self, from: &'a Module) -> BTreeSet<&'a Module> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            for to in self.arrows.get(next).into_iter().flatten() {
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
        reached
    }

    /// Returns the imports between the top-level folders and files of the crate.
    pub(crate) fn of_folders(&self) -> Self {
        let top = |module: &Module| module.first().cloned().into_iter().collect::<Module>();
        let mut arrows: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (from, targets) in &self.arrows {
            let own = arrows.entry(top(from)).or_default();
            own.extend(targets.iter().map(top).filter(|to| *to != top(from)));
        }
        Self { arrows }
    }
}

impl Crate {
    fn read(sources: &[Source], folder: &str) -> Self {
        let mut files = BTreeMap::new();
        for source in sources {
            if let Some(name) = source.name.strip_prefix(folder) {
                files.insert(module_of(name), source.text.as_str());
            }
        }
        let mut tests = BTreeSet::new();
        let mut texts = BTreeMap::new();
        for (module, text) in &files {
            let (text, test_children) = without_tests(text);
            texts.insert(module.clone(), text);
            tests.extend(test_children.into_iter().map(|child| [&module[..], &[child]].concat()));
        }
        texts.retain(|module, _| !(1..=module.len()).any(|end| tests.contains(&module[..end])));
        let mut read = Self { texts, handed_on: BTreeMap::new() };
        let mut handed_on = BTreeMap::new();
        for (module, text) in &read.texts {
            for (path, _) in read.paths(module, text).into_iter().filter(|(_, handed)| *handed) {
                let name = path.last().cloned().unwrap_or_default();
                handed_on.insert((module.clone(), name), path);
            }
        }
        read.handed_on = handed_on;
        read
    }

    /// Returns the absolute paths that a module names, and whether it re-exports them.
    fn paths(&self, module: &Module, text: &str) -> Vec<(Module, bool)> {
        let mut paths = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(word) = next_word(text, at) {
            let (begin, end) = word;
            at = end;
            let is_path = text[end..].starts_with("::");
            let follows = begin >= 2 && &bytes[begin - 2..begin] == b"::";
            // A visibility is no import.
            let restricts = text[..begin].ends_with("pub(in ");
            if !is_path || follows || restricts {
                continue;
            }
            let Some(base) = self.base(module, &text[begin..end]) else { continue };
            let is_handed_on = is_handed_on(&text[..begin]);
            let mut leaves = Vec::new();
            at = tree(text, end + 2, &base, &mut leaves);
            paths.extend(leaves.into_iter().map(|leaf| (leaf, is_handed_on)));
        }
        paths
    }

    /// Returns the module that a path with this first word starts from.
    fn base(&self, module: &Module, word: &str) -> Option<Module> {
        let child = [&module[..], &[word.to_owned()]].concat();
        match word {
            "crate" => Some(Vec::new()),
            "self" => Some(module.clone()),
            "super" => Some(module[..module.len().saturating_sub(1)].to_vec()),
            _ => self.texts.contains_key(&child).then_some(child),
        }
    }

    /// Returns the module that defines the item of a path.
    fn resolve(&self, path: &Module) -> Module {
        let mut module = Vec::new();
        let mut rest = &path[..];
        while let Some((next, behind)) = rest.split_first() {
            let child = [&module[..], std::slice::from_ref(next)].concat();
            if self.texts.contains_key(&child) {
                (module, rest) = (child, behind);
                continue;
            }
            // The name is a re-export: the path continues from its source.
            match self.handed_on.get(&(module.clone(), next.clone())) {
                Some(source) if *source != *path => {
                    return self.resolve(&[&source[..], behind].concat());
                }
                _ => return module,
            }
        }
        module
    }
}

/// `hybrid_log/tail.rs` is `["hybrid_log", "tail"]`, `hybrid_log/mod.rs` is `["hybrid_log"]`.
fn module_of(name: &str) -> Module {
    let name = name.strip_suffix(".rs").unwrap_or(name);
    let parts = name.split('/').map(str::to_owned);
    let mut module: Module = parts.collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// Returns the code of a file without its test modules, and the names of test modules in other
/// files.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut children) = (String::new(), Vec::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_test = line.starts_with("#[cfg(")
            && (line.contains("test") || line.contains("loom"))
            && !line.contains("not(test")
            && line != "#[cfg(not(loom))]";
        if !is_test {
            kept.push_str(&code(line));
            kept.push('\n');
            continue;
        }
        // This skips the attributes of the item, and the item.
        let Some(item) = lines.by_ref().find(|line| !line.starts_with("#[")) else { break };
        if let Some(name) = item.strip_suffix(';').and_then(|item| item.split("mod ").nth(1)) {
            children.push(name.to_owned());
        }
        if item.ends_with('{') {
            lines.by_ref().find(|line| *line == "}");
        }
    }
    (kept, children)
}

/// Returns the place of the next identifier from `at` on.
fn next_word(text: &str, at: usize) -> Option<(usize, usize)> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let begin = (at..bytes.len()).find(|place| is_part(bytes[*place]))?;
    let end = (begin..bytes.len()).find(|place| !is_part(bytes[*place])).unwrap_or(bytes.len());
    Some((begin, end))
}

/// Returns whether the text before a path is `pub use` or `pub(..) use`.
fn is_handed_on(before: &str) -> bool {
    let Some(before) = before.strip_suffix("use ") else { return false };
    let before = before.trim_end();
    before.ends_with("pub")
        || before.ends_with(')')
            && before
                .rfind("pub(")
                .is_some_and(|at| !before[at..before.len() - 1].contains([')', ';']))
}

/// Reads a path or a tree of paths, and returns where it ends.
fn tree(text: &str, at: usize, base: &Module, leaves: &mut Vec<Module>) -> usize {
    let skip = |at: usize| at + text[at..].len() - text[at..].trim_start().len();
    let mut at = skip(at);
    if text[at..].starts_with('{') {
        at += 1;
        loop {
            at = skip(at);
            match text.as_bytes().get(at) {
                Some(b'}') => return at + 1,
                Some(b',') => at += 1,
                Some(_) => {
                    let next = tree(text, at, base, leaves);
                    if next == at {
                        return at;
                    }
                    at = next;
                }
                None => return at,
            }
        }
    }
    let Some((begin, end)) = next_word(text, at).filter(|(begin, _)| *begin == at) else {
        // This is `*`, or no path.
        leaves.push(base.clone());
        return if text[at..].starts_with('*') { at + 1 } else { at };
    };
    let word = &text[begin..end];
    let path = match word {
        "self" => base.clone(),
        "super" => base[..base.len().saturating_sub(1)].to_vec(),
        _ => [&base[..], &[word.to_owned()]].concat(),
    };
    if text[end..].starts_with("::") && !text[end..].starts_with("::<") {
        return tree(text, end + 2, &path, leaves);
    }
    leaves.push(path);
    // This is `as name`.
    let renamed = text[end..].strip_prefix(" as ").and_then(|_| next_word(text, end + 4));
    renamed.map_or(end, |(_, end)| end)
}

#[test]
fn paths_are_followed_to_where_names_are_defined() {
    let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let sources = [
        source("x/lib.rs", "mod a;\nmod b;\npub use a::One;\n"),
        source("x/a/mod.rs", "mod one;\nmod two;\npub(crate) use one::{One, Other as More};\n"),
        source("x/a/one.rs", "use super::two::f;\nfn g() { crate::b::h() }\n"),
        source("x/a/two.rs", "#[cfg(test)]\nmod tests {\n    use super::super::one::One;\n}\n"),
        source("x/b.rs", "use crate::{\n    a::{One, two::*},\n};\n"),
    ];
    let imports = Imports::of(&sources, "x/");
    let arrows = |from: &[&str]| -> Vec<String> {
        let from: Module = from.iter().map(|part| (*part).to_owned()).collect();
        imports.arrows[&from].iter().map(|to| to.join("/")).collect()
    };
    assert_eq!(arrows(&[]), [""; 0]);
    assert_eq!(arrows(&["a"]), [""; 0]);
    assert_eq!(arrows(&["a", "one"]), ["a/two", "b"]);
    assert_eq!(arrows(&["a", "two"]), [""; 0]);
    assert_eq!(arrows(&["b"]), ["a/one", "a/two"]);
    let circles: Vec<Vec<String>> = imports
        .circles()
        .iter()
        .map(|circle| circle.iter().map(|module| module.join("/")).collect())
        .collect();
    assert_eq!(circles, [["a/one", "b"]]);
}
