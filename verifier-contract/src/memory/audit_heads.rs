//! The contract of heads in memory: a head is for more entries than the one before. A test can take L1 away.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::{AuditHeadsL1, L1Error, L1Future};
use crate::types::{AuditHead, TxReceipt, Word};

/// Heads in memory.
#[derive(Debug, Default)]
pub struct MemoryAuditHeads {
    heads: Mutex<Vec<AuditHead>>,
    away: Mutex<bool>,
}

impl MemoryAuditHeads {
    /// Nothing answers from now on, or everything again.
    pub fn set_away(&self, away: bool) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = away;
    }

    fn here(&self) -> Result<MutexGuard<'_, Vec<AuditHead>>, L1Error> {
        if *self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(L1Error::Unreachable("away".to_owned()));
        }
        Ok(self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AuditHeadsL1 for MemoryAuditHeads {
    fn publish(&self, count: u64, head: Word) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            let mut heads = self.here()?;
            if heads.last().is_some_and(|last| count <= last.count) {
                return Err(L1Error::Reverted { name: "NotAhead".to_owned() });
            }
            let block = heads.len() as u64 + 1;
            heads.push(AuditHead { block, count, head });
            Ok(TxReceipt { tx: [0; 32], block, gas_used: 30_000 })
        })
    }

    fn published(&self) -> L1Future<'_, u64> {
        Box::pin(async move { Ok(self.here()?.last().map_or(0, |last| last.count)) })
    }

    fn heads(&self, from_block: u64) -> L1Future<'_, Vec<AuditHead>> {
        Box::pin(async move { Ok(self.here()?.iter().filter(|head| head.block >= from_block).copied().collect()) })
    }
}
