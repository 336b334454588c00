//! Receipts that were kept before an account of their batch was erased.

use gridveil_protocol::receipt::Receipt;

use super::{
    StoreError,
    data_keys::Label,
    log_state::key,
    reader::StoreReader,
    record::{Event, Kept, kind},
};

impl StoreReader {
    /// What was kept of a batch; `None` if nothing was, because no account of it is erased.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn kept_of(&self, batch: u64) -> Result<Option<Kept>, StoreError> {
        let Some(offset) = self.index.number(&key::batch(b'k', batch))? else { return Ok(None) };
        let Event::Kept(kept) = self.read(offset, kind::KEPT)?.0 else {
            return Err(StoreError::Inconsistent("not kept receipts"));
        };
        Ok(Some(kept))
    }

    /// A slot's receipt that was kept.
    ///
    /// # Errors
    /// [`StoreError`], also where its own account was erased later.
    pub fn kept_receipt(&self, batch: u64, slot: u16) -> Result<Option<Receipt>, StoreError> {
        let Some(offset) = self.index.number(&key::batch(b'k', batch))? else { return Ok(None) };
        let (Event::Kept(kept), sealed) = self.read(offset, kind::KEPT)? else {
            return Err(StoreError::Inconsistent("not kept receipts"));
        };
        if !sealed.iter().any(|part| part.part == slot) {
            return Ok(None);
        }
        let (community, first_interval) = (kept.community, kept.first_interval);
        self.open_json(&Label { kind: kind::KEPT, community, part: slot, first_interval }, &sealed).map(Some)
    }
}
