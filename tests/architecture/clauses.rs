//! Clauses and pages that sources cite.

use super::*;

/// Families of clauses that a page of docs/spec states.
const FAMILIES: [&str; 13] = [
    "SETTLE.", "HEADER.", "STATE.", "FORCED.", "CERT.", "OP.", "ADJUST.", "NOTES.", "LOG.", "L1.", "VAULT.", "EXIT.",
    "CLOSE.",
];

/// Clause ids such as `SETTLE.1b` in a text.
fn clauses(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for family in FAMILIES {
        // `OP.` is also the end of other words.
        let whole = |at: &usize| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        for at in text.match_indices(family).map(|(at, _)| at).filter(whole) {
            let rest = &text[at + family.len()..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let letter = rest[digits.len()..].chars().next().filter(|c| matches!(c, 'a'..='d'));
            // A letter belongs to the id only if the word ends after it.
            let letter = letter.filter(|_| !rest[digits.len() + 1..].starts_with(|c: char| c.is_alphanumeric()));
            if !digits.is_empty() {
                found.insert(format!("{family}{digits}{}", letter.map(String::from).unwrap_or_default()));
            }
        }
    }
    found
}

#[test]
fn every_cited_clause_is_specified() {
    let (pages, sources): (Vec<_>, Vec<_>) =
        files().into_iter().filter(|p| is(p, &["rs", "sol", "md"])).partition(|p| p.starts_with("docs/spec"));
    let specified: BTreeSet<String> = pages.iter().flat_map(|p| clauses(&read(p))).collect();
    for path in sources {
        for clause in clauses(&read(&path)) {
            assert!(specified.contains(&clause), "{} cites {clause}, which no page of docs/spec has", path.display());
        }
    }
}

/// The part of a file that is tests: all of it in a folder of tests, or in a file of them; else what follows the first
/// test module or test function.
fn tests_in(path: &Path) -> String {
    let (text, name) = (read(path), path.to_string_lossy().into_owned());
    if name.contains("/tests/") || name.starts_with("tests/") || name.ends_with("tests.rs") || name.ends_with(".t.sol")
    {
        return text;
    }
    text.split_once("#[cfg(test)]").map(|(_, tests)| tests.to_owned()).unwrap_or_default()
}

/// Every clause that is specified is named by a test: the one that fails without it. Mutants of circuits are counted by
/// the circuits' own tests, constraint by constraint; this holds the other families to the same.
#[test]
fn every_specified_clause_is_named_by_a_test() {
    let pages = files().into_iter().filter(|p| is(p, &["md"]) && p.starts_with("docs/spec"));
    let specified: BTreeSet<String> = pages.flat_map(|p| clauses(&read(&p))).collect();
    let sources = files().into_iter().filter(|p| is(p, &["rs", "sol"]) && !p.starts_with("tests/architecture"));
    let tested: BTreeSet<String> = sources.flat_map(|p| clauses(&tests_in(&p))).collect();
    let missing: Vec<_> = specified.difference(&tested).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
    assert!(specified.len() > 70, "the specification was not read: {specified:?}");
}

#[test]
fn pages_the_sources_point_to_exist() {
    // These files only name pages.
    for path in files().into_iter().filter(|p| is(p, &["rs", "sol"]) && !p.starts_with("tests/architecture")) {
        let text = read(&path);
        for (at, _) in text.match_indices("docs/") {
            let rest: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/.-_".contains(*c)).collect();
            let page = rest.trim_end_matches('.');
            if is(Path::new(page), &["md"]) {
                assert!(root().join(page).exists(), "{} points to {page}, which does not exist", path.display());
            }
        }
    }
}
