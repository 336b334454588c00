//! The one encoding of `settle`'s calldata.

use ethers::{abi::AbiDecode as _, types::Bytes};

use super::{
    bindings::{SettleCall as AbiSettleCall, Settlement},
    malformed,
};
use crate::{client::L1Error, types::SettleCall};

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
