//! Who may depend on whom, and on what of others.

use super::*;

/// `a: b, c` reads "a may depend on b and c"; everything that is not listed is refused. The umbrella and `benches` may
/// depend on everything, and nothing depends on them, but for the umbrella, which has the measurements as a command.
const ARROWS: [(&str, &[&str]); 16] = [
    // Of use to any halo2 project.
    ("halo2-ifma", &[]),
    ("verifier-codegen", &[]),
    // Durable files, sealed envelopes, secret files, once for all.
    ("gridveil-keystore", &[]),
    ("gridveil-protocol", &[]),
    // Meter files into intervals: of use to anybody who has one.
    ("gridveil-readings", &[]),
    ("gridveil-circuits", &["gridveil-protocol"]),
    // Log lines, traces and a listener for metrics, of any service.
    ("gridveil-telemetry", &[]),
    // What two sides share knows neither of them.
    ("gridveil-api", &["gridveil-protocol"]),
    ("gridveil-proving-api", &["gridveil-protocol"]),
    (
        "gridveil-prover",
        &[
            "gridveil-keystore",
            "gridveil-circuits",
            "gridveil-protocol",
            "gridveil-proving-api",
            "gridveil-telemetry",
            "halo2-ifma",
        ],
    ),
    ("gridveil-meter-client", &["gridveil-keystore", "gridveil-api", "gridveil-protocol", "gridveil-readings"]),
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
            "gridveil-telemetry",
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
            "gridveil-proving-api",
            "gridveil-meter-client",
            "gridveil-readings",
            "gridveil-verifier-contract",
            "gridveil-sequencer",
            "gridveil-auditor",
        ],
    ),
];

/// What the commands of a role stand on.
const PRODUCT: [&str; 12] = [
    "gridveil-api",
    "gridveil-keystore",
    "gridveil-protocol",
    "gridveil-proving-api",
    "gridveil-circuits",
    "gridveil-prover",
    "gridveil-meter-client",
    "gridveil-readings",
    "gridveil-verifier-contract",
    "gridveil-sequencer",
    "gridveil-auditor",
    "gridveil-telemetry",
];

const TOPS: [&str; 3] = ["gridveil", "gridveil-benches", "gridveil-fuzz"];

/// Crates that are of use to any halo2 project.
const FOR_OTHERS: [&str; 2] = ["halo2-ifma", "verifier-codegen"];

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

/// What a small device beside a meter runs (`--no-default-features`) has neither proofs nor an L1 client nor a service.
#[test]
fn the_build_for_a_small_device_has_the_meter_client_alone() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "gridveil", "--no-default-features", "--prefix", "none"])
        .args(["--format", "{p}", "--edges", "normal"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    let ours: Vec<&str> = names.iter().copied().filter(|name| name.starts_with("gridveil")).collect();
    let client = ["api", "keystore", "meter-client", "protocol", "readings"].map(|name| format!("gridveil-{name}"));
    assert_eq!(ours, [&["gridveil".to_owned()][..], &client].concat());
    for word in ["halo2", "snark", "ethers", "alloy", "evm", "sled", "postgres", "axum", "rayon", "plotters", "pdf"] {
        let found: Vec<_> = names.iter().filter(|name| name.starts_with(word)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
    assert!(names.contains("ring") && names.contains("jiff"), "{names:?}");
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

/// What is of use to others must build without this project, its tests included.
#[test]
fn crates_for_others_know_nothing_of_this_project() {
    for name in FOR_OTHERS {
        let path = Path::new("crates").join(name).join("Cargo.toml");
        assert!(!read(&path).contains("gridveil"), "{}", path.display());
        assert!(root().join(&path).with_file_name("README.md").exists(), "{} has no README.md", path.display());
    }
}

/// A link of a binary takes as long as many tests. The workspace's shape is one of its own: it is run alone.
#[test]
fn a_package_has_one_binary_of_tests() {
    let mut binaries: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in files().into_iter().filter(|path| is(path, &["rs"])) {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let Some(at) = parts.iter().position(|part| part == "tests") else { continue };
        let below: Vec<&str> = parts[at + 1..].iter().map(String::as_str).collect();
        let package: PathBuf = parts[..at].iter().collect();
        if root().join(&package).join("Cargo.toml").exists() && matches!(below[..], [_] | [_, "main.rs"]) {
            binaries.entry(package).or_default().push(path);
        }
    }
    assert!(binaries.len() > 8);
    for (package, found) in binaries {
        let most = if package == Path::new("") { 2 } else { 1 };
        assert!(found.len() <= most, "{found:?}");
    }
}
