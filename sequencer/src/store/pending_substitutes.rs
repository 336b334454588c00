//! A slot's pending substitutes. The leaf has the digest of the newest, and each names the one before it (ADJUST.1).
//! They are read from the log, which has every substitute.

use gridveil_protocol::{field::Fr, packet::SignedPacket, schnorr::PublicKey, units::Interval};

use super::{StoreError, reader::StoreReader};

/// Which slot, and where its pending substitutes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingOf {
    /// Community.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Digest of the newest; zero if there is none.
    pub pending_substitute: Fr,
    /// First interval of the open period: every pending substitute is of an earlier one.
    pub before: Interval,
    /// Intervals of a period.
    pub intervals: u16,
    /// Today's meter data manager: most substitutes are signed by this key.
    pub mdm: PublicKey,
}

impl StoreReader {
    /// Periods of the slot's substitutes that may still be corrected, newest first, as far as the one of `until`.
    ///
    /// At most one look into the index for each period since `until`, and one packet for each substitute since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pending_substitutes(&self, of_slot: &PendingOf, until: Interval) -> Result<Vec<Interval>, StoreError> {
        let (step, mut at, mut pending_substitute) =
            (u32::from(of_slot.intervals).max(1), of_slot.before, of_slot.pending_substitute);
        let mut periods = Vec::new();
        while pending_substitute != Fr::from(0u64) {
            let Some(earlier) = at.checked_sub(step).filter(|earlier| *earlier >= until) else { break };
            at = earlier;
            if self.packet_id(of_slot.community, at, of_slot.slot, true)?.is_none() {
                continue;
            }
            let substitute = self.packet(of_slot.community, at, of_slot.slot, true)?;
            if substitute.digest(&of_slot.mdm) == pending_substitute
                || self.digest_of_then(of_slot, at, &substitute)? == Some(pending_substitute)
            {
                periods.push(at);
                pending_substitute = substitute.packet.previous_substitute;
            }
        }
        Ok(periods)
    }

    /// The digest under the key of the meter data manager of that time, if it was another one.
    fn digest_of_then(
        &self,
        of_slot: &PendingOf,
        first_interval: Interval,
        substitute: &SignedPacket,
    ) -> Result<Option<Fr>, StoreError> {
        let Some(batch) = self.batch_of(of_slot.community, first_interval)? else { return Ok(None) };
        let signer = self.header_before(&self.applied(batch)?)?.mdm;
        Ok((signer != of_slot.mdm).then(|| substitute.digest(&signer)))
    }
}
