//! Every target, for a while, on mutations of valid inputs.
//!
//! `GRIDVEIL_FUZZ_SECONDS`: seconds a target, 1 if absent. `GRIDVEIL_FUZZ_SEED`: any text, such as a commit's hash.
//! `GRIDVEIL_FUZZ_CORPUS`: a directory that the valid inputs are written to, one directory a target, for libFuzzer.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seeds;

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use gridveil_fuzz::{
    Check, TARGETS,
    harness::{Random, exercise},
};

fn seconds() -> f64 {
    env::var("GRIDVEIL_FUZZ_SECONDS").map_or(1.0, |text| text.parse().expect("GRIDVEIL_FUZZ_SECONDS is a number"))
}

#[test]
fn no_decoder_stumbles() {
    let seed = env::var("GRIDVEIL_FUZZ_SEED").unwrap_or_default();
    let time = Duration::from_secs_f64(seconds());
    let run = |name: &str, check: Check| {
        let inputs = seeds::of(name);
        assert!(!inputs.is_empty(), "{name} has no seed");
        let mut random = Random::of(&format!("{seed} {name}"));
        match exercise(check, &inputs, &mut random, time) {
            Ok(rounds) => println!("{name}: {rounds} inputs"),
            Err(failure) => panic!(
                "{name}: {}\nGRIDVEIL_FUZZ_SEED={seed:?}, input (hex): {}",
                failure.message,
                hex::encode(&failure.input)
            ),
        }
    };
    // Every processor takes the next target. A target's inputs do not depend on who runs it.
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = || {
            while let Some((name, check)) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
                run(name, *check);
            }
        };
        let all: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in all {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// The page lists every decoder of the project with its target, or why it has none; each is where the page says.
#[test]
fn the_page_lists_every_decoder_and_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/how-to/fuzz.md")).unwrap();
    let mut listed = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [file, decoders, _, targets] = cells[..] else { continue };
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let source = fs::read_to_string(root.join(&quoted(file)[0])).unwrap_or_else(|error| panic!("{file}: {error}"));
        for decoder in quoted(decoders) {
            assert!(source.contains(&decoder), "{file} has no {decoder}");
        }
        assert!(!targets.is_empty(), "{file}: {decoders} has neither a target nor a reason");
        if !targets.starts_with("none: ") {
            listed.extend(quoted(targets));
        }
    }
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed, targets, "the page and the targets differ");
}

/// A seed that its decoder refuses would make the target test nothing.
#[test]
fn every_seed_is_read() {
    for (name, _) in TARGETS {
        for (number, input) in seeds::of(name).iter().enumerate() {
            assert!(seeds::is_read(name, input), "{name}, seed {number}");
        }
    }
}

#[test]
fn every_target_has_its_file_for_libfuzzer() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let source = fs::read_to_string(directory.join(format!("{name}.rs"))).unwrap();
        assert!(source.contains(&format!("::{name}(")), "{name}.rs calls another function");
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"{name}.rs\"")),
            "{name} is not in the manifest"
        );
    }
}

#[test]
fn seeds_become_a_corpus() {
    let Some(corpus) = env::var_os("GRIDVEIL_FUZZ_CORPUS") else { return };
    for (name, _) in TARGETS {
        let directory = Path::new(&corpus).join(name);
        fs::create_dir_all(&directory).unwrap();
        for (number, input) in seeds::of(name).iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), input).unwrap();
        }
    }
}
