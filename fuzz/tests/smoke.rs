//! Every target, for a while, on mutations of valid inputs.
//!
//! `GRIDVEIL_FUZZ_SECONDS`: seconds a target, 1 if absent. `GRIDVEIL_FUZZ_SEED`: any text, such as a commit's hash.
//! `GRIDVEIL_FUZZ_CORPUS`: a directory that the valid inputs are written to, one directory a target, for libFuzzer.
#![allow(clippy::unwrap_used, clippy::panic)]

mod seeds;

use std::{env, fs, path::Path, time::Duration};

use gridveil_fuzz::{
    TARGETS,
    harness::{Random, exercise},
};

fn seconds() -> f64 {
    env::var("GRIDVEIL_FUZZ_SECONDS").map_or(1.0, |text| text.parse().expect("GRIDVEIL_FUZZ_SECONDS is a number"))
}

#[test]
fn no_decoder_stumbles() {
    let seed = env::var("GRIDVEIL_FUZZ_SEED").unwrap_or_default();
    let time = Duration::from_secs_f64(seconds());
    for (name, check) in TARGETS {
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
    }
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
