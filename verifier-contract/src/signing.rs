//! Signatures over texts, as L1 wallets make and check them (EIP-191, `personal_sign`).

use ethers::types::{H256, Signature};
use ethers::utils::hash_message;

use crate::client::L1Error;
use crate::ethers_client::wallet_of;
use crate::types::Address;

/// r, s and v.
pub type TextSignature = [u8; 65];

/// Signs a text with an L1 key, hex, and gives the account.
///
/// # Errors
/// [`L1Error::Config`] if the key does not parse.
pub fn sign_text(private_key: &str, text: &str) -> Result<(TextSignature, Address), L1Error> {
    use ethers::signers::Signer as _;
    let wallet = wallet_of(private_key)?;
    let signature = wallet.sign_hash(hash_message(text)).map_err(|_| L1Error::Config("the key does not sign"))?;
    let bytes = <[u8; 65]>::from(signature);
    Ok((bytes, wallet.address().0))
}

/// The account that signed a text; `None` if nobody did.
#[must_use]
pub fn signer_of(text: &str, signature: &TextSignature) -> Option<Address> {
    let signature = Signature::try_from(signature.as_slice()).ok()?;
    signature.recover(H256::from(hash_message(text))).ok().map(|account| account.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anvil::ANVIL_KEYS;
    use crate::ethers_client::address_of;

    #[test]
    fn a_text_is_signed_by_the_keys_account_and_no_other_text_is() {
        let (signature, account) = sign_text(ANVIL_KEYS[0], "a text").unwrap();
        assert_eq!(account, address_of(ANVIL_KEYS[0]).unwrap());
        assert_eq!(signer_of("a text", &signature), Some(account));
        assert_ne!(signer_of("another text", &signature), Some(account));
        let mut other = signature;
        other[3] ^= 1;
        assert_ne!(signer_of("a text", &other), Some(account));
        assert!(sign_text("0x12", "a text").is_err());
    }
}
