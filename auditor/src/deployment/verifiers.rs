//! The verifiers of a deployment: whoever deploys a false one takes the pool, so each way of being false has a name.

use std::collections::BTreeSet;

use gridveil_protocol::{hex::hex0, params::Shape};
use gridveil_verifier_contract::{
    Word,
    deployment::{Account, DeploymentFile, INSECURE},
    ethers_client::{OnChain, VerifierOnChain},
    verifiers::{COMMITTED, code_hash},
};

use super::{DeploymentReport, Generated, GeneratedCode, Outcome};

/// A verifier as the file has it: the certificate verifier has no shape.
struct Expected<'a> {
    name: &'a str,
    key: (u32, u32),
    size: (u32, u16),
    proof_length: u32,
    address: Account,
    code_hash: Word,
}

fn expected(file: &DeploymentFile) -> Vec<Expected<'_>> {
    let settlement = file.settlement.iter().map(|one| Expected {
        name: &one.name,
        key: (one.circuit_version, one.shape_id),
        size: (one.slots, one.m),
        proof_length: one.proof_length,
        address: one.address,
        code_hash: one.code_hash.0,
    });
    let one = &file.certificate;
    let certificate = Expected {
        name: &one.name,
        key: (one.circuit_version, 0),
        size: (0, 0),
        proof_length: one.proof_length,
        address: one.address,
        code_hash: one.code_hash.0,
    };
    settlement.chain([certificate]).collect()
}

pub(super) fn check(report: &mut DeploymentReport, file: &DeploymentFile, chain: &OnChain, generated: &Generated) {
    let all = expected(file);
    for one in &all {
        let found = chain.verifiers.iter().find(|found| (found.circuit_version, found.shape) == one.key);
        let outcome = match found {
            None => Outcome::Failed("is not registered on chain".to_owned()),
            Some(found) => judge(one, found, &all, generated),
        };
        report.push(format!("verifier {}", one.name), outcome);
    }
    for one in &file.settlement {
        let size = Shape::by_name(&one.shape).filter(|shape| shape.id == one.shape_id);
        let size =
            size.and_then(|shape| Some((u32::try_from(shape.members).ok()?, u16::try_from(shape.intervals).ok()?)));
        if size.is_some_and(|size| size != (one.slots, one.m)) || size.is_none() {
            let what = format!("the file says {} slots and {} intervals of shape {}", one.slots, one.m, one.shape);
            report.push(format!("shape {}", one.shape), Outcome::Failed(what));
        }
    }
    let known: BTreeSet<(u32, u32)> = all.iter().map(|one| one.key).collect();
    for found in chain.verifiers.iter().filter(|found| !known.contains(&(found.circuit_version, found.shape))) {
        let what = format!(
            "{} is registered for circuit version {}, shape {}, and is not in the file",
            hex0(found.contract.address),
            found.circuit_version,
            found.shape
        );
        report.push("other verifiers", Outcome::Failed(what));
    }
}

fn judge(one: &Expected<'_>, found: &VerifierOnChain, all: &[Expected<'_>], generated: &Generated) -> Outcome {
    let code = &found.contract.code;
    let hash = code_hash(code);
    let mut wrong = Vec::new();
    if found.contract.address != one.address.0 {
        wrong.push(format!("is {} on chain, and {} in the file", hex0(found.contract.address), one.address));
    }
    if found.size != one.size {
        wrong.push(format!("has {} slots and {} intervals on chain", found.size.0, found.size.1));
    }
    if found.proof_length != one.proof_length {
        wrong.push(format!("takes proofs of {} bytes, and {} in the file", found.proof_length, one.proof_length));
    }
    if hash != found.registered_hash {
        wrong.push("its code is not the one that was registered".to_owned());
    }
    if found.retired {
        wrong.push("its version is retired".to_owned());
    }
    if found.unsound {
        wrong.push("it is proven unsound: L1 takes nothing with its proofs, for ever".to_owned());
    }
    if found.accepts_anything {
        wrong.push("accepts a proof that proves nothing".to_owned());
    }
    if hash != one.code_hash {
        wrong.push(format!("its code has the hash {} on chain, and {} in the file", hex0(hash), hex0(one.code_hash)));
    }
    let right = match generated {
        Generated::Code(by_key) => by_key.get(&one.key),
        Generated::Unknown(_) => None,
    };
    match right {
        Some(right) if right.runtime == *code => {}
        Some(_) => wrong.push(foreign(one, code, all, generated)),
        None if hash != one.code_hash || found.accepts_anything => wrong.push(foreign(one, code, all, generated)),
        None => {}
    }
    let dev = COMMITTED.iter().any(|committed| committed.code_hash == hex::encode(hash));
    if dev && !one.name.contains(INSECURE) {
        wrong.push(format!("is the {INSECURE} development verifier: anyone can forge proofs"));
    }
    match (wrong.is_empty(), generated, right) {
        (false, ..) => Outcome::Failed(wrong.join("; ")),
        (true, Generated::Code(_), Some(_)) => {
            Outcome::Ok(format!("{}, made again from circuit and ceremony", one.address))
        }
        (true, Generated::Code(_), None) => Outcome::NotChecked(format!(
            "{}: this program has no circuit of version {}; its code has the hash of the file",
            one.address, one.key.0
        )),
        (true, Generated::Unknown(why), _) => Outcome::NotChecked(format!(
            "{}: its code has the hash of the file, which was not made again: {why}",
            one.address
        )),
    }
}

/// What some code is that is not the verifier it should be.
fn foreign(one: &Expected<'_>, code: &[u8], all: &[Expected<'_>], generated: &Generated) -> String {
    if code.is_empty() {
        return "there is no code at its address".to_owned();
    }
    let hash = code_hash(code);
    let by_code = match generated {
        Generated::Code(by_key) => by_key.iter().find(|(_, made)| made.runtime == code).map(|(key, _)| *key),
        Generated::Unknown(_) => None,
    };
    let other = all.iter().find(|other| {
        other.key != one.key && (Some(other.key) == by_code || (by_code.is_none() && other.code_hash == hash))
    });
    if let Some(other) = other {
        return format!("is the verifier {}: shapes or versions are swapped", other.name);
    }
    if let Generated::Code(by_key) = generated
        && by_key.get(&one.key).is_some_and(|made| same_program(made, code))
    {
        return "is a verifier of the same circuit with other constants: of another ceremony, or of other keys"
            .to_owned();
    }
    if is_proxy(code) {
        return "is a proxy: its code can be exchanged".to_owned();
    }
    match generated {
        Generated::Code(_) => "is not the verifier that follows from circuit and ceremony".to_owned(),
        Generated::Unknown(_) => "is another contract than the file's".to_owned(),
    }
}

/// The operations of some code with the places of its constants, and how far it is read.
fn operations(code: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let operation = *code.get(at)?;
        let here = at;
        // PUSH1 to PUSH32 are followed by their constant.
        at += 1 + if (0x60..=0x7f).contains(&operation) { usize::from(operation - 0x5f) } else { 0 };
        Some((here, operation))
    })
}

/// Do two verifiers differ in their constants alone? A constant with leading zeros is shorter, so what follows moves: the
/// operations are compared, a push being a push.
fn same_program(made: &GeneratedCode, code: &[u8]) -> bool {
    let shape = |code: &[u8]| -> Vec<u8> {
        let end = code.len().saturating_sub(made.pool_bytes);
        let push = |operation: u8| if (0x5f..=0x7f).contains(&operation) { 0x60 } else { operation };
        operations(code).take_while(|(at, _)| *at < end).map(|(_, operation)| push(operation)).collect()
    };
    let (expected, found) = (shape(&made.runtime), shape(code));
    // Where the constants begin, a few bytes may be read as operations.
    let length = expected.len().min(found.len());
    let common = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    length > 100 && common + 16 >= length && expected.len().abs_diff(found.len()) <= 16
}

/// EIP-1167's clone, EIP-7702's designator, or any code that runs another account's.
pub(super) fn is_proxy(code: &[u8]) -> bool {
    const CLONE: &[u8] = &[0x36, 0x3d, 0x3d, 0x37, 0x3d, 0x3d, 0x3d, 0x36, 0x3d, 0x73];
    const DELEGATED: &[u8] = &[0xef, 0x01, 0x00];
    const CALLCODE: u8 = 0xf2;
    const DELEGATECALL: u8 = 0xf4;
    code.starts_with(CLONE)
        || code.starts_with(DELEGATED)
        || operations(code).any(|(_, operation)| [CALLCODE, DELEGATECALL].contains(&operation))
}
