//! Signatures over texts, as L1 wallets make and check them (EIP-191, `personal_sign`).

use ethers::types::Signature;
use ethers::utils::hash_message;

use crate::client::L1Error;
use crate::ethers_client::Key;
use crate::types::Address;

/// r, s and v.
pub type TextSignature = [u8; 65];

/// Signs a text, and gives the account.
///
/// # Errors
/// [`L1Error::Config`]: an external signer signs transactions alone.
pub fn sign_text(key: &Key, text: &str) -> Result<(TextSignature, Address), L1Error> {
    let signature = key.sign_digest(hash_message(text).into())?;
    let signature = signature.try_into().map_err(|_| L1Error::Config("the key does not sign"))?;
    Ok((signature, key.account()))
}

/// The account that signed a text; `None` if nobody did.
#[must_use]
pub fn signer_of(text: &str, signature: &TextSignature) -> Option<Address> {
    let signature = Signature::try_from(signature.as_slice()).ok()?;
    signature.recover(hash_message(text)).ok().map(|account| account.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anvil::ANVIL_KEYS;
    use crate::ethers_client::address_of;

    #[test]
    fn a_text_is_signed_by_the_keys_account_and_no_other_text_is() {
        let (signature, account) = sign_text(&Key::of_hex(ANVIL_KEYS[0]).unwrap(), "a text").unwrap();
        assert_eq!(account, address_of(ANVIL_KEYS[0]).unwrap());
        assert_eq!(signer_of("a text", &signature), Some(account));
        assert_ne!(signer_of("another text", &signature), Some(account));
        let mut other = signature;
        other[3] ^= 1;
        assert_ne!(signer_of("a text", &other), Some(account));
        let elsewhere = Key::external("http://127.0.0.1:1", account).unwrap();
        assert!(sign_text(&elsewhere, "a text").is_err());
    }
}
