//! Deployments that are not what they should be: each lie is named.

use std::collections::BTreeMap;

use gridveil_auditor::deployment::{Generated, GeneratedCode, Outcome, check};
use gridveil_cli::verifiers::{Workshop, by_key};
use gridveil_protocol::{params::Shape, version::CircuitVersion};
use gridveil_prover::{
    progress::Silent,
    srs::{Srs, SrsSource, ceremony},
};
use gridveil_verifier_contract::{
    Address, Role,
    deployment::{DeploymentFile, Hex},
    ethers_client::OnChain,
    verifiers::code_hash,
};
use serde_json::json;

use super::{CHAIN_ID, World};

/// Ten bytes that return the word 1.
const ACCEPT_ALL: &str = "600160005260206000f3";
/// EIP-1167's clone of another contract.
const CLONE: &str = "363d3d373d3d3d363d73bebebebebebebebebebebebebebebebebebebebe5af43d82803e903d91602b57fd5bf3";

/// The code of a ceremony's verifiers.
fn generated(world: &World, name: &str, make: bool) -> BTreeMap<(u32, u32), GeneratedCode> {
    let path = world.path(name);
    let blake2b_512 = if make {
        ceremony::write(&path, 13).unwrap()
    } else {
        DeploymentFile::read(&world.path("deployment.json")).unwrap().setup.blake2b.unwrap().0
    };
    let srs = Srs::for_chain(CHAIN_ID, SrsSource::Ptau { path, blake2b_512 }, &world.path("cache")).unwrap();
    let workshop = Workshop::open(world.folder.path(), &srs, &Silent).unwrap();
    by_key(&workshop.all(CircuitVersion::CURRENT, &[Shape::default()]).unwrap())
}

/// What the check says of a deployment with these changes.
fn failures(file: &DeploymentFile, chain: &OnChain, generated: &Generated) -> String {
    let report = check(file, chain, generated);
    let failed = report.checks.iter().filter_map(|check| match &check.outcome {
        Outcome::Failed(what) => Some(format!("{}: {what}\n", check.subject)),
        Outcome::Ok(_) | Outcome::NotChecked(_) => None,
    });
    failed.collect()
}

pub fn every_lie_is_named(world: &World, file: &DeploymentFile) {
    let timelock = file.contracts.timelock.as_ref().map(|timelock| (timelock.address.0, timelock.from_block));
    let (runtime, client) = world.client(None);
    let inspect = || runtime.block_on(client.inspect(timelock)).unwrap();
    let chain = inspect();
    let right = generated(world, "rehearsal.ptau", false);
    let known = Generated::Code(right.clone());
    assert_eq!(failures(file, &chain, &known), "");

    // On chain: a verifier that says yes to everything, and one that another contract answers for.
    let at = file.settlement[0].address;
    let set_code = |code: &str| {
        world.node("anvil_setCode", json!([at, format!("0x{code}")]));
        inspect()
    };
    let yes = set_code(ACCEPT_ALL);
    let said = failures(file, &yes, &known);
    assert!(
        said.contains("accepts a proof that proves nothing") && said.contains("is not the one that was registered"),
        "{said}"
    );
    assert!(
        failures(file, &yes, &Generated::Unknown("no file".to_owned())).contains("accepts a proof that proves nothing")
    );
    let clone = set_code(CLONE);
    assert!(failures(file, &clone, &known).contains("is a proxy"));
    set_code(&hex::encode(&right[&(2, 1)].runtime));

    // By a deployer who lies from the beginning: file, registration and code agree with one another.
    let lying = |verifier: usize, code: Vec<u8>| {
        let (mut file, mut chain) = (file.clone(), chain.clone());
        let hash = code_hash(&code);
        let key = (chain.verifiers[verifier].circuit_version, chain.verifiers[verifier].shape);
        match file.settlement.iter_mut().find(|one| (one.circuit_version, one.shape_id) == key) {
            Some(one) => one.code_hash = Hex(hash),
            None => file.certificate.code_hash = Hex(hash),
        }
        chain.verifiers[verifier].contract.code = code;
        chain.verifiers[verifier].registered_hash = hash;
        failures(&file, &chain, &known)
    };
    let other = generated(world, "other.ptau", true);
    for (number, key) in [(0, (2, 1)), (1, (1_000_001, 0))] {
        let said = lying(number, other[&key].runtime.clone());
        assert!(said.lines().count() == 1 && said.contains("of another ceremony"), "{key:?}: {said}");
    }
    let swapped = lying(0, right[&(1_000_001, 0)].runtime.clone());
    assert!(swapped.contains("is the verifier CertificateSpend: shapes or versions are swapped"), "{swapped}");
    assert!(lying(0, hex::decode(CLONE).unwrap()).contains("is a proxy"));
    assert!(lying(0, vec![0xef, 0x01, 0x00, 1, 2, 3]).contains("is a proxy"));
    assert!(lying(0, vec![0x5f; 500]).contains("is not the verifier that follows from circuit and ceremony"));
    assert!(lying(0, Vec::new()).contains("there is no code"));
    everything_else(file, &chain, &known);
}

fn everything_else(file: &DeploymentFile, chain: &OnChain, known: &Generated) {
    type Case = (&'static str, fn(&mut DeploymentFile, &mut OnChain), &'static str);
    const STRANGER: Address = [9; 20];
    let cases: [Case; 18] = [
        ("another chain", |_, chain| chain.chain_id = 1, "chain: is 1 on chain"),
        ("a byte of the rollup", |_, chain| chain.rollup.code[9] ^= 1, "rollup: its code has the hash"),
        (
            "a rollup of other code, told",
            |file, chain| {
                chain.rollup.code[9] ^= 1;
                file.contracts.rollup.code_hash = Hex(code_hash(&chain.rollup.code));
            },
            "is not this program's rollup: its code differs from byte 9",
        ),
        ("another registry's money", |file, _| file.terms.treasury = Hex(STRANGER), "what its constructor fixed"),
        ("terms", |_, chain| chain.terms.forced_deadline_s += 1, "forced deadline, seconds"),
        ("a part of another rollup", |_, chain| chain.rollup_of[0] = STRANGER, "belongs to the rollup"),
        ("a hasher", |_, chain| chain.poseidon.code[50] ^= 1, "poseidon: its code has the hash"),
        (
            "a second operator",
            |_, chain| {
                _ = chain.roles.get_mut(&Role::Operator).unwrap().insert(STRANGER);
            },
            "role operator",
        ),
        (
            "the same for two roles",
            |file, chain| {
                let mdm = file.holders(Role::Mdm)[0];
                chain.roles.insert(Role::Regulator, [mdm.0].into());
                file.roles.iter_mut().find(|one| one.role == Role::Regulator).unwrap().accounts = vec![mdm];
            },
            "separation of roles",
        ),
        ("a role that nobody knows", |_, chain| _ = chain.unknown_roles.insert(STRANGER), "other roles"),
        (
            "a verifier nobody told of",
            |_, chain| {
                let mut more = chain.verifiers[0].clone();
                more.circuit_version = 3;
                chain.verifiers.push(more);
            },
            "other verifiers",
        ),
        ("another council", |_, chain| chain.council.appointed.council = Some(STRANGER), "council: is 0x0909"),
        ("no council on chain", |_, chain| chain.council.appointed.council = None, "council: is nobody on chain"),
        ("a council that is no Safe", |_, chain| chain.council.safe = None, "is no Safe of at least eight owners"),
        ("a verifier that is proven unsound", |_, chain| chain.verifiers[0].unsound = true, "is proven unsound"),
        ("a timelock without delay", |_, chain| chain.timelock.as_mut().unwrap().delay_s = 0, "timelock's delay"),
        (
            "an administrator of the timelock",
            |_, chain| {
                let roles = &mut chain.timelock.as_mut().unwrap().roles;
                _ = roles.get_mut("DEFAULT_ADMIN_ROLE").unwrap().insert(STRANGER);
            },
            "timelock's DEFAULT_ADMIN_ROLE",
        ),
        ("the development setup", |file, _| file.setup.name = "INSECURE-dev".to_owned(), "anyone can forge proofs"),
    ];
    for (name, change, says) in cases {
        let (mut file, mut chain) = (file.clone(), chain.clone());
        change(&mut file, &mut chain);
        let said = failures(&file, &chain, known);
        assert!(said.contains(says), "{name}: {said}");
    }
    // One that is to come is told, and is no lie yet.
    let mut later = chain.clone();
    later.council.appointed.next = Some((Some(STRANGER), 4_000_000_000));
    let told = check(file, &later, known);
    assert!(told.is_ok());
    let said = told.checks.iter().find(|check| check.subject == "council appointed").unwrap();
    assert!(matches!(&said.outcome, Outcome::NotChecked(what) if what.contains("becomes the council 2096-10-02")));
    let insecure = DeploymentFile {
        setup: gridveil_verifier_contract::deployment::Setup { name: "INSECURE-dev".to_owned(), ..file.setup.clone() },
        ..file.clone()
    };
    assert_eq!(check(&insecure, chain, known).verdict, "INSECURE, failed");
}
