//! Accounts and storage of one block, each proven under its state root (EIP-1186).

use std::collections::HashMap;

use alloy_consensus::TrieAccount;
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rlp::Decodable as _;
use alloy_trie::proof::{ProofVerificationError, verify_proof};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles};
use evm::uint;
use serde::Deserialize;

use crate::deployment::Hex;
use crate::lie::Lie;

/// An answer of `eth_getProof`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    balance: U256,
    nonce: U64,
    code_hash: B256,
    storage_hash: B256,
    account_proof: Vec<Bytes>,
    storage_proof: Vec<ToldWord>,
}

/// One word of it, in the order in which the words were asked for.
#[derive(Debug, Deserialize)]
struct ToldWord {
    value: U256,
    proof: Vec<Bytes>,
}

/// An account that is proven, with its code.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) balance: uint::U256,
    pub(super) nonce: u64,
    pub(super) code: Vec<u8>,
    /// Of its storage.
    root: B256,
    code_hash: B256,
}

/// What is proven of a block's state.
#[derive(Debug, Default)]
pub(super) struct State {
    accounts: HashMap<uint::H160, Account>,
    words: HashMap<(uint::H160, uint::H256), uint::H256>,
}

impl State {
    pub(super) fn account(&self, address: &uint::H160) -> Option<&Account> {
        self.accounts.get(address)
    }

    /// A word of storage; `None` if it is not proven. Who has no storage has none of them.
    pub(super) fn word(&self, address: &uint::H160, slot: &uint::H256) -> Option<uint::H256> {
        let empty = self.accounts.get(address).is_some_and(|account| account.root == EMPTY_ROOT_HASH);
        if empty { Some(uint::H256::zero()) } else { self.words.get(&(*address, *slot)).copied() }
    }

    /// Does an account with this code's hash have its code here already?
    pub(super) fn has_code(&self, address: &uint::H160, hash: &B256) -> bool {
        *hash == KECCAK_EMPTY || self.accounts.get(address).is_some_and(|account| account.code_hash == *hash)
    }

    /// Takes in what is proven: an account, words of its storage, and its code if it is new.
    pub(super) fn learn(
        &mut self,
        address: uint::H160,
        account: &TrieAccount,
        words: impl IntoIterator<Item = (uint::H256, uint::H256)>,
        code: Option<Vec<u8>>,
    ) {
        let known = self.accounts.remove(&address).map(|known| known.code);
        let balance = uint::U256(account.balance.into_limbs());
        let (nonce, root, code_hash) = (account.nonce, account.storage_root, account.code_hash);
        let code = code.or(known).unwrap_or_default();
        self.accounts.insert(address, Account { balance, nonce, code, root, code_hash });
        self.words.extend(words.into_iter().map(|(slot, word)| ((address, slot), word)));
    }
}

/// Where an account is in the trie of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) address: uint::H160,
    pub(super) block: u64,
    pub(super) state_root: B256,
}

impl Place {
    fn named(&self) -> crate::deployment::Account {
        Hex(self.address.0)
    }

    /// The account that an answer proves: nothing of it is believed.
    ///
    /// # Errors
    /// [`Lie`].
    pub(super) fn account(&self, told: &Told) -> Result<TrieAccount, Lie> {
        let key = Nibbles::unpack(keccak256(Address::from(self.address.0)));
        let says = TrieAccount::new(told.nonce.to(), told.balance, told.storage_hash, told.code_hash);
        // Nodes write the hashes of an account that there is not as they like.
        let blank = |hash: B256, empty: B256| hash == empty || hash.is_zero();
        let nobody = says.nonce == 0
            && says.balance.is_zero()
            && blank(says.code_hash, KECCAK_EMPTY)
            && blank(says.storage_root, EMPTY_ROOT_HASH);
        if nobody && verify_proof(self.state_root, key, None, &told.account_proof).is_ok() {
            return Ok(TrieAccount::default());
        }
        let expected = Some(alloy_rlp::encode(says));
        match verify_proof(self.state_root, key, expected, &told.account_proof) {
            Ok(()) => Ok(says),
            Err(ProofVerificationError::ValueMismatch { path, got: Some(got), .. }) if path == key => {
                Err(self.differs(&says, &got))
            }
            Err(_) => Err(Lie::Account { account: self.named(), block: self.block }),
        }
    }

    /// The proof is one of another account than it says.
    fn differs(&self, says: &TrieAccount, proven: &[u8]) -> Lie {
        let (account, block) = (self.named(), self.block);
        match TrieAccount::decode(&mut &*proven) {
            Ok(proven) if proven.balance != says.balance => Lie::Balance {
                account,
                block,
                said: says.balance.saturating_to(),
                proven: proven.balance.saturating_to(),
            },
            Ok(proven) if proven.code_hash != says.code_hash => Lie::Code { account, block },
            Ok(_) | Err(_) => Lie::Account { account, block },
        }
    }

    /// The words of storage that an answer proves, in the order of the slots that were asked for.
    ///
    /// # Errors
    /// [`Lie`].
    pub(super) fn words(
        &self,
        account: &TrieAccount,
        slots: &[uint::H256],
        told: &Told,
    ) -> Result<Vec<(uint::H256, uint::H256)>, Lie> {
        let lie = |slot: &uint::H256| Lie::Storage { account: self.named(), slot: Hex(slot.0), block: self.block };
        let word = |(number, slot): (usize, &uint::H256)| {
            let ToldWord { value, proof } = told.storage_proof.get(number).ok_or_else(|| lie(slot))?;
            let key = Nibbles::unpack(keccak256(slot));
            let holds = |expected| verify_proof(account.storage_root, key, expected, proof).is_ok();
            // A word that is zero is not there. anvil keeps one that was cleared, as a zero: it means the same.
            let absent = value.is_zero() && holds(None);
            if !absent && !holds(Some(alloy_rlp::encode(value))) {
                return Err(lie(slot));
            }
            Ok((*slot, uint::H256(value.to_be_bytes())))
        };
        slots.iter().enumerate().map(word).collect()
    }

    /// Is this the account's code?
    ///
    /// # Errors
    /// [`Lie::Code`].
    pub(super) fn code(&self, account: &TrieAccount, code: &[u8]) -> Result<(), Lie> {
        let same = keccak256(code) == account.code_hash;
        if same { Ok(()) } else { Err(Lie::Code { account: self.named(), block: self.block }) }
    }
}
