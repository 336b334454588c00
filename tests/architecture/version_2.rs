//! Version 2 stays what it is, byte for byte: its layouts, keys, verifiers and gas are hashed in one committed list.

use std::{collections::BTreeSet, path::Path};

use gridveil_protocol::version::CircuitVersion;
use gridveil_verifier_contract::verifiers::of_version;

use super::{read, root};

/// The list: a hash and what it is of, a line each. `make generate` writes it.
const LIST: &str = "circuits/golden/version-2.b3";
/// Folders of which every file is in the list.
const FOLDERS: [&str; 3] = ["circuits/golden/v2", "circuits/golden/v1000001", "verifier-contract/snapshots"];
/// Hashes of the keys that the circuits' own tests make.
const KEYS: &str = "circuits/golden/keys.txt";
/// Contract name of the certificate verifier.
const CERTIFICATE: &str = "CertificateSpend";

fn verifiers() -> Vec<&'static str> {
    of_version(CircuitVersion::V2).map(|verifier| verifier.name).chain([CERTIFICATE]).collect()
}

/// Files of version 2 and of the certificate circuit, sorted.
fn paths() -> BTreeSet<String> {
    let mut paths = BTreeSet::from([KEYS.to_owned()]);
    for folder in FOLDERS {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            paths.insert(format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    for name in verifiers() {
        paths.insert(format!("verifier-contract/verifiers/{name}.yul"));
        paths.insert(format!("verifier-contract/artifacts/{name}.json"));
    }
    paths
}

/// What halo2's transcript begins with, the hash of the verifying key: the first word that a verifier writes. (That the
/// verifier is the key's, `generate --check` compares.)
fn key_in(verifier: &str) -> String {
    let source = read(Path::new(&format!("verifier-contract/verifiers/{verifier}.yul")));
    let words = source.lines().filter_map(|line| line.trim().strip_prefix("mstore(0x")?.split_once(", 0x"));
    let key = words.filter_map(|(_, word)| word.strip_suffix(')')).find(|word| word.len() == 64);
    key.unwrap_or_else(|| panic!("{verifier} has no key")).to_owned()
}

fn list() -> String {
    let files = paths().into_iter().map(|path| {
        let bytes = std::fs::read(root().join(&path)).unwrap();
        format!("{}  {path}\n", blake3::hash(&bytes).to_hex())
    });
    let keys = verifiers().into_iter().map(|name| format!("{}  key of {name}\n", key_in(name)));
    files.chain(keys).collect()
}

#[test]
fn version_2_is_what_it_was() {
    let found = list();
    if std::env::var_os("GRIDVEIL_BLESS").is_some() {
        std::fs::write(root().join(LIST), &found).unwrap();
    }
    let committed = read(Path::new(LIST));
    let [is, was] = [&found, &committed].map(|list| list.lines().collect::<BTreeSet<_>>());
    assert!(
        is == was,
        "{LIST} says otherwise; `make generate` writes it again, on purpose.\nNow: {:#?}\nThere: {:#?}",
        is.difference(&was).collect::<Vec<_>>(),
        was.difference(&is).collect::<Vec<_>>()
    );
}
