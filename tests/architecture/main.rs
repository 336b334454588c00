//! The shape of the workspace: who may depend on whom, and what every source file keeps to.
#![allow(clippy::unwrap_used, clippy::panic)]

mod circles;
mod clauses;
mod crates;
mod documents;
mod gdpr;
mod version_2;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

const LONGEST_FILE: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project that people write, by path relative to the root.
fn files() -> Vec<PathBuf> {
    const LEFT_OUT: [&str; 6] = ["target", "node_modules", ".git", "out", "cache", "generated"];
    let mut found = Vec::new();
    let mut open = vec![root().to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !LEFT_OUT.contains(&name.as_str()) {
                open.push(path);
            } else if path.is_file() {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

fn is(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// An answer of the API is a type of `gridveil-api`: neither put together as loose JSON nor read by index.
#[test]
fn answers_of_the_api_are_types() {
    for path in files().into_iter().filter(|p| p.starts_with("sequencer/src") && is(p, &["rs"])) {
        assert!(!read(&path).contains("json!("), "{}", path.display());
    }
    let client = |p: &PathBuf| p.starts_with("meter-client/src/submit") || p == Path::new("meter-client/src/submit.rs");
    let client: Vec<PathBuf> = files().into_iter().filter(client).collect();
    assert!(client.len() > 1, "the file and its folder");
    for path in client {
        assert!(!read(&path).contains("Value"), "{}", path.display());
    }
}

#[test]
fn the_protocol_is_pure() {
    for path in files().into_iter().filter(|p| p.starts_with("protocol/src") && is(p, &["rs"])) {
        for word in [
            "std::fs",
            "std::net",
            "std::time",
            "std::env",
            "std::process",
            "std::thread",
            "halo2",
            "getrandom",
            "println!",
        ] {
            assert!(!read(&path).contains(word), "{}: {word}", path.display());
        }
    }
}

/// `settlement::apply` and the batch builder clear through `clear_all`, and the transition carries the result. Only what
/// has no transition any more computes it again: the reader of the log after a restart, and a prover, which applies the
/// job since it must not trust.
#[test]
fn the_market_of_a_settlement_is_cleared_in_one_place() {
    let product = |path: &PathBuf| {
        let source = path.components().any(|part| part.as_os_str() == "src") && is(path, &["rs"]);
        let name = path.file_name().unwrap().to_string_lossy();
        source && !path.starts_with("benches") && !name.ends_with("_tests.rs")
    };
    let calls = |call: &str| {
        let called = |path: &PathBuf| vec![path.display().to_string(); read(path).matches(call).count()];
        files().into_iter().filter(product).flat_map(|path| called(&path)).collect::<Vec<_>>()
    };
    assert_eq!(calls("market::clear("), ["protocol/src/settlement/clearing.rs"]);
    // Its own declaration is `clear_all(input`.
    assert_eq!(calls("clear_all(&"), ["protocol/src/settlement/batch_builder.rs", "protocol/src/settlement.rs"]);
    assert_eq!(calls("settlement::compute("), ["sequencer/src/store/reader.rs"]);
}

#[test]
fn unsafe_code_is_forbidden_where_nothing_needs_it() {
    for path in [
        "crates/keystore/src/lib.rs",
        "crates/readings/src/lib.rs",
        "protocol/src/lib.rs",
        "prover/src/lib.rs",
        "crates/verifier-codegen/src/lib.rs",
        "meter-client/src/lib.rs",
        "auditor/src/lib.rs",
        "crates/cli/src/lib.rs",
        "demo/src/lib.rs",
        "src/main.rs",
    ] {
        assert!(read(Path::new(path)).contains("#![forbid(unsafe_code)]"), "{path}");
    }
    // The vector prover has the only unsafe code (docs/adr/0004), and allows it module by module.
    assert!(read(Path::new("crates/halo2-ifma/src/lib.rs")).contains("#![deny(unsafe_code)]"));
    for path in files()
        .into_iter()
        .filter(|p| is(p, &["rs"]) && !p.starts_with("crates/halo2-ifma/src") && !p.starts_with("tests"))
    {
        let line = read(&path)
            .lines()
            .find(|line| line.trim_start().starts_with("unsafe ") || line.contains("= unsafe {"))
            .map(str::to_owned);
        assert_eq!(line, None, "{}", path.display());
    }
}

/// Only tests change cells of a witness table: a product is built without the hooks, and none of its code names them.
#[test]
fn only_tests_switch_the_hooks_of_the_witness_table_on() {
    const FEATURE: &str = "test-hooks";
    let mut switched_on = 0;
    for path in files().into_iter().filter(|p| p.ends_with("Cargo.toml")) {
        let text = read(&path);
        let mut section = "";
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            section = if line.starts_with('[') { line } else { section };
            let its_own = section == "[features]" && line == format!("{FEATURE} = []");
            if line.contains(FEATURE) && !its_own {
                assert_eq!(section, "[dev-dependencies]", "{}: {line}", path.display());
                switched_on += 1;
            }
        }
    }
    assert!(switched_on > 0, "the feature {FEATURE} is gone");
    let hooks = [FEATURE, "test_hooks", ".tamper(", ".falsify(", ".record_names(", ".computed_counts("];
    let own = |path: &Path| path.starts_with("circuits/src/trace") || path.ends_with("circuits/src/trace.rs");
    let product = |path: &Path| is(path, &["rs"]) && path.iter().any(|part| part == "src") && !own(path);
    for path in files().into_iter().filter(|path| product(path)) {
        let code = circles::without_tests(&read(&path));
        let named = hooks.iter().find(|hook| code.contains(**hook));
        assert_eq!(named, None, "{} uses a hook for tests", path.display());
    }
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    for path in files().into_iter().filter(|p| is(p, &["rs", "sol", "ts", "js", "svelte", "py"])) {
        let lines = read(&path).lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines, more than {LONGEST_FILE}: split it", path.display());
    }
}

#[test]
fn no_path_of_one_machine() {
    // Put together here, so that this file does not contain them.
    let roots = ["root", "home", "work", "Users"].map(|x| format!("/{x}/"));
    let before = |c: char| c.is_alphanumeric() || c == '.' || c == '_' || c == '-' || c == '}';
    for path in files()
        .into_iter()
        .filter(|p| is(p, &["rs", "sol", "ts", "js", "svelte", "py", "md", "toml", "json", "sh", "mk"]))
    {
        let text = read(&path);
        for root in &roots {
            let absolute = text.match_indices(root.as_str()).any(|(at, _)| !text[..at].ends_with(before));
            assert!(!absolute, "{} contains the machine path {root}", path.display());
        }
    }
}
