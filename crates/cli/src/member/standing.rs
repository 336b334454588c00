//! How L1 stands with an account: is what the wallet shows of this chain, how far behind is it, and who may leave.

use anyhow::{Context as _, bail};
use gridveil_meter_client::{
    calendar::local,
    l1::{Roots as _, Standing},
};
use gridveil_protocol::{field::to_bytes, receipt::Receipt, units::Interval};
use gridveil_readings::zone::Zone;
use serde_json::json;

use super::session::Session;
use crate::common::details::{Details, hex0};

/// What L1 says, compared with the wallet.
#[derive(Clone, Debug)]
pub struct OnL1 {
    standing: Standing,
    chain_id: u64,
    contract: [u8; 20],
    /// Unix second up to which the wallet has verified receipts.
    verified_s: Option<u64>,
    /// Does the last receipt lead to the contract's present root?
    newest: bool,
    /// In which times are shown.
    zone: Zone,
}

impl OnL1 {
    /// Asks L1. Nothing of the wallet is to be shown before. Times are shown in `zone`.
    ///
    /// # Errors
    /// L1 does not answer, does not know the community, or never had the root of the last receipt.
    pub fn ask(session: &Session, zone: &Zone) -> anyhow::Result<Self> {
        let standing = session.roots.standing(session.community, session.slot).context("--rpc")?;
        let receipt = session.wallet.state().receipt.as_ref();
        if let Some(receipt) = receipt
            && !session.roots.is_finalised(receipt.root).context("--rpc")?
        {
            bail!(
                "{}: L1 never had the state root of the last receipt there, so nothing of it is shown. Either --rpc leads to \
                 another chain with this number, or its node is behind, or L1 was reorganised: then wait for the next \
                 settlement",
                session.wallet.path().display()
            );
        }
        Ok(Self {
            standing,
            chain_id: session.deployment.chain_id,
            contract: session.deployment.contract,
            verified_s: receipt.map(|receipt| end_s(receipt, standing.interval_length)),
            newest: receipt.is_some_and(|receipt| receipt.root == standing.root),
            zone: zone.clone(),
        })
    }

    /// Periods that L1 has settled and the wallet has not verified.
    #[must_use]
    pub fn behind(&self) -> u64 {
        let period_s = u64::from(self.standing.interval_length) * u64::from(self.standing.intervals);
        let from = self.verified_s.unwrap_or(self.standing.settled_through_s);
        self.standing.settled_through_s.saturating_sub(from).div_ceil(period_s.max(1))
    }

    /// Seconds of an interval of the community.
    #[must_use]
    pub const fn interval_length(&self) -> u16 {
        self.standing.interval_length
    }

    /// When an interval begins, by the clock of the zone alone: beside rows that name the offset.
    #[must_use]
    pub fn clock(&self, interval: Interval) -> String {
        let date = self.date(interval);
        date.rsplit_once(' ').map_or(date.clone(), |(clock, _)| clock.to_owned())
    }

    /// When an interval begins, for a person.
    #[must_use]
    pub fn date(&self, interval: Interval) -> String {
        local(i64::from(interval) * i64::from(self.standing.interval_length), &self.zone)
    }

    /// Its rows.
    #[must_use]
    pub fn rows(&self, details: Details, new: usize) -> Details {
        let Standing { root, frozen, ending, emergency, exited, settled_through_s, .. } = self.standing;
        let time = |seconds: u64| local(i64::try_from(seconds).unwrap_or(i64::MAX), &self.zone);
        let behind = self.behind();
        let settled = match (settled_through_s, self.verified_s, behind) {
            (0, ..) => "nothing yet".to_owned(),
            (until, Some(_), 0) => format!("until {}: this wallet is up to date", time(until)),
            (until, Some(_), 1) => format!("until {}: one period more than here", time(until)),
            (until, Some(_), more) => format!("until {}: {more} periods more than here", time(until)),
            (until, None, _) => format!("until {}", time(until)),
        };
        let details = match self.verified_s {
            Some(until) => details.row("verified", format!("until {} ({new} new)", time(until)), until),
            None => details,
        };
        let leave = self.standing.going().text();
        let contract = hex0(self.contract);
        details
            .row("settled on L1", settled, settled_through_s)
            .row("rollup", leave, leave)
            .row("chain", format!("{}, contract {contract}", self.chain_id), self.chain_id)
            .value("contract", contract)
            .value("behind", behind)
            .value(
                "l1",
                json!({"state_root": hex0(to_bytes(&root)), "newest": self.newest, "frozen": frozen, "exited": exited,
                    "emergency": emergency, "ending": format!("{ending:?}").to_lowercase()}),
            )
    }
}

/// Unix second at which the receipt's period ends.
fn end_s(receipt: &Receipt, interval_length: u16) -> u64 {
    let intervals = u32::try_from(receipt.lines.len()).unwrap_or(0);
    u64::from(receipt.first_interval.saturating_add(intervals)) * u64::from(interval_length)
}
