//! Community header: mechanism, period, pools and totals.

use serde::{Deserialize, Serialize};

use crate::{
    field::{Fr, hex_fr},
    market::Mechanism,
    poseidon::{DomainTag, sponge},
    schnorr::PublicKey,
    units::{Interval, Wh},
};

/// Totals over the life of a community. Only the operator and whoever it opens the header to see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Energy taken from the network, Wh.
    pub import: Wh,
    /// Energy fed in, Wh.
    pub export: Wh,
    /// Energy traded locally, Wh.
    pub traded: Wh,
    /// Certificates issued, Wh.
    pub issued: Wh,
    /// Certificates retired by local trade, Wh.
    pub retired: Wh,
    /// Certificates outstanding as notes, Wh.
    pub outstanding: Wh,
    /// Sum of all members' debts, nano.
    pub debt: u64,
    /// Packets substituted by the meter data manager.
    pub substituted_packets: u64,
    /// Import plus export of substituted packets, Wh.
    pub substituted_wh: Wh,
    /// Substituted packets replaced by the meter's own since (ADJUST.4).
    #[serde(default)]
    pub corrected: u64,
}

/// What `header_leaf` commits to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Clearing rule of every interval.
    pub mechanism: Mechanism,
    /// 900, 1800 or 3600 s.
    pub interval_length: u16,
    /// Intervals of a period.
    pub intervals: u16,
    /// Key of the meter data manager.
    pub mdm: PublicKey,
    /// First interval of the period to settle next.
    pub next_interval: Interval,
    /// Supplier's pool in this community, nano.
    pub supplier_account: u64,
    /// Network and local fees collected, nano.
    pub fee_account: u64,
    /// Part of the supplier account the operator may not withdraw, nano.
    pub reserve: u64,
    /// Count of header operations.
    pub nonce: u64,
    /// Life totals.
    pub totals: Totals,
    /// Notes trees appended so far.
    pub certificate_count: u64,
    /// h1, h2.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header").field("next_interval", &self.next_interval).finish_non_exhaustive()
    }
}

impl Header {
    /// The 23 committed elements in order.
    #[must_use]
    pub fn elements(&self) -> [Fr; 23] {
        let (mdm_x, mdm_y) = self.mdm.xy();
        let t = &self.totals;
        let [h1, h2] = self.salts;
        let n = Fr::from;
        let wh = |energy: Wh| n(energy.0);
        [
            n(self.mechanism as u64),
            n(u64::from(self.interval_length)),
            n(u64::from(self.intervals)),
            mdm_x,
            mdm_y,
            n(u64::from(self.next_interval)),
            n(self.supplier_account),
            n(self.fee_account),
            n(self.reserve),
            n(self.nonce),
            wh(t.import),
            wh(t.export),
            wh(t.traded),
            wh(t.issued),
            wh(t.retired),
            wh(t.outstanding),
            n(t.debt),
            n(t.substituted_packets),
            wh(t.substituted_wh),
            n(t.corrected),
            n(self.certificate_count),
            h1,
            h2,
        ]
    }

    /// `header_leaf`.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        sponge(DomainTag::Header, &self.elements())
    }
}
