//! The pages of data protection name tests and files that exist. That their commands exist, the binary's tests say.

use super::*;

/// The pages.
fn pages() -> Vec<PathBuf> {
    let page = |p: &PathBuf| {
        is(p, &["md"])
            && (p.starts_with("docs/gdpr")
                || ["docs/gdpr.md", "docs/how-to/export.md", "docs/privacy.md"].iter().any(|one| *p == Path::new(one)))
    };
    files().into_iter().filter(page).collect()
}

/// What stands between backticks, outside blocks of code.
fn quoted(text: &str) -> Vec<String> {
    let outside: String = text.split("```").step_by(2).collect();
    outside.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Names of tests are words of small letters with two underscores at least.
fn is_test(word: &str) -> bool {
    word.matches('_').count() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn every_name_on_the_pages_of_data_protection_is_there() {
    let pages = pages();
    assert_eq!(pages.len(), 6, "{pages:?}");
    let named: BTreeSet<String> =
        pages.iter().flat_map(|page| quoted(&read(page))).filter(|word| is_test(word)).collect();
    assert!(named.len() > 45, "{named:?}");
    let sources = files().into_iter().filter(|p| is(p, &["rs"]));
    let tests: BTreeSet<String> = sources
        .flat_map(|path| {
            let text = read(&path);
            let after: Vec<String> = text.split("fn ").skip(1).map(str::to_owned).collect();
            after
        })
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect();
    let missing: Vec<_> = named.difference(&tests).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    // Only the links of these pages; a page that is not there cannot be followed.
    for page in &pages {
        let text = read(page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                let path = root().join(page).parent().unwrap().join(target);
                assert!(path.exists() || path.with_extension("md").exists(), "{}: {link}", page.display());
            }
        }
    }
}
