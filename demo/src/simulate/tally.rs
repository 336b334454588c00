//! Sums of a simulation, and what was checked.

use gridveil_cli::common::text;
use gridveil_protocol::{
    field::Fr,
    header::Totals,
    receipt::{Receipt, ReceiptError},
    settlement::Transition,
    units::{Nano, Wh},
};

use super::{CHECKS, Certificates, Check, Energy, HomeReport, LackReport, Money, Report};
use crate::{
    genesis::Plan,
    homes::{self, Home, Homes, Lack},
    ledger::Ledger,
    time_of_use::TimeOfUse,
};

/// Sums over periods, and what has held so far.
pub(super) struct Tally<'a> {
    homes: &'a Homes,
    report: Report,
    holds: [bool; CHECKS.len()],
    notes_wh: Wh,
    supplier_nano: Nano,
    totals: Totals,
}

impl<'a> Tally<'a> {
    pub(super) fn new(homes: &'a Homes, plan: &Plan, time_of_use: &TimeOfUse) -> Self {
        let m = plan.shape.intervals;
        let periods = homes.intervals() / m;
        let intervals = periods * m;
        let length = u64::from(homes.interval_length);
        let from_s = homes.first_interval.start(homes.interval_length);
        let local = |seconds: u64| text::local(seconds, &time_of_use.zone);
        let named = |home: &Home| HomeReport {
            home: home.name.clone(),
            estimated_intervals: home.estimated,
            files: home.files.iter().map(|path| path.display().to_string()).collect(),
            ..HomeReport::default()
        };
        let lack = |lack: &Lack| LackReport {
            home: lack.home.clone(),
            start: local(u64::try_from(lack.start.as_second()).unwrap_or_default()),
        };
        let report = Report {
            mechanism: plan.mechanism,
            currency: time_of_use.currency.clone(),
            example_tariff: false,
            zone: homes::zone_name(&time_of_use.zone),
            example_zone: false,
            homes_count: plan.homes.len(),
            interval_length: homes.interval_length,
            from: local(from_s),
            until: local(from_s + intervals as u64 * length),
            left_out_days: homes.left_out_days,
            lacks: homes.lacks.iter().map(lack).collect(),
            same_meters: homes.same_meters.clone(),
            periods,
            intervals,
            unsettled_intervals: homes.intervals() - intervals,
            skipped_rows: homes.skipped_rows,
            intervals_with_both_sides: 0,
            energy: Energy::default(),
            money: Money::default(),
            certificates: Certificates::default(),
            homes: homes.homes.iter().map(named).collect(),
            checks: Vec::new(),
            state_root: Fr::from(0u64),
        };
        Self {
            homes,
            report,
            holds: [true; CHECKS.len()],
            notes_wh: Wh::ZERO,
            supplier_nano: Nano::ZERO,
            totals: Totals::default(),
        }
    }

    pub(super) fn add(&mut self, t: &Transition, first: usize) {
        for (interval, clearing) in t.clearings.iter().enumerate() {
            let (import, export) = self.homes.totals(first + interval);
            let matchable = import.min(export);
            let (bought, sold) = (clearing.bought.iter().sum::<Wh>(), clearing.sold.iter().sum::<Wh>());
            self.holds[0] &= bought == sold && bought == clearing.volume && bought <= matchable;
            let energy = &mut self.report.energy;
            energy.import_wh += import;
            energy.export_wh += export;
            energy.matchable_wh += matchable;
            energy.traded_wh += bought;
            self.report.intervals_with_both_sides += usize::from(matchable > Wh::ZERO);
        }
        let funds = |c: &gridveil_protocol::community::Community| {
            let balances: Nano = c.accounts.iter().map(|a| Nano::from(a.balance)).sum();
            balances + Nano::from(c.header.supplier_account) + Nano::from(c.header.fee_account)
        };
        self.holds[2] &= funds(&t.input.community) == funds(&t.after);
        self.notes_wh += t.notes.iter().map(|note| note.amount).sum::<Wh>();
        self.totals = t.after.header.totals;
        self.report.money.debt_nano = self.totals.debt.into();
        for slot in 0..self.report.homes.len() {
            self.add_home(t, slot);
        }
    }

    fn add_home(&mut self, t: &Transition, slot: usize) {
        let own = t.input.packets.get(slot).map(|p| p.packet.readings.as_slice());
        let bill = Receipt::of(t, slot)
            .ok_or(ReceiptError::Path)
            .and_then(|r| r.verify(own, &t.input.tariff, t.instance.new_root));
        let (Some(home), Ok(bill), Some(own)) = (self.report.homes.get_mut(slot), bill, own) else {
            self.holds[4] = false;
            return;
        };
        home.import_wh += bill.energy.import;
        home.export_wh += bill.energy.export;
        home.bought_wh += bill.energy.bought;
        home.sold_wh += bill.energy.sold;
        home.bill_nano -= bill.delta_nano();
        let terms = t.input.community.accounts.get(slot).map(|a| a.terms);
        let (class, scale) = terms.map_or((0, 1), |terms| (usize::from(terms.class), terms.scale));
        let money = &mut self.report.money;
        let intervals = own.iter().zip(&t.input.tariff.intervals).zip(&t.clearings);
        for ((reading, prices), clearing) in intervals {
            let prices = prices.classes.get(class).copied().unwrap_or_default();
            let sold = clearing.sold.get(slot).copied().unwrap_or_default();
            let wh = |units| i128::from(Wh::of_units(units, scale));
            let (import, export) = (wh(reading.import), wh(reading.export));
            money.supplier_feed_in_nano += Nano((export - i128::from(sold)) * i128::from(prices.feed_in));
            money.local_trade_nano += Nano(clearing.tick.nano_per_wh() * i128::from(sold));
            let retail = i128::from(prices.energy) + i128::from(prices.network);
            home.bill_without_community_nano += Nano(import * retail - export * i128::from(prices.feed_in));
        }
        money.fees_nano += bill.fees_nano;
        self.supplier_nano += bill.supply_nano;
    }

    pub(super) fn finish(mut self, ledger: &Ledger) -> Report {
        let (r, t) = (&mut self.report, &self.totals);
        r.state_root = ledger.root();
        r.money.bills_nano = r.homes.iter().map(|h| h.bill_nano).sum();
        r.money.bills_without_community_nano = r.homes.iter().map(|h| h.bill_without_community_nano).sum();
        r.certificates = Certificates { issued_wh: t.issued, retired_wh: t.retired, outstanding_wh: t.outstanding };
        let sum = |of: fn(&HomeReport) -> Wh| r.homes.iter().map(of).sum::<Wh>();
        let e = &r.energy;
        self.holds[1] &= (t.import, t.export, t.traded) == (e.import_wh, e.export_wh, e.traded_wh)
            && [sum(|h| h.import_wh), sum(|h| h.export_wh)] == [e.import_wh, e.export_wh]
            && [sum(|h| h.bought_wh), sum(|h| h.sold_wh)] == [e.traded_wh; 2];
        r.money.supplier_energy_nano = self.supplier_nano + r.money.supplier_feed_in_nano;
        self.holds[2] &= r.money.bills_nano == self.supplier_nano + r.money.fees_nano;
        self.holds[3] &=
            t.issued == e.export_wh && t.issued == t.retired + t.outstanding && self.notes_wh == t.outstanding;
        r.checks = CHECKS.into_iter().zip(self.holds).map(|(name, holds)| Check { name, holds }).collect();
        self.report
    }
}
