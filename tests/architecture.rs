//! The shape of the workspace: who may depend on whom, and what every source file keeps to.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "architecture/version_2.rs"]
mod version_2;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// `a: b, c` reads "a may depend on b and c"; everything that is not listed is refused. The umbrella and `benches` may
/// depend on everything, and nothing depends on them, but for the umbrella, which has the measurements as a command.
const ARROWS: [(&str, &[&str]); 14] = [
    // Of use to any halo2 project.
    ("halo2-ifma", &[]),
    ("verifier-codegen", &[]),
    // Durable files, sealed envelopes, secret files, once for all.
    ("gridveil-keystore", &[]),
    ("gridveil-protocol", &[]),
    ("gridveil-circuits", &["gridveil-protocol"]),
    // What two sides share knows neither of them.
    ("gridveil-api", &["gridveil-protocol"]),
    ("gridveil-proving-api", &["gridveil-protocol"]),
    (
        "gridveil-prover",
        &["gridveil-keystore", "gridveil-circuits", "gridveil-protocol", "gridveil-proving-api", "halo2-ifma"],
    ),
    ("gridveil-meter-client", &["gridveil-keystore", "gridveil-api", "gridveil-protocol"]),
    // The generator only behind the feature `codegen`.
    ("gridveil-verifier-contract", &["gridveil-protocol", "verifier-codegen"]),
    // The sequencer links no proving system: proofs come through a trait, which the umbrella fills.
    (
        "gridveil-sequencer",
        &[
            "gridveil-keystore",
            "gridveil-api",
            "gridveil-protocol",
            "gridveil-proving-api",
            "gridveil-verifier-contract",
        ],
    ),
    ("gridveil-auditor", &["gridveil-protocol", "gridveil-circuits", "gridveil-verifier-contract"]),
    ("gridveil-cli", &PRODUCT),
    // The demonstration stands on the product, and no product crate knows of it.
    (
        "gridveil-demo",
        &[
            "gridveil-cli",
            "gridveil-api",
            "gridveil-keystore",
            "gridveil-protocol",
            "gridveil-circuits",
            "gridveil-prover",
            "gridveil-meter-client",
            "gridveil-verifier-contract",
            "gridveil-sequencer",
            "gridveil-auditor",
        ],
    ),
];
/// What the commands of a role stand on.
const PRODUCT: [&str; 10] = [
    "gridveil-api",
    "gridveil-keystore",
    "gridveil-protocol",
    "gridveil-proving-api",
    "gridveil-circuits",
    "gridveil-prover",
    "gridveil-meter-client",
    "gridveil-verifier-contract",
    "gridveil-sequencer",
    "gridveil-auditor",
];
const TOPS: [&str; 3] = ["gridveil", "gridveil-benches", "gridveil-fuzz"];
/// Crates that are of use to any halo2 project.
const FOR_OTHERS: [&str; 2] = ["halo2-ifma", "verifier-codegen"];
const LONGEST_FILE: usize = 800;

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

struct Dependency {
    from: String,
    to: String,
    dev: bool,
    optional: bool,
}

fn dependencies() -> Vec<Dependency> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |p: &serde_json::Value| p["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    assert_eq!(ours.len(), ARROWS.len() + TOPS.len(), "a crate is missing from this test: {ours:?}");
    let of = |p: &serde_json::Value| {
        let from = name(p);
        let one = move |d: &serde_json::Value| Dependency {
            from: from.clone(),
            to: name(d),
            dev: d["kind"] == "dev",
            optional: d["optional"] == true,
        };
        p["dependencies"].as_array().unwrap().iter().map(one).collect::<Vec<_>>()
    };
    packages.iter().flat_map(of).filter(|d| ours.contains(&d.to)).collect()
}

#[test]
fn arrows_point_the_allowed_way() {
    let allowed: BTreeMap<_, _> = ARROWS.into_iter().collect();
    for Dependency { from, to, dev, optional } in dependencies() {
        let loop_to_itself = dev && from == to;
        let command = (from.as_str(), to.as_str()) == ("gridveil", "gridveil-benches");
        assert!(
            loop_to_itself || command || !TOPS.contains(&to.as_str()),
            "{from} depends on {to}, on which nothing may depend"
        );
        if TOPS.contains(&from.as_str()) || dev {
            continue;
        }
        assert!(allowed[from.as_str()].contains(&to.as_str()), "{from} may not depend on {to}");
        let codegen = from == "gridveil-verifier-contract" && to == "verifier-codegen";
        assert!(!codegen || optional, "{from} depends on {to} outside the feature codegen");
    }
}

/// What `cargo test --workspace` has built of others, `cargo run` uses as it is: no dependency is asked for with other
/// features. Crates of this project may differ: a test's second circuit has no place in the product.
#[test]
fn no_dependency_is_built_twice() {
    let tree = |selected: &[&str], edges: &str| -> BTreeSet<String> {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--prefix", "none", "--format", "{p} {f}", "--edges", edges])
            .args(selected)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.trim_end_matches("(*)").trim().to_owned()).collect()
    };
    let tested = tree(&["--workspace"], "normal,build,dev");
    for selected in [&["--package", "gridveil"][..], &["--workspace"]] {
        let run = tree(selected, "normal,build");
        let again: Vec<_> = run.difference(&tested).filter(|line| !line.starts_with("gridveil")).collect();
        assert!(again.is_empty(), "{selected:?}: built with other features than in the tests: {again:?}");
    }
}

/// The minimum Rust version is written once, in Cargo.toml: `make` and the readers' pages follow it.
#[test]
fn one_minimum_rust_version() {
    let manifest = read(Path::new("Cargo.toml"));
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(read(Path::new("README.md")).contains(&format!("Rust {version}")), "README.md: Rust {version}");
    assert!(read(Path::new("Makefile")).contains("rust-version"), "the Makefile reads it from Cargo.toml");
}

/// A member's keys and signatures need neither a proving system nor an L1 client: what does is in the umbrella's
/// `member`.
#[test]
fn the_meter_client_proves_nothing_and_sends_nothing_to_l1() {
    let manifest = read(Path::new("meter-client/Cargo.toml"));
    for word in ["halo2", "ethers", "gridveil-circuits", "gridveil-prover", "gridveil-verifier-contract"] {
        assert!(!manifest.contains(word), "{word}");
    }
}

/// What server and clients, or sequencer and provers, share brings neither a proving system nor a network into either.
#[test]
fn what_is_shared_links_no_proving_system_and_no_network() {
    for crate_name in ["api", "proving-api"] {
        let manifest = read(&Path::new("crates").join(crate_name).join("Cargo.toml"));
        for word in ["halo2", "snark-verifier", "tokio", "axum", "reqwest", "ethers"] {
            assert!(!manifest.contains(word), "{crate_name}: {word}");
        }
    }
}

/// An answer of the API is a type of `gridveil-api`: neither put together as loose JSON nor read by index.
#[test]
fn answers_of_the_api_are_types() {
    for path in files().into_iter().filter(|p| p.starts_with("sequencer/src") && is(p, &["rs"])) {
        assert!(!read(&path).contains("json!("), "{}", path.display());
    }
    for path in files().into_iter().filter(|p| p.starts_with("meter-client/src/submit") && is(p, &["rs"])) {
        assert!(!read(&path).contains("Value"), "{}", path.display());
    }
}

/// What is of use to others must build without this project, its tests included.
#[test]
fn crates_for_others_know_nothing_of_this_project() {
    for name in FOR_OTHERS {
        let path = Path::new("crates").join(name).join("Cargo.toml");
        assert!(!read(&path).contains("gridveil"), "{}", path.display());
        assert!(root().join(&path).with_file_name("README.md").exists(), "{} has no README.md", path.display());
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
        let code = without_tests(&read(&path));
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

/// Families of clauses that a page of docs/spec states.
const FAMILIES: [&str; 12] =
    ["SETTLE.", "HEADER.", "STATE.", "FORCED.", "CERT.", "OP.", "ADJUST.", "NOTES.", "LOG.", "L1.", "VAULT.", "EXIT."];

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
    let sources = files().into_iter().filter(|p| is(p, &["rs", "sol"]) && !p.ends_with("tests/architecture.rs"));
    let tested: BTreeSet<String> = sources.flat_map(|p| clauses(&tests_in(&p))).collect();
    let missing: Vec<_> = specified.difference(&tested).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
    assert!(specified.len() > 70, "the specification was not read: {specified:?}");
}

#[test]
fn pages_the_sources_point_to_exist() {
    // This file only names pages.
    for path in files().into_iter().filter(|p| is(p, &["rs", "sol"]) && !p.ends_with("tests/architecture.rs")) {
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
fn without_tests(text: &str) -> String {
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
