//! A forced request that one account signs and another sends (docs/spec/l1.md, FORCED.7).

use ethers::abi::{Token, encode};
use ethers::types::{Address as EthAddress, RecoveryMessage, Signature, U256};
use ethers::utils::keccak256;
use serde::{Deserialize, Serialize};

use super::{Address, Word};
use crate::client::L1Error;
use crate::ethers_client::Key;

const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const REQUEST_TYPE: &str =
    "ForcedWithdrawal(uint32 community,uint32 slot,address requester,uint256 nonce,uint256 deadline)";

/// A request for a slot's whole balance, for one deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedRequest {
    /// Chain's id.
    pub chain_id: u64,
    /// The rollup.
    pub contract: Address,
    /// Index of the community.
    pub community: u32,
    /// Slot whose balance is asked for.
    pub slot: u32,
    /// Who asks: the slot's payout account.
    pub requester: Address,
    /// Requests of this account that others sent before.
    pub nonce: u64,
    /// Unix seconds until which it may be sent.
    pub deadline_s: u64,
    /// r, s, v: 65 bytes; empty before it is signed.
    pub signature: Vec<u8>,
}

impl ForcedRequest {
    /// What is signed: the EIP-712 digest.
    #[must_use]
    pub fn digest(&self) -> Word {
        let number = |value: u64| Token::Uint(U256::from(value));
        let word = |word: Word| Token::FixedBytes(word.to_vec());
        let account = |account: Address| Token::Address(EthAddress::from(account));
        let domain = keccak256(encode(&[
            word(keccak256(DOMAIN_TYPE)),
            word(keccak256("Gridveil")),
            word(keccak256("1")),
            number(self.chain_id),
            account(self.contract),
        ]));
        let request = keccak256(encode(&[
            word(keccak256(REQUEST_TYPE)),
            number(self.community.into()),
            number(self.slot.into()),
            account(self.requester),
            number(self.nonce),
            number(self.deadline_s),
        ]));
        keccak256([&[0x19, 0x01][..], &domain, &request].concat())
    }

    /// The same, signed.
    ///
    /// # Errors
    /// [`L1Error::Config`] if the key is not the requester's, or is an external signer's.
    pub fn sign(mut self, key: &Key) -> Result<Self, L1Error> {
        self.signature = key.sign_digest(self.digest())?;
        if self.is_signed() { Ok(self) } else { Err(L1Error::Config("the key is not the requester's")) }
    }

    /// Is the signature the requester's for exactly this?
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let signature = Signature::try_from(self.signature.as_slice());
        let signer = signature.ok().and_then(|s| s.recover(RecoveryMessage::Hash(self.digest().into())).ok());
        signer.is_some_and(|signer| signer.0 == self.requester)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anvil::ANVIL_KEYS;

    fn request() -> ForcedRequest {
        let requester = crate::address_of(ANVIL_KEYS[1]).unwrap();
        ForcedRequest {
            chain_id: 31_337,
            contract: [7; 20],
            community: 3,
            slot: 2,
            requester,
            nonce: 0,
            deadline_s: 1_000,
            signature: Vec::new(),
        }
    }

    /// FORCED.7: a signature counts for what was signed, and for nothing else.
    #[test]
    fn a_signature_is_of_one_request() {
        let signed = request().sign(&Key::of_hex(ANVIL_KEYS[1]).unwrap()).unwrap();
        assert!(signed.is_signed() && signed.signature.len() == 65);
        assert!(request().sign(&Key::of_hex(ANVIL_KEYS[2]).unwrap()).is_err(), "another's key");
        for change in [
            |r: &mut ForcedRequest| r.chain_id = 1,
            |r: &mut ForcedRequest| r.contract = [8; 20],
            |r: &mut ForcedRequest| r.community = 4,
            |r: &mut ForcedRequest| r.slot = 3,
            |r: &mut ForcedRequest| r.nonce = 1,
            |r: &mut ForcedRequest| r.deadline_s = 1_001,
            |r: &mut ForcedRequest| r.requester = [9; 20],
            |r: &mut ForcedRequest| r.signature.clear(),
        ] {
            let mut other = signed.clone();
            change(&mut other);
            assert!(!other.is_signed(), "{other:?}");
        }
    }
}
