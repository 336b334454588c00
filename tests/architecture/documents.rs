//! What pages list, against the sources.

use super::*;

/// Names of variables in a text: the project's prefix and what follows it.
fn variables(text: &str) -> BTreeSet<String> {
    let prefix = ["GRID", "VEIL_"].concat();
    let name = |at: usize| {
        let rest = &text[at + prefix.len()..];
        let length = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        rest[..length.unwrap_or(rest.len())].to_owned()
    };
    // Two underscores begin a setting of the sequencer's file, of which the page has the form.
    text.match_indices(&prefix)
        .map(|(at, _)| name(at))
        .filter(|name| !name.is_empty() && !name.starts_with('_'))
        .collect()
}

#[test]
fn every_variable_is_on_its_page() {
    let page = variables(&read(Path::new("docs/reference/environment.md")));
    let sources = files().into_iter().filter(|p| is(p, &["rs", "sh"]) || p.ends_with("Makefile"));
    let read_somewhere: BTreeSet<String> = sources.flat_map(|path| variables(&read(&path))).collect();
    assert_eq!(page, read_somewhere);
}
