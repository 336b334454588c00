//! Why a contract or a token refused.

use ethers::abi::AbiDecode;

use super::bindings::{
    EXITSCONTRACT_ABI, GRIDVEILCERTIFICATES_ABI, GRIDVEILREGISTRY_ABI, GRIDVEILROLLUP_ABI, TESTTOKEN_ABI,
};

/// Selector of `Error(string)`: `require` with a text, in tokens of before ERC-6093.
const REVERTED_WITH: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// Letters of such a text that are shown.
const MAX_REASON: usize = 120;

/// The text of `Error(string)`; not more of it, and no other letters, than a line takes.
fn reason(data: &[u8]) -> Option<String> {
    let text: String = AbiDecode::decode(data.strip_prefix(&REVERTED_WITH)?).ok()?;
    let shown = text.chars().take(MAX_REASON).map(|c| if c.is_control() { ' ' } else { c });
    Some(format!("{:?}", shown.collect::<String>()))
}

/// The name of a custom error, or the text of an old one; `unknown` of anything else.
pub(super) fn revert_name(data: &[u8]) -> String {
    let Some(selector) = data.get(..4) else { return "unknown".to_owned() };
    if let Some(reason) = reason(data) {
        return reason;
    }
    GRIDVEILROLLUP_ABI
        .errors
        .values()
        .chain(GRIDVEILREGISTRY_ABI.errors.values())
        .chain(GRIDVEILCERTIFICATES_ABI.errors.values())
        .chain(EXITSCONTRACT_ABI.errors.values())
        // Those of ERC-6093, which tokens share.
        .chain(TESTTOKEN_ABI.errors.values())
        .flatten()
        .find(|error| error.signature().0[..4] == *selector)
        .map_or_else(|| "unknown".to_owned(), |error| error.name.clone())
}

#[cfg(test)]
mod tests {
    use ethers::abi::{Token, encode};

    use super::*;

    #[test]
    fn a_refusal_has_the_name_of_the_contract_or_the_token() {
        let selector = |signature: &str| ethers::utils::id(signature).to_vec();
        assert_eq!(
            revert_name(&selector("ERC20InsufficientBalance(address,uint256,uint256)")),
            "ERC20InsufficientBalance"
        );
        assert_eq!(revert_name(&selector("IsFrozen()")), "IsFrozen");
        let said = |text: &str| {
            let reason = encode(&[Token::String(text.to_owned())]);
            revert_name(&[&REVERTED_WITH[..], &reason].concat())
        };
        assert_eq!(said("ERC20: transfer amount exceeds balance"), "\"ERC20: transfer amount exceeds balance\"");
        assert_eq!(said("a\nb"), "\"a b\"");
        assert_eq!(said(&"x".repeat(500)).len(), MAX_REASON + 2);
        for unknown in [&[][..], &[1, 2, 3], &[1, 2, 3, 4], &REVERTED_WITH] {
            assert_eq!(revert_name(unknown), "unknown");
        }
    }
}
