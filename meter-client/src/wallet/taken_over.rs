//! What a wallet takes over from the operator, because a newer copy of it has signed it or the folder was lost. Every
//! signature in it was verified before.

use gridveil_protocol::{
    operation::{ClaimOf, Kind, SignedOperation},
    units::Wh,
};

use super::{Incoming, KeptNote, KeptOperation, Progress, Source, State};
use crate::operation::Claim;

impl State {
    /// Takes an operation over that the operator has, so that its nonce is not used again. `false` if the wallet had it.
    /// Another one with its nonce that still waits here has lost its place.
    pub(super) fn take_over(&mut self, signed: &SignedOperation, progress: &Progress) -> bool {
        let operation = &signed.operation;
        if (operation.community, operation.slot) != (self.community, self.slot) || operation.kind == Kind::Forced {
            return false;
        }
        for kept in self.operations.iter_mut().filter(|kept| kept.waits()) {
            if kept.signed.operation != *operation && kept.signed.operation.nonce == operation.nonce {
                kept.progress = Progress::Superseded;
            }
        }
        if let Some(kept) = self.operations.iter_mut().find(|kept| kept.signed.operation == *operation) {
            if !matches!(kept.progress, Progress::Applied(_)) {
                kept.progress = progress.clone();
            }
            return false;
        }
        self.operations.push(KeptOperation { signed: signed.clone(), progress: progress.clone() });
        self.take_claim_over(signed);
        true
    }

    /// The claim that an operation takes in or opens: its message has amount, payout and salts.
    fn take_claim_over(&mut self, signed: &SignedOperation) {
        let operation = &signed.operation;
        let Some(of) = operation.kind.effect().claim else { return };
        let recipient = match of {
            ClaimOf::Owner => signed.owner.commitment(),
            ClaimOf::Party => operation.party,
        };
        let [sa, sb, ..] = operation.salts;
        let claim = Claim { recipient, amount: operation.amount, payout: operation.payout, salts: [sa, sb] };
        if signed.claim() != Some(claim.commitment()) {
            return;
        }
        match of {
            ClaimOf::Owner => {
                let source = if operation.kind == Kind::Deposit { Source::Deposit } else { Source::Transfer };
                self.keep_incoming(&Incoming { claim, source, on_l1: true, taken: false, dropped: false });
            }
            ClaimOf::Party if !self.outgoing.contains(&claim) => self.outgoing.push(claim),
            ClaimOf::Party => {}
        }
    }

    /// Marks a note as spent that L1 says is, though this wallet has no plan of it.
    pub(super) fn note_spent(&mut self, spent: &KeptNote) {
        let commitment = spent.note.commitment();
        for kept in self.notes.iter_mut().filter(|kept| kept.note.commitment() == commitment) {
            kept.spent = true;
        }
    }

    /// Certificates that are not spent, Wh.
    #[must_use]
    pub fn unspent(&self) -> Wh {
        self.notes.iter().filter(|kept| !kept.spent).map(|kept| kept.note.amount).sum()
    }
}
