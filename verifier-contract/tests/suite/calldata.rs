//! A settlement's calldata has one encoding.

use gridveil_verifier_contract::ethers_client::{decode_settle_calldata, encode_settle_calldata};

use crate::l1::{FIRST, call};

#[test]
fn calldata_round_trips_and_nothing_else_decodes() {
    let call = call(2, FIRST, 0);
    let encoded = encode_settle_calldata(&call);
    assert_eq!(decode_settle_calldata(&encoded).unwrap(), call);
    for len in 0..encoded.len() {
        assert!(decode_settle_calldata(&encoded[..len]).is_err(), "{len}");
    }
    let mut longer = encoded.clone();
    longer.push(0);
    assert!(decode_settle_calldata(&longer).is_err());
}
