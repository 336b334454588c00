//! Certificate notes: their paths, and plans to spend them.

use gridveil_protocol::{
    certificate::{CERTIFICATE_VERSION, NotePath, Output, Purpose, Retirement, SpendPlan},
    field::Fr,
    instance,
    owner::owner_of,
    params::{CERTIFICATES_DEPTH, STATE_DEPTH},
    poseidon::hash4,
    receipt::Receipt,
    schnorr::SecretKey,
    tree::{Children, path_root},
    units::Wh,
};

use super::{Deployment, KeptNote, State};
use crate::operation::{BuildError, fresh_salts};

/// Why a note is not spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No such note.
    #[error("this wallet has no such certificate note")]
    Unknown,
    /// More than one.
    #[error("more than one certificate note begins like that")]
    Ambiguous,
    /// Spent.
    #[error("the certificate note is spent")]
    Spent,
    /// No path yet.
    #[error("the certificate note is not in a settled state yet: try again after the next settlement")]
    NoPath,
    /// The note is another key's.
    #[error("the certificate note belongs to another owner key: use the key file it was issued to")]
    NotOwner,
    /// More than it holds.
    #[error("the certificate note holds {amount_wh} Wh")]
    Amount {
        /// Wh.
        amount_wh: Wh,
    },
    /// Nothing.
    #[error("the amount is zero")]
    ZeroAmount,
    /// An expiry or an export that is sealed.
    #[error("only a retirement for consumption can be sealed")]
    SealedPurpose,
    /// Nobody is named.
    #[error("no recipient is named")]
    NoRecipient,
    /// A path of another form.
    #[error("the path of the certificate note does not lead from it to its root")]
    Path,
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

impl From<BuildError> for CertificateError {
    fn from(_: BuildError) -> Self {
        Self::Randomness
    }
}

/// To whom, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Owner commitment.
    pub to: Fr,
    /// Wh.
    pub amount_wh: Wh,
}

/// What is to become of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// To another owner; the rest comes back.
    Transfer(Transfer),
    /// Retired; the rest comes back.
    Retire {
        /// Wh.
        amount_wh: Wh,
        /// Who may claim it.
        beneficiary: Fr,
        /// What for.
        purpose: Purpose,
        /// Only the commitment is public.
        sealed: bool,
    },
}

impl State {
    /// The note whose commitment in hex begins with `prefix` (with or without `0x`).
    ///
    /// # Errors
    /// [`CertificateError::Unknown`], [`CertificateError::Ambiguous`].
    pub fn note(&self, prefix: &str) -> Result<&KeptNote, CertificateError> {
        let prefix = prefix.strip_prefix("0x").unwrap_or(prefix).to_ascii_lowercase();
        let mut found = self.notes.iter().filter(|kept| {
            hex::encode(gridveil_protocol::field::to_bytes(&kept.note.commitment())).starts_with(&prefix)
        });
        let first = found.next().filter(|_| !prefix.is_empty()).ok_or(CertificateError::Unknown)?;
        if found.next().is_some() { Err(CertificateError::Ambiguous) } else { Ok(first) }
    }

    /// The plan for a note. If a spending with the same purpose is kept already, it is that one: L1 may have it by now,
    /// and only it has the openings.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn plan(
        &self,
        kept: &KeptNote,
        deployment: &Deployment,
        secret: &SecretKey,
        spending: &Spending,
    ) -> Result<SpendPlan, CertificateError> {
        let own = owner_of(secret).commitment();
        if kept.spent {
            return Err(CertificateError::Spent);
        }
        if kept.note.owner != own {
            return Err(CertificateError::NotOwner);
        }
        let amount = match spending {
            Spending::Transfer(transfer) if transfer.to == Fr::from(0u64) => return Err(CertificateError::NoRecipient),
            Spending::Transfer(transfer) => transfer.amount_wh,
            Spending::Retire { purpose, sealed: true, .. } if *purpose != Purpose::Consumption => {
                return Err(CertificateError::SealedPurpose);
            }
            Spending::Retire { amount_wh, .. } => *amount_wh,
        };
        if amount == Wh::ZERO {
            return Err(CertificateError::ZeroAmount);
        }
        let rest =
            kept.note.amount.checked_sub(amount).ok_or(CertificateError::Amount { amount_wh: kept.note.amount })?;
        let earlier = self.spends.iter().find(|spend| spend.plan.note == kept.note && spend.is_open());
        if let Some(spend) = earlier.filter(|spend| does(&spend.plan, spending)) {
            return Ok(spend.plan.clone());
        }
        let path = kept.path.clone().ok_or(CertificateError::NoPath)?;
        let [a, b, c, d] = fresh_salts()?;
        let [s7, s8, ..] = fresh_salts()?;
        let (first, retirement) = match *spending {
            Spending::Transfer(Transfer { to, amount_wh }) => {
                (Output { owner: to, amount: amount_wh, salts: [a, b] }, None)
            }
            // An unused output looks like one that is: this owner's, with fresh salts.
            Spending::Retire { amount_wh, beneficiary, purpose, sealed } => (
                Output { owner: own, amount: Wh::ZERO, salts: [a, b] },
                Some(Retirement { amount: amount_wh, beneficiary, purpose, sealed, salts: [s7, s8] }),
            ),
        };
        let outputs = [first, Output { owner: own, amount: rest, salts: [c, d] }];
        let domain = instance::domain(deployment.chain_id, &deployment.contract, CERTIFICATE_VERSION);
        Ok(SpendPlan { domain, note: kept.note.clone(), path, outputs, retirement })
    }
}

impl State {
    /// The plan of a spending that L1 has, if the note was spent for this purpose. The files for others can be written
    /// again from it.
    #[must_use]
    pub fn finished(&self, kept: &KeptNote, spending: &Spending) -> Option<SpendPlan> {
        let done =
            self.spends.iter().find(|spend| spend.done && spend.plan.note == kept.note && does(&spend.plan, spending));
        done.map(|spend| spend.plan.clone())
    }

    /// The plan that shows a note as held, and spends nothing ([`SpendPlan::holding`]).
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn holding(
        &self,
        kept: &KeptNote,
        deployment: &Deployment,
        secret: &SecretKey,
    ) -> Result<SpendPlan, CertificateError> {
        if kept.spent {
            return Err(CertificateError::Spent);
        }
        if kept.note.owner != owner_of(secret).commitment() {
            return Err(CertificateError::NotOwner);
        }
        let path = kept.path.clone().ok_or(CertificateError::NoPath)?;
        let [a, b, c, d] = fresh_salts()?;
        let [s7, s8, ..] = fresh_salts()?;
        Ok(SpendPlan::holding(deployment.chain_id, &deployment.contract, kept.note.clone(), path, [a, b, c, d, s7, s8]))
    }
}

fn does(plan: &SpendPlan, spending: &Spending) -> bool {
    match (spending, &plan.retirement) {
        (Spending::Transfer(Transfer { to, amount_wh }), None) => {
            plan.outputs[0].owner == *to && plan.outputs[0].amount == *amount_wh
        }
        (Spending::Retire { amount_wh, beneficiary, purpose, sealed }, Some(retirement)) => {
            (retirement.amount, retirement.beneficiary, retirement.purpose, retirement.sealed)
                == (*amount_wh, *beneficiary, *purpose, *sealed)
        }
        _ => false,
    }
}

/// Path of the period's own note to the receipt's root.
#[must_use]
pub fn path_of_receipt(receipt: &Receipt) -> Option<NotePath> {
    let dense = receipt.note_path.len().checked_sub(1 + CERTIFICATES_DEPTH)?;
    let (dense, rest) = receipt.note_path.split_at_checked(dense)?;
    let (append, certificates) = rest.split_first()?;
    let members = path_root(receipt.after.leaf(), u64::from(receipt.slot), &receipt.members_path)?;
    let community = hash4([receipt.header_leaf, members, receipt.certificates_root, Fr::from(0u64)]);
    Some(NotePath {
        dense: dense.to_vec(),
        append: [append[0], append[1]],
        certificates: certificates.to_vec(),
        community: [receipt.header_leaf, members],
        state: placed(&receipt.state_path, u64::from(receipt.community), community),
    })
}

/// The levels with `node` in its place, bottom up.
pub(super) fn placed(siblings: &[Children], index: u64, node: Fr) -> Vec<Children> {
    let (mut node, mut at) = (node, index);
    let level = |children: &Children| {
        let mut children = *children;
        if let Some(child) = children.get_mut(usize::try_from(at % 4).unwrap_or(0)) {
            *child = node;
        }
        at /= 4;
        node = hash4(children);
        children
    };
    siblings.iter().map(level).collect()
}

/// Path of a note of L1's queue, as the sequencer gives it: `levels` bottom up, queue tree, append, certificates tree,
/// community, state tree.
///
/// # Errors
/// [`CertificateError::Path`] if it does not lead from the note to `root` (that the root is final is for the caller to
/// ask).
pub fn note_path(note: Fr, index: u64, levels: &[Children], root: Fr) -> Result<NotePath, CertificateError> {
    let dense = levels.len().checked_sub(2 + CERTIFICATES_DEPTH + STATE_DEPTH).ok_or(CertificateError::Path)?;
    if path_root(note, index, levels) != Some(root) {
        return Err(CertificateError::Path);
    }
    let (dense, rest) = levels.split_at_checked(dense).ok_or(CertificateError::Path)?;
    let (append, rest) = rest.split_first().ok_or(CertificateError::Path)?;
    let (certificates, rest) = rest.split_at_checked(CERTIFICATES_DEPTH).ok_or(CertificateError::Path)?;
    let (community, state) = rest.split_first().ok_or(CertificateError::Path)?;
    let nothing = Fr::from(0u64);
    if append[2..] != [nothing; 2] || community[3] != nothing {
        return Err(CertificateError::Path);
    }
    Ok(NotePath {
        dense: dense.to_vec(),
        append: [append[0], append[1]],
        certificates: certificates.to_vec(),
        community: [community[0], community[1]],
        state: state.to_vec(),
    })
}
