//! A member's wallet: one sealed file for each slot, beside its packets and receipts (`docs/spec/wallet.md`).
//!
//! `nonce 24 | XChaCha20-Poly1305(JSON)` under a key derived from the household's folder secret, with the file's name
//! authenticated.
//! It is replaced as a whole: a new file is written and synced, takes the old one's name, and the directory is synced.
//! Whatever is sent is in it before.

mod certificates;
mod exit;
mod files;
mod state;
mod taken_over;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use gridveil_keystore::{SealError, SealingKey, durable};
use gridveil_protocol::{
    certificate::{NotePath, SpendPlan},
    field::{Fr, to_bytes},
    note::Note,
    operation::SignedOperation,
    receipt::Receipt,
    schnorr::SecretKey,
};
use zeroize::Zeroizing;

pub use certificates::{CertificateError, Spending, Transfer, note_path, path_of_receipt};
pub use exit::{Exit, ExitError, PublishedBatch};
pub use files::{
    ClaimFile, ConsentFile, DecisionFile, Deployment, ExchangeFile, FileError, MAX_EXCHANGE_FILE, NoteFile, parse_file,
    read_file, write_file,
};
pub use state::{Incoming, KeptNote, KeptOperation, KeptRetirement, KeptSpend, Progress, Source, State};

use crate::{key_store::Keys, operation::BuildError};

const MAX_FILE: u64 = 64 << 20;

/// Why a wallet does not give or take something. Carries no secret.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// File system.
    #[error("wallet {}: {kind}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// What happened.
        kind: io::ErrorKind,
    },
    /// Another process has it.
    #[error("wallet {} is in use by another process", path.display())]
    Busy {
        /// File.
        path: PathBuf,
    },
    /// Not openable with this key, torn, or something else.
    #[error("wallet {} was changed or belongs to another key", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
    },
    /// A file that another release wrote.
    #[error(
        "wallet {} has format {format}, this program reads and writes {}: open it with the release that wrote it",
        path.display(),
        State::FORMAT
    )]
    Format {
        /// File.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Nothing verified yet.
    #[error("no receipt was verified yet: there is no account to act on")]
    NoReceipt,
    /// About another slot.
    #[error("that is about another slot than this wallet's")]
    OtherSlot,
    /// Two operations for one nonce: only one can be applied.
    #[error(
        "an operation with nonce {nonce} waits already: send that one again, or wait until it is settled or refused"
    )]
    NonceTaken {
        /// Nonce.
        nonce: u32,
    },
    /// One note is spent once.
    #[error("this note is being spent already, into other notes")]
    SpendKept,
    /// Nothing to give up.
    #[error("this note is not being spent")]
    NotSpending,
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// Not signed.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// An open wallet. It holds the lock of its file until it is dropped.
pub struct Wallet {
    path: PathBuf,
    key: SealingKey,
    state: State,
    _lock: File,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wallet").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Name of a slot's wallet file. `domain` is the deployment's name ([`gridveil_protocol::version::Domains::name`]): the
/// wallet is the same before and after an upgrade.
#[must_use]
pub fn file_name(domain: Fr, community: u32, slot: u16) -> String {
    let domain = hex::encode(to_bytes(&domain));
    format!("{}-{community}-{slot}.wallet", domain.get(..16).unwrap_or_default())
}

/// Wallets of the same slot in `directory` that this key opens and that belong to other deployments: another chain, or
/// another contract.
///
/// # Errors
/// [`WalletError::Io`].
pub fn of_other_deployments(
    directory: &Path,
    keys: &Keys,
    domain: Fr,
    community: u32,
    slot: u16,
) -> Result<Vec<PathBuf>, WalletError> {
    let failed = |error: io::Error| WalletError::Io { path: directory.to_owned(), kind: error.kind() };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let (own, end) = (file_name(domain, community, slot), format!("-{community}-{slot}.wallet"));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(&end) && name != own && matches!(read(&path, &keys.wallet_key()), Ok(Some(_))) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Every operation the slot's wallet has ever signed; none if there is no wallet. For reading only: it needs no lock,
/// as a file is always whole.
///
/// # Errors
/// [`WalletError`].
pub fn signed_operations(
    directory: &Path,
    keys: &Keys,
    domain: Fr,
    community: u32,
    slot: u16,
) -> Result<Vec<SignedOperation>, WalletError> {
    let path = directory.join(file_name(domain, community, slot));
    Ok(read(&path, &keys.wallet_key())?.map(|state| state.signed()).unwrap_or_default())
}

impl Wallet {
    /// Opens, or makes, the wallet of a slot in `directory`, which is the outbox's.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(directory: &Path, keys: &Keys, domain: Fr, community: u32, slot: u16) -> Result<Self, WalletError> {
        let path = directory.join(file_name(domain, community, slot));
        let failed = |path: &Path, error: &io::Error| WalletError::Io { path: path.to_owned(), kind: error.kind() };
        durable::private_directory(directory).map_err(|e| failed(directory, &e))?;
        let lock = durable::lock(&path.with_extension("lock")).map_err(|e| failed(&path, &e))?;
        let lock = lock.ok_or_else(|| WalletError::Busy { path: path.clone() })?;
        durable::remove_staged(&path).map_err(|e| failed(&path, &e))?;
        let key = keys.wallet_key();
        let state = match read(&path, &key)? {
            Some(state) if (state.domain, state.community, state.slot) == (domain, community, slot) => state,
            Some(_) => return Err(WalletError::Damaged { path }),
            None => State::new(domain, community, slot),
        };
        Ok(Self { path, key, state, _lock: lock })
    }

    /// What it holds.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the state. When this returns, the change is on disk, or there is none.
    fn update<T>(&mut self, change: impl FnOnce(&mut State) -> Result<T, WalletError>) -> Result<T, WalletError> {
        let mut next = self.state.clone();
        let out = change(&mut next)?;
        if next == self.state {
            return Ok(out);
        }
        next.revision += 1;
        self.write(&next)?;
        self.state = next;
        Ok(out)
    }

    fn write(&self, state: &State) -> Result<(), WalletError> {
        let plain =
            Zeroizing::new(serde_json::to_vec(state).map_err(|_| WalletError::Damaged { path: self.path.clone() })?);
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let sealed = self.key.seal(&[], name.as_bytes(), &plain).map_err(|error| match error {
            SealError::Randomness(_) => WalletError::Randomness,
            SealError::TooLong | SealError::NotOpened => WalletError::Damaged { path: self.path.clone() },
        })?;
        durable::replace(&self.path, &sealed).map_err(|e| WalletError::Io { path: self.path.clone(), kind: e.kind() })
    }

    /// Keeps a signed operation, before it is sent. Keeping it again changes nothing.
    ///
    /// # Errors
    /// [`WalletError::NonceTaken`] if another one with its nonce is not applied yet.
    pub fn keep_operation(&mut self, signed: &SignedOperation) -> Result<(), WalletError> {
        self.update(|state| state.keep_operation(signed))
    }

    /// Keeps a consent before it goes to the meter data manager, who may sign it or not. It does not keep its nonce:
    /// the account may sign other operations meanwhile.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn keep_consent(&mut self, signed: &SignedOperation) -> Result<(), WalletError> {
        self.update(|state| state.keep_consent(signed))
    }

    /// Keeps a signed operation and the claim it opens for another.
    ///
    /// # Errors
    /// As [`Wallet::keep_operation`].
    pub fn keep_send(&mut self, signed: &SignedOperation, claim: &crate::operation::Claim) -> Result<(), WalletError> {
        self.update(|state| {
            state.keep_operation(signed)?;
            if !state.outgoing.contains(claim) {
                state.outgoing.push(*claim);
            }
            Ok(())
        })
    }

    /// Takes an operation over that the operator has and this wallet may not: a newer copy has signed it. Its signature was
    /// verified. `false` if the wallet had it.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn take_over(&mut self, signed: &SignedOperation) -> Result<bool, WalletError> {
        self.update(|state| Ok(state.take_over(signed, &Progress::Sent)))
    }

    /// Marks a note as spent: L1 says so, and this wallet does not know into what.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn note_spent(&mut self, spent: &KeptNote) -> Result<(), WalletError> {
        self.update(|state| {
            state.note_spent(spent);
            Ok(())
        })
    }

    /// Notes what the sequencer says of an operation.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn note_progress(&mut self, id: &str, progress: &Progress) -> Result<(), WalletError> {
        self.update(|state| {
            state.note_progress(id, progress);
            Ok(())
        })
    }

    /// Takes a receipt that [`crate::statement::verify`] has accepted. Of an older one than the last, only what was applied in
    /// it and its note are taken: it came back later.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn take_receipt(&mut self, receipt: &Receipt) -> Result<(), WalletError> {
        self.update(|state| state.take_receipt(receipt))
    }

    /// Keeps an incoming claim, or that it is on L1.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn keep_incoming(&mut self, incoming: &Incoming) -> Result<(), WalletError> {
        self.update(|state| {
            state.keep_incoming(incoming);
            Ok(())
        })
    }

    /// Gives an incoming claim up: it was refunded, or never made.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn drop_incoming(&mut self, commitment: Fr) -> Result<(), WalletError> {
        self.update(|state| {
            state
                .incoming
                .iter_mut()
                .filter(|kept| kept.claim.commitment() == commitment)
                .for_each(|kept| kept.dropped = true);
            Ok(())
        })
    }

    /// Keeps a certificate note, or its path.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn keep_note(&mut self, note: &Note, path: Option<NotePath>) -> Result<(), WalletError> {
        self.update(|state| {
            state.keep_note(note.clone(), path);
            Ok(())
        })
    }

    /// Keeps a spending before it is sent; returns the note's nullifier. The same plan again changes nothing.
    ///
    /// # Errors
    /// [`WalletError::SpendKept`] if the note is being spent otherwise.
    pub fn keep_spend(&mut self, plan: &SpendPlan, secret: &SecretKey) -> Result<Fr, WalletError> {
        self.update(|state| state.keep_spend(plan, secret))
    }

    /// Gives up the spending of a note that L1 has not taken. It stays in the wallet, because L1 may still accept what
    /// was sent: [`Wallet::landed`].
    ///
    /// # Errors
    /// [`WalletError::NotSpending`].
    pub fn abandon(&mut self, nullifier: Fr) -> Result<(), WalletError> {
        self.update(|state| state.abandon(nullifier))
    }

    /// Records that L1 has a spending of a note, with these new notes and this retirement (zero if none). `false` if
    /// this wallet has no such plan: the note is spent, and this wallet does not know into what.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn landed(
        &mut self,
        nullifier: Fr,
        notes: [Fr; 2],
        retirement: Fr,
        tx: Option<&str>,
    ) -> Result<bool, WalletError> {
        self.update(|state| Ok(state.landed(nullifier, notes, retirement, tx)))
    }

    /// Records that the new notes of a spending have left L1's queue: for the state, or `undone` with the spending, after
    /// which the note can be spent again.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn decided(&mut self, nullifier: Fr, undone: bool) -> Result<(), WalletError> {
        self.update(|state| {
            state.decided(nullifier, undone);
            Ok(())
        })
    }

    /// Records that L1 has a spending, with its transaction `tx` if that is known.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn spent(&mut self, nullifier: Fr, tx: Option<&str>) -> Result<(), WalletError> {
        self.update(|state| {
            state.spent(nullifier, tx);
            Ok(())
        })
    }
}

fn read(path: &Path, key: &SealingKey) -> Result<Option<State>, WalletError> {
    let bytes = match durable::read_bounded(path, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(WalletError::Io { path: path.to_owned(), kind: e.kind() }),
    };
    let damaged = || WalletError::Damaged { path: path.to_owned() };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = key.open(&[], name.as_bytes(), &bytes).map_err(|_| damaged())?;
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
    }
    let Head { format } = serde_json::from_slice(&plain).map_err(|_| damaged())?;
    if format != State::FORMAT {
        return Err(WalletError::Format { path: path.to_owned(), format });
    }
    serde_json::from_slice(&plain).map(Some).map_err(|_| damaged())
}

#[cfg(test)]
mod tests;
