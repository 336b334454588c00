//! Files of one crate that must not need each other.

use super::*;

/// Files of a crate that must not need each other, in neither direction through any others. A circle there once made a
/// part that could not be read, tested or moved alone.
const NO_CIRCLE: [(&str, &[&str]); 4] = [
    // An operation, a packet, an account: their bytes are made in `codec`, their hex in `hex`.
    ("protocol/src", &["account", "codec", "hex", "operation", "packet"]),
    // What a closing asks of L1, and what it selects.
    ("sequencer/src", &["l1", "batch/selection"]),
    // What a run finds, and the report of it.
    ("auditor/src", &["failure", "ledger", "report", "totals"]),
    // An auditor's commands and a member's.
    ("crates/cli/src", &["audit", "member"]),
];

/// Which module of a crate needs which others: module paths as in `crate::a::b`, by the file that has them.
fn needs(src: &str) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let path_of = |file: &Path| {
        let inner = file.strip_prefix(src).unwrap().with_extension("");
        let mut path: Vec<String> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        path.pop_if(|last| ["lib", "main", "mod"].contains(&last.as_str()));
        path
    };
    let sources = files().into_iter().filter(|file| file.starts_with(src) && is(file, &["rs"]));
    let texts: BTreeMap<Vec<String>, String> =
        sources.map(|file| (path_of(&file), without_tests(&read(&file)))).collect();
    let needed = |module: &[String], text: &str| {
        let mut needed = BTreeSet::new();
        for (word, base) in [("crate::", &[][..]), ("super::", &module[..module.len().saturating_sub(1)])] {
            for (at, _) in text.match_indices(word) {
                for tail in use_paths(&mut text[at + word.len()..].chars().peekable()) {
                    let mut path = [base, tail.as_slice()].concat();
                    while !path.is_empty() && !texts.contains_key(&path) {
                        path.pop();
                    }
                    needed.insert(path);
                }
            }
        }
        needed.retain(|path: &Vec<String>| !path.is_empty() && path.as_slice() != module);
        needed
    };
    texts.iter().map(|(module, text)| (module.clone(), needed(module, text))).collect()
}

/// A file without comments and without its tests, which may need anything.
pub fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths of a use tree such as `a::{b, c::d}`.
fn use_paths(text: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Vec<Vec<String>> {
    let skip =
        |text: &mut std::iter::Peekable<std::str::Chars<'_>>| while text.next_if(|c| c.is_whitespace()).is_some() {};
    skip(text);
    if text.next_if_eq(&'{').is_some() {
        let mut paths = Vec::new();
        loop {
            skip(text);
            match text.peek() {
                None | Some('}') => break,
                Some(_) => paths.extend(use_paths(text)),
            }
            // `as name`, and the comma.
            while text.next_if(|c| !matches!(*c, ',' | '}')).is_some() {}
            text.next_if_eq(&',');
        }
        text.next();
        return paths;
    }
    let mut name = String::new();
    while let Some(c) = text.next_if(|c| c.is_alphanumeric() || *c == '_') {
        name.push(c);
    }
    let mut rest = text.clone();
    if name.is_empty() || rest.next() != Some(':') || rest.next() != Some(':') {
        return vec![vec![name]];
    }
    *text = rest;
    use_paths(text).into_iter().map(|tail| [vec![name.clone()], tail].concat()).collect()
}

/// Everything that a module needs, itself or through others.
fn reach<'a>(
    graph: &'a BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    from: &'a Vec<String>,
) -> BTreeSet<&'a Vec<String>> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn no_circle_between_the_files_that_matter() {
    for (src, modules) in NO_CIRCLE {
        let graph = needs(src);
        for module in modules {
            // A room is its file and what lies in its folder.
            let room: Vec<&str> = module.split('/').collect();
            let mut files = graph
                .keys()
                .filter(|path| path.len() >= room.len() && path.iter().zip(&room).all(|(part, name)| part == name))
                .peekable();
            assert!(files.peek().is_some(), "{src} has no {module}");
            for file in files {
                let circle = reach(&graph, file).into_iter().any(|other| other == file);
                assert!(!circle, "{src}: {} needs itself through others", file.join("::"));
            }
        }
    }
}

#[test]
fn use_trees_are_read() {
    let paths = |text: &str| use_paths(&mut text.chars().peekable());
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(paths("a::b;"), [path("a::b")]);
    assert_eq!(
        paths("{\n a::{self, b as x, c::d},\n e,\n};"),
        [path("a::self"), path("a::b"), path("a::c::d"), path("e")]
    );
    assert_eq!(paths("a::f(crate::b)"), [path("a::f")]);
}
