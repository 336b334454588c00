//! What the demonstration has to show, for people and in `summary.json`.

use comfy_table::CellAlignment;
use gridveil_protocol::{
    field::{Fr, hex_fr},
    header::{Header, Totals},
    market::Mechanism,
    receipt::Receipt,
    units::{Nano, Wh},
};
use serde::Serialize;

use super::{
    backend::Settled,
    scenario::{Day, Scenario},
};
use crate::genesis::Plan;
use gridveil_cli::common::text;

/// One settled day.
#[derive(Clone, Debug, Serialize)]
pub struct DaySummary {
    /// Local day.
    pub date: String,
    /// Clearing rule.
    pub mechanism: Mechanism,
    /// From the network.
    pub import_wh: Wh,
    /// Into the network.
    pub export_wh: Wh,
    /// The most local trade can be.
    pub matchable_wh: Wh,
    /// Local trade.
    pub local_wh: Wh,
    /// What members' balances fell by.
    pub bills_nano: Nano,
    /// Substituted packets.
    pub substituted: u64,
    /// Time of the proof.
    pub proving_ms: Option<u64>,
    /// Gas of the settling transaction.
    pub gas: Option<u64>,
}

/// One community at the end.
#[derive(Clone, Debug, Serialize)]
pub struct CommunitySummary {
    /// Index.
    pub community: u32,
    /// Members' money at the start and at the end, less debts, nano.
    pub members_nano: [Nano; 2],
    /// Supplier's pool at the start and at the end, nano.
    pub supplier_nano: [Nano; 2],
    /// Network and local fees collected, nano.
    pub fees_nano: Nano,
    /// Life totals of the header.
    pub totals: Totals,
}

impl CommunitySummary {
    pub(super) fn new(plan: &Plan) -> Self {
        let members = plan.homes.iter().map(|_| Nano::from(plan.balance)).sum();
        Self {
            community: plan.index,
            members_nano: [members; 2],
            supplier_nano: [plan.supplier_account.into(); 2],
            fees_nano: Nano::ZERO,
            totals: Totals::default(),
        }
    }

    pub(super) fn add(&mut self, receipts: &[Receipt], header: &Header) {
        self.members_nano[1] = receipts.iter().map(|r| r.after.value()).sum();
        self.supplier_nano[1] = header.supplier_account.into();
        self.fees_nano = header.fee_account.into();
        self.totals = header.totals;
    }

    /// Money of the community now, nano; members' debts were paid by the supplier account and are owed to it (SETTLE.8).
    pub(super) fn funds_nano(&self) -> Nano {
        self.members_nano[1] + Nano::from(self.totals.debt) + self.supplier_nano[1] + self.fees_nano
    }
}

/// Issued = retired + outstanding + exported.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Certificates {
    /// Issued, Wh.
    pub issued_wh: Wh,
    /// Retired: by local trade, for everybody to see, and sealed where shown.
    pub retired_wh: Wh,
    /// Held, or not shown.
    pub outstanding_wh: Wh,
    /// Of these, shown to be held.
    pub held_wh: Wh,
    /// Exported to another registry.
    pub exported_wh: Wh,
}

/// The demonstration's result; the keys of `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Settled readings: one a home and hour, substituted ones included.
    pub readings: u64,
    /// Settled periods.
    pub batches: u64,
    /// Seconds of each proof; empty without proofs.
    pub proving_s: Vec<f64>,
    /// Gas of each settling transaction; empty without a chain.
    pub gas_settle: Vec<u64>,
    /// Gas of all settling transactions by reading.
    pub gas_per_reading: Option<f64>,
    /// Bytes of the verifier contract's code.
    pub verifier_bytes: Option<u64>,
    /// Energy traded locally, Wh.
    pub local_wh: Wh,
    /// State root at the end.
    #[serde(serialize_with = "hex_fr::serialize")]
    pub state_root: Fr,
    /// `ok` after an audit; absent without a chain.
    pub auditor: Option<String>,
    /// Currency of the tariff.
    pub currency: String,
    /// Members whose statements were checked, over all days.
    pub statements_verified: u64,
    /// Forced withdrawals asked for on L1.
    pub forced_exits: u64,
    /// Was the rollup frozen at the end?
    pub frozen: bool,
    /// Slots paid out after the freeze.
    pub exits: u64,
    /// Certificate notes retired for everybody to see.
    pub retired_public: u64,
    /// Certificate notes retired under a commitment.
    pub retired_sealed: u64,
    /// Certificate notes handed to an owner in another community.
    pub certificates_transferred: u64,
    /// Periods whose certificate totals the operator opened to the auditor.
    pub totals_opened: u64,
    /// Certificates of these periods, as the auditor found them; absent without a chain.
    pub certificates: Option<Certificates>,
    /// Substitutes replaced by late packets.
    pub corrected: u64,
    /// Did everybody get what is theirs, and is what is left just the operator's?
    pub money_conserved: bool,
    /// What happened beside settling, in order.
    pub events: Vec<DemoEvent>,
    /// By day.
    pub days: Vec<DaySummary>,
    /// By community.
    pub communities: Vec<CommunitySummary>,
}

/// Something that happened beside settling.
#[derive(Clone, Debug, Serialize)]
pub struct DemoEvent {
    /// When.
    pub date: String,
    /// Who and what.
    pub what: String,
    /// Gas of its transaction, where it had one.
    pub gas: Option<u64>,
}

impl Summary {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            readings: 0,
            batches: 0,
            proving_s: Vec::new(),
            gas_settle: Vec::new(),
            gas_per_reading: None,
            verifier_bytes: None,
            local_wh: Wh::ZERO,
            state_root: Fr::from(0u64),
            auditor: None,
            currency: scenario.currency.clone(),
            statements_verified: 0,
            forced_exits: 0,
            frozen: false,
            exits: 0,
            retired_public: 0,
            retired_sealed: 0,
            certificates_transferred: 0,
            totals_opened: 0,
            certificates: None,
            corrected: 0,
            money_conserved: false,
            events: Vec::new(),
            days: Vec::new(),
            communities: vec![CommunitySummary::new(&scenario.plan)],
        }
    }

    /// Takes what the auditor found of the certificates of every day; it must be what the operator's header has.
    pub(super) fn certificates_audited(&mut self, totals: &[gridveil_auditor::Totals]) -> anyhow::Result<()> {
        let sum = |of: fn(&gridveil_auditor::Totals) -> Wh| totals.iter().map(of).sum::<Wh>();
        let certificates = Certificates {
            issued_wh: sum(|t| t.issued_wh),
            retired_wh: sum(gridveil_auditor::Totals::retired_wh),
            outstanding_wh: sum(gridveil_auditor::Totals::outstanding_wh),
            held_wh: sum(|t| t.held_wh),
            exported_wh: sum(|t| t.exported_wh),
        };
        let issued = self.communities.first().map_or(Wh::ZERO, |community| community.totals.issued);
        let Certificates { issued_wh, retired_wh, outstanding_wh, exported_wh, .. } = certificates;
        anyhow::ensure!(
            issued_wh == issued,
            "the opened days issued {issued_wh} Wh of certificates, the header has {issued}"
        );
        anyhow::ensure!(
            issued_wh == retired_wh + outstanding_wh + exported_wh,
            "certificates issued are not retired, outstanding or exported"
        );
        (self.totals_opened, self.certificates) = (totals.len() as u64, Some(certificates));
        Ok(())
    }

    pub(super) fn add(&mut self, day: &Day, settled: &Settled) {
        self.readings += day.homes.iter().map(|home| home.readings.len() as u64).sum::<u64>();
        self.batches += 1;
        self.statements_verified += day.homes.len() as u64;
        self.state_root = settled.root;
        self.local_wh = self.days.iter().map(|d| d.local_wh).sum();
        self.proving_s.extend(settled.proving_ms.map(|ms| f64::from(u32::try_from(ms).unwrap_or(u32::MAX)) / 1000.0));
        self.gas_settle.extend(settled.gas);
        let gas: u64 = self.gas_settle.iter().sum();
        self.gas_per_reading = (gas > 0 && self.readings > 0).then(|| {
            let tenths = (gas * 10 + self.readings / 2) / self.readings;
            f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
        });
    }
}

const fn mechanism(m: Mechanism) -> &'static str {
    match m {
        Mechanism::Auction => "auction",
        Mechanism::CommunityPrice => "community price",
    }
}

fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".into(), |ms| format!("{}.{}", ms / 1000, ms % 1000 / 100))
}

fn count(x: Option<u64>) -> String {
    x.map_or_else(|| "-".into(), |x| text::grouped(x.into()))
}

/// Tables for a person.
#[must_use]
pub fn render(s: &Summary) -> String {
    let unit = &s.currency;
    let bills = format!("bills {unit}");
    let mut days = text::table(&[
        "day",
        "mechanism",
        "import kWh",
        "export kWh",
        "local kWh",
        "of matchable",
        &bills,
        "substituted",
        "proof s",
        "gas",
    ]);
    for d in &s.days {
        days.add_row([
            d.date.clone(),
            mechanism(d.mechanism).into(),
            text::kwh(d.import_wh),
            text::kwh(d.export_wh),
            text::kwh(d.local_wh),
            text::percent(d.local_wh, d.matchable_wh),
            text::money(d.bills_nano),
            d.substituted.to_string(),
            seconds(d.proving_ms),
            count(d.gas),
        ]);
    }
    let mut communities = text::table(&[
        &format!("members {unit}"),
        &format!("supplier {unit}"),
        &format!("fees {unit}"),
        "issued kWh",
        "retired kWh",
        "outstanding kWh",
        "substituted kWh",
    ]);
    let change = |[from, to]: [Nano; 2]| format!("{} → {}", text::money(from), text::money(to));
    for c in &s.communities {
        communities.add_row([
            change(c.members_nano),
            change(c.supplier_nano),
            text::money(c.fees_nano),
            text::kwh(c.totals.issued),
            text::kwh(c.totals.retired),
            text::kwh(c.totals.outstanding),
            text::kwh(c.totals.substituted_wh),
        ]);
    }
    let mut out = format!("{days}\n{communities}\n");
    if !s.events.is_empty() {
        let mut events = text::table(&["when", "what", "gas"]);
        if let Some(what) = events.column_mut(1) {
            what.set_cell_alignment(CellAlignment::Left);
        }
        for event in &s.events {
            events.add_row([event.date.clone(), event.what.clone(), count(event.gas)]);
        }
        out += &format!("{events}\n");
    }
    out += &format!(
        "{} readings in {} batches, {} kWh traded locally, {} statements verified by their members\n",
        text::grouped(s.readings.into()),
        s.batches,
        text::kwh(s.local_wh),
        s.statements_verified
    );
    if s.frozen {
        out += &format!(
            "certificates retired: {} for everybody to see, {} sealed; {} handed to another community; {} late packets booked\n",
            s.retired_public, s.retired_sealed, s.certificates_transferred, s.corrected
        );
        out += &format!(
            "{} forced withdrawals, one of them ignored: frozen, {} members left; money conserved: {}\n",
            s.forced_exits,
            s.exits,
            if s.money_conserved { "yes, to the last unit" } else { "NO" }
        );
    }
    if let Some(c) = &s.certificates {
        let [issued, retired, outstanding, exported] =
            [c.issued_wh, c.retired_wh, c.outstanding_wh, c.exported_wh].map(text::kwh);
        out += &format!(
            "certificates of {} opened periods: issued {issued} = retired {retired} + outstanding {outstanding} + exported {exported} kWh\n",
            s.totals_opened
        );
    }
    match (&s.auditor, s.gas_per_reading) {
        (Some(auditor), Some(gas)) => {
            out += &format!(
                "auditor, from L1 alone: {auditor}; {gas:.1} gas a reading; verifier {} bytes\n",
                count(s.verifier_bytes)
            );
        }
        _ => out += "without proofs: nothing was proven, nothing is on a chain\n",
    }
    out
}
