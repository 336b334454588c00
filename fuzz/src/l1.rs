//! What an auditor reads from a node that may lie: calldata, records, proofs.

use std::{path::Path, sync::OnceLock};

use gridveil_circuits::{
    certificate::K,
    verify::{CERTIFICATE_ROWS, Verifier, VerifyError, proof_bytes},
};
use gridveil_protocol::{
    field::{Fr, from_bytes},
    record::{self, Record},
};
use gridveil_prover::{
    progress::Silent,
    srs::{LOCAL_CHAIN_ID, Srs, SrsSource},
};
use gridveil_verifier_contract::ethers_client::{calls_in, decode_settle_calldata, encode_settle_calldata};

/// Field elements of 32 bytes each, as far as they are canonical; and what is left.
fn elements(data: &[u8]) -> Option<(Vec<Fr>, &[u8])> {
    let (words, rest) = data.as_chunks::<32>();
    words.iter().map(|word| from_bytes(word).ok()).collect::<Option<Vec<Fr>>>().map(|words| (words, rest))
}

/// The words of a batch's records. What is read has one spelling.
pub fn records(data: &[u8]) {
    let Some((words, _)) = elements(data) else { return };
    let Ok(records) = record::read(&words) else { return };
    assert_eq!(records.len() * 2, words.len(), "a word was passed over");
    for (raw, parsed) in &records {
        assert_eq!(
            Record::new(parsed.kind, parsed.units, parsed.extra, parsed.w1),
            *raw,
            "two spellings of one record"
        );
    }
    let _ = record::digest(&records.into_iter().map(|(record, _)| record).collect::<Vec<_>>());
}

/// The calldata of a settlement: no other bytes mean the same call. That of a certificate or an exit may stand anywhere.
pub fn settle_calldata(data: &[u8]) {
    let _ = calls_in(data);
    if let Ok(call) = decode_settle_calldata(data) {
        assert_eq!(encode_settle_calldata(&call), data, "two encodings of one call");
    }
}

/// The verifier of the smallest circuit, under the parameters that all tests share.
pub fn verifier() -> &'static Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/cache/gridveil");
        let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, &cache).expect("the chain is local");
        let params = srs.params(K, &Silent).expect("parameters are made");
        Verifier::certificate(params).expect("the circuit has a key")
    })
}

/// Nine public inputs, then a proof that nobody made: it is refused, with its length if that is the reason.
pub fn proof(data: &[u8]) {
    let Some((rows, proof)) = data.split_at_checked(32 * CERTIFICATE_ROWS) else { return };
    let Some((rows, _)) = elements(rows) else { return };
    let expected = proof_bytes(verifier().vk().cs());
    let refused = verifier().verify(&rows, proof);
    let reason =
        if proof.len() == expected { VerifyError::Invalid } else { VerifyError::Length { expected, got: proof.len() } };
    assert_eq!(refused, Err(reason));
    let fewer = rows.split_first().map_or(&[][..], |(_, fewer)| fewer);
    assert!(verifier().verify(fewer, proof).is_err(), "a public input is missing");
}
