//! The page of metrics is what is registered: `GRIDVEIL_BLESS=1` writes it.

use std::{fmt::Write as _, fs, path::Path};

use super::Metrics;

/// Where the table is, between these two.
const BEGIN: &str = "<!-- sequencer: begin -->\n";
const END: &str = "<!-- sequencer: end -->\n";

#[test]
fn every_metric_is_on_its_page() {
    let mut table = "| metric | kind | what it is |\n|---|---|---|\n".to_owned();
    for (name, kind, help) in &Metrics::default().page {
        assert!(help.len() > 10 && !help.ends_with('.'), "{name}: {help}");
        writeln!(table, "| `{name}` | {kind} | {help} |").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if std::env::var_os("GRIDVEIL_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(shown, table, "GRIDVEIL_BLESS=1 writes the page");
    }
}
