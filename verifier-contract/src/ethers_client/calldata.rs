//! Calldata: the one encoding of `settle`, and the calls of certificates and exits wherever they stand.

use ethers::{abi::AbiDecode, contract::EthCall, types::Bytes};

use super::{
    bindings::{
        Certificate, ExitOpening, SettleCall as AbiSettleCall, Settlement,
        exits_contract::{ExitCall as AbiExitCall, ExitClaimCall as AbiExitClaimCall},
        gridveil_certificates::CertifyCall,
    },
    malformed,
};
use crate::{
    client::L1Error,
    types::{Call, CertificateCall, ExitCall, ExitClaimCall, SettleCall},
};

/// Most calls that are looked for in one calldata.
const MAX_CALLS: usize = 256;

/// The calldata of `settle`.
#[must_use]
pub fn encode_settle_calldata(call: &SettleCall) -> Vec<u8> {
    ethers::abi::AbiEncode::encode(AbiSettleCall {
        batch: Settlement {
            circuit_version: call.circuit_version,
            community: call.community,
            first_interval: call.first_interval,
            tariff_index: call.tariff_index,
            new_root: call.new_root,
            community_new: call.community_new,
            ops_digest: call.ops_digest,
        },
        data: call.data.clone(),
        proof: Bytes::from(call.proof.clone()),
    })
}

/// Decodes the calldata of `settle`.
///
/// # Errors
/// [`L1Error::Malformed`] if it is another call, or not its standard encoding.
pub fn decode_settle_calldata(calldata: &[u8]) -> Result<SettleCall, L1Error> {
    let decoded = AbiSettleCall::decode(calldata).map_err(malformed)?;
    let call = SettleCall {
        circuit_version: decoded.batch.circuit_version,
        community: decoded.batch.community,
        first_interval: decoded.batch.first_interval,
        tariff_index: decoded.batch.tariff_index,
        new_root: decoded.batch.new_root,
        community_new: decoded.batch.community_new,
        ops_digest: decoded.batch.ops_digest,
        data: decoded.data,
        proof: decoded.proof.to_vec(),
    };
    // The standard encoding is unique: anything else would let two byte strings mean one batch.
    if encode_settle_calldata(&call) == calldata {
        Ok(call)
    } else {
        Err(malformed("settle calldata is not its standard encoding"))
    }
}

/// The calls of certificates and exits in some calldata: it may be one, or carry some for others, as wallets that are
/// contracts do. What is found so is no more than a candidate: its proof or opening shows whether it is the one.
#[must_use]
pub fn calls_in(calldata: &[u8]) -> Vec<Call> {
    let places = 0..calldata.len().saturating_sub(3);
    places.filter_map(|at| call_at(calldata.get(at..)?)).take(MAX_CALLS).collect()
}

/// The call that some calldata begins with.
pub(super) fn call_at(calldata: &[u8]) -> Option<Call> {
    let selector: [u8; 4] = *calldata.first_chunk()?;
    if selector == CertifyCall::selector() {
        CertifyCall::decode(calldata).ok().and_then(certificate).map(Call::Certify)
    } else if selector == AbiExitCall::selector() {
        AbiExitCall::decode(calldata).ok().map(|call| Call::Exit(exit(call.opening)))
    } else if selector == AbiExitClaimCall::selector() {
        let AbiExitClaimCall { recipient, amount, payout, sa, sb } = AbiExitClaimCall::decode(calldata).ok()?;
        Some(Call::ExitClaim(ExitClaimCall { recipient, amount, payout: payout.0, sa, sb }))
    } else {
        None
    }
}

fn certificate(CertifyCall { c: certificate, proof }: CertifyCall) -> Option<CertificateCall> {
    let Certificate { circuit_version, anchor, nullifier, note_1, note_2, retirement, disclosed, beneficiary, kind } =
        certificate;
    let kind = u16::try_from(u128::try_from(kind).ok()?).ok()?;
    Some(CertificateCall {
        circuit_version,
        anchor,
        nullifier,
        note_1,
        note_2,
        retirement,
        disclosed,
        beneficiary,
        kind,
        proof: proof.to_vec(),
    })
}

fn exit(opening: ExitOpening) -> ExitCall {
    ExitCall {
        community: opening.community,
        slot: opening.slot,
        balance: opening.balance,
        payout: opening.payout.0,
        s1: opening.s_1,
        s2: opening.s_2,
        private_commitment: opening.private_commitment,
        header_leaf: opening.header_leaf,
        certificates_root: opening.certificates_root,
        siblings: opening.siblings,
    }
}
