//! What happens besides settling, day by day: deposits, a withdrawal, late packets, certificates, a forced withdrawal,
//! another mechanism.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use gridveil_meter_client::statement::Asked;
use gridveil_protocol::{
    account::{Account, Terms},
    certificate::{CERTIFICATE_VERSION, NotePath, Output, Purpose, Retirement, RetirementStatement, SpendPlan},
    field::{Fr, reduce, to_bytes},
    header_operation::{HeaderOperation, Management, Place, Pool, Transfer},
    instance,
    note::Note,
    operation::{Kind, Operation, SignedOperation},
    owner::owner_of,
    packet::Reading,
    params::UNIT_NANO,
    receipt::Receipt,
    schnorr::SecretKey,
    units::{Interval, Wh},
};
use gridveil_sequencer::{batch, operations};
use gridveil_verifier_contract::{CertificateCall, ChainL1, MemberL1, OperatorL1, anvil::LOCAL_CHAIN_ID};

use super::OnChain;
use crate::{
    demo::{
        scenario::{COMMUNITY, Day, NEIGHBOUR, NEIGHBOUR_HOME, SUPPLIER_ACCOUNT, Scenario, events},
        summary::DemoEvent,
    },
    genesis::{self, Limits, SOLAR},
};
use gridveil_cli::common::text;

/// A retirement that its holder can show, and what was meant by it.
pub struct Shown {
    /// The statement.
    pub statement: RetirementStatement,
    /// Was it sealed?
    pub sealed: bool,
}

/// Fresh elements for salts.
pub fn salts<const N: usize>() -> anyhow::Result<[Fr; N]> {
    let mut all = [Fr::from(0u64); N];
    for salt in &mut all {
        *salt = reduce(&gridveil_keystore::random::<64>()?);
    }
    Ok(all)
}

impl OnChain {
    /// Remembers what happened.
    pub(super) fn tell(&mut self, date: impl ToString, what: impl Into<String>, gas: Option<u64>) {
        self.events.push(DemoEvent { date: date.to_string(), what: what.into(), gas });
    }

    /// Hands an operation of a home in, and remembers that its owner signed it.
    fn operate(&mut self, home: u16, signed: SignedOperation) -> anyhow::Result<()> {
        self.running()?.sequencer.operate(&signed)?;
        self.signed.entry(home).or_default().push(signed);
        Ok(())
    }

    fn sign(&self, operation: Operation, home: u16) -> anyhow::Result<SignedOperation> {
        let secret = genesis::owner_key(home);
        let owner = owner_of(&secret);
        Ok(operation.sign(self.running()?.domain, &secret, owner)?)
    }

    /// The owner's side of an enrolment, and the meter data manager's signature.
    fn enrolment(&self, scenario: &Scenario, community: u32, slot: u16, home: u16) -> anyhow::Result<SignedOperation> {
        let plan = &scenario.plan;
        let limits = Limits::of(home, plan.mechanism);
        let (owner, meter) = (owner_of(&genesis::owner_key(home)), genesis::meter_key(home).public());
        let terms = Terms {
            active_from: plan.first_interval,
            active_until: plan.active_until,
            buy_limit: limits.buy,
            sell_limit: limits.sell,
            cap_import: plan.caps_wh[0],
            cap_export: plan.caps_wh[1],
            technology: SOLAR,
            scale: 1,
            class: 0,
        };
        let operation = Operation {
            party: owner.commitment(),
            payout: genesis::payout(home),
            salts: salts()?,
            meter: Some(meter),
            terms: Some(terms),
            ..Operation::new(Kind::Enrol, community, slot, 0)
        };
        Ok(self.sign(operation, home)?.countersign(self.running()?.domain, &genesis::mdm_key())?)
    }

    /// Both communities begin: the homes and the neighbour enrol, the operator funds the supplier account. Gives the
    /// number of batches.
    pub(super) fn beginnings(&mut self, scenario: &Scenario) -> anyhow::Result<u64> {
        self.progress.say("the communities begin");
        for (slot, home) in scenario.plan.homes.iter().enumerate() {
            let signed = self.enrolment(scenario, COMMUNITY, u16::try_from(slot)?, *home)?;
            self.operate(*home, signed)?;
        }
        self.operate(NEIGHBOUR_HOME, self.enrolment(scenario, NEIGHBOUR, 0, NEIGHBOUR_HOME)?)?;
        let running = self.running()?;
        let service = running.handle.as_ref().context("stopped")?.service();
        let units = SUPPLIER_ACCOUNT / UNIT_NANO;
        let transfer = HeaderOperation { transfer: Some(Transfer { pool: Pool::SupplierIn, units }), management: None };
        let funded = self.runtime.block_on(async {
            let receipt = running.l1.fund_supplier_account(units).await?;
            operations::submit_header(service, COMMUNITY, transfer, None)
                .await
                .map_err(|problem| anyhow::anyhow!("{problem}"))?;
            anyhow::Ok(receipt.gas_used)
        })?;
        let date = scenario.days.first().context("no days")?.date.yesterday()?;
        let ends = scenario.plan.first_interval.start(scenario.plan.interval_length);
        self.runtime.block_on(self.running()?.l1.set_local_time(ends))?;
        for community in [COMMUNITY, NEIGHBOUR] {
            self.settle_period(community, scenario.beginning)?;
        }
        self.neighbour = Some(self.neighbours_receipt(scenario)?);
        self.tell(
            date,
            format!(
                "{} homes and a neighbour enrol; the operator funds the supplier account",
                scenario.plan.homes.len()
            ),
            Some(funded),
        );
        Ok(2)
    }

    /// What members and meter data manager ask for before a day is closed.
    pub(super) fn before(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<()> {
        if day.number == 0 {
            self.deposits(scenario, day)?;
        }
        if day.number == events::LATE_DAY {
            self.late(scenario, day)?;
        }
        if day.number == events::WITHDRAWS.1 {
            self.withdraw(scenario, day)?;
        }
        if day.number == events::FORCES.1 {
            let (home, _) = events::FORCES;
            let gas = self.force(scenario, home)?;
            self.tell(day.date, format!("home {home} asks L1 for its money"), Some(gas));
        }
        if day.number == events::SWITCH_DAY {
            self.switch(day)?;
        }
        Ok(())
    }

    /// What members do once a day is final.
    pub(super) fn after(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<()> {
        if day.number == events::WITHDRAWS.1 {
            self.collect(events::WITHDRAWS.0, day, "collects what it withdrew")?;
        }
        if day.number == events::FORCES.1 {
            self.collect(events::FORCES.0, day, "collects its forced withdrawal")?;
        }
        if day.number == events::RETIRES.1 {
            let (home, _, of) = events::RETIRES;
            self.retire(scenario, day, home, of, false)?;
            let (home, _, of) = events::RETIRES_SEALED;
            self.retire(scenario, day, home, of, true)?;
            let (home, _, of) = events::TRANSFERS;
            self.transfer(scenario, day, home, of)?;
        }
        if day.number == events::NEIGHBOUR_RETIRES {
            self.neighbour_retires(day)?;
        }
        Ok(())
    }

    /// Every home deposits on L1 and takes the deposit in.
    fn deposits(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<()> {
        let mut gas = 0;
        for (slot, home) in scenario.plan.homes.iter().enumerate() {
            let [sa, sb] = salts()?;
            let zero = Fr::from(0u64);
            let operation = Operation {
                amount: scenario.plan.balance,
                payout: genesis::payout(*home),
                salts: [sa, sb, zero, zero],
                // Enrolment was the slot's first operation.
                ..Operation::new(Kind::Deposit, COMMUNITY, u16::try_from(slot)?, 1)
            };
            let claim = operation.claim(owner_of(&genesis::owner_key(*home)).commitment());
            gas = self.runtime.block_on(self.running()?.l1.deposit(to_bytes(&claim), operation.units()))?.gas_used;
            self.operate(*home, self.sign(operation, *home)?)?;
        }
        self.tell(
            day.date,
            format!("{} deposits of {}", scenario.plan.homes.len(), text::money(scenario.plan.balance.into())),
            Some(gas),
        );
        Ok(())
    }

    /// The silent meter's packets come after all, the older one first.
    fn late(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<()> {
        let (home, silent) = events::SILENT;
        let slot = scenario.slot(home)?;
        let running = self.running()?;
        let mut dates = Vec::new();
        for number in silent {
            let then = scenario.days.get(number).context("no such day")?;
            let readings: Vec<Reading> = then.measured.get(slot).context("no such home")?.clone();
            let meter = running.meters.get(slot).context("no such meter")?;
            let draft = super::draft(running.domain, then, &scenario.plan, slot, readings)?;
            running.sequencer.submit(&meter.outbox.sign_once(draft, meter.device.secret())?)?;
            dates.push(then.date.to_string());
        }
        self.tell(day.date, format!("the packets of home {home} for {} come late", dates.join(" and ")), None);
        Ok(())
    }

    /// What a home's statement says of a late packet.
    pub(super) fn booked(&mut self, scenario: &Scenario, day: &Day, home: u16, first_interval: Interval) {
        self.corrected += 1;
        let then = scenario
            .days
            .iter()
            .find(|then| then.first_interval == first_interval)
            .map_or_else(String::new, |then| then.date.to_string());
        self.tell(day.date, format!("the late packet of home {home} for {then} is booked by the difference"), None);
    }

    fn account(&self, home: u16) -> anyhow::Result<&Account> {
        let last = self.receipts.range((home, 0)..=(home, usize::MAX)).next_back();
        Ok(&last.context("no receipt yet")?.1.after)
    }

    fn withdraw(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<()> {
        let (home, _) = events::WITHDRAWS;
        let account = self.account(home)?.clone();
        // A quarter, in whole units: the day's bill must fit beside it.
        let amount = account.balance / 4 / UNIT_NANO * UNIT_NANO;
        let operation = Operation {
            amount,
            ..Operation::new(Kind::Withdraw, COMMUNITY, u16::try_from(scenario.slot(home)?)?, account.nonce)
        };
        self.operate(home, self.sign(operation, home)?)?;
        self.tell(day.date, format!("home {home} withdraws {}", text::money(amount.into())), None);
        Ok(())
    }

    /// Pays a home what L1 owes its payout address.
    fn collect(&mut self, home: u16, day: &Day, what: &str) -> anyhow::Result<()> {
        let running = self.running()?;
        let payout = genesis::payout(home);
        let (owed, gas) = self.runtime.block_on(async {
            let owed = running.l1.withdrawable(payout).await?;
            anyhow::Ok((owed, running.l1.withdraw(payout).await?.gas_used))
        })?;
        ensure!(owed > 0, "L1 owes home {home} nothing");
        *self.paid.entry(home).or_default() += owed;
        self.tell(day.date, format!("home {home} {what}: {}", text::money(super::token_nano(owed))), Some(gas));
        Ok(())
    }

    /// A home asks L1 for its money with its payout address's own key.
    pub(super) fn force(&mut self, scenario: &Scenario, home: u16) -> anyhow::Result<u64> {
        let running = self.running()?;
        let client = running.l1.with_key(genesis::payout_key(home).context("this home has no key on L1")?)?;
        let slot = u32::try_from(scenario.slot(home)?)?;
        let receipt = self.runtime.block_on(client.force_withdraw(COMMUNITY, slot))?;
        self.forced += 1;
        Ok(receipt.gas_used)
    }

    /// The meter data manager changes the mechanism.
    fn switch(&mut self, day: &Day) -> anyhow::Result<()> {
        let running = self.running()?;
        let service = running.handle.as_ref().context("stopped")?.service();
        let header =
            service.writer.snapshot().communities.get(&COMMUNITY).map(|c| c.header.clone()).context("no community")?;
        let management = Management {
            mechanism: Scenario::mechanism(day.number + 1),
            mdm: header.mdm,
            reserve: header.reserve,
            skip: 0,
        };
        let signed = management.sign(running.domain, &Place::at(COMMUNITY, &header), &genesis::mdm_key())?;
        let operation = HeaderOperation { transfer: None, management: Some(signed) };
        self.runtime
            .block_on(operations::submit_header(service, COMMUNITY, operation, None))
            .map_err(|problem| anyhow::anyhow!("{problem}"))?;
        self.tell(day.date, "the meter data manager changes the market from auction to community price", None);
        Ok(())
    }

    /// The note of a home's day, and its path, from its receipt.
    fn note(&self, home: u16, day: usize) -> anyhow::Result<(Note, NotePath)> {
        let receipt = self.receipts.get(&(home, day)).context("no receipt of that day")?;
        Ok((receipt.note(), NotePath::of_receipt(receipt).context("the receipt has no path")?))
    }

    /// Signs, proves and hands in a spending.
    fn spend(&self, secret: &SecretKey, plan: SpendPlan) -> anyhow::Result<u64> {
        let running = self.running()?;
        let proven = self.certificates.as_ref().context("no prover")?.prove(&plan.sign(secret)?)?;
        let call = CertificateCall::new(&proven.instance, proven.proof)?;
        Ok(self.runtime.block_on(running.l1.certify(call))?.gas_used)
    }

    fn retire(&mut self, _: &Scenario, day: &Day, home: u16, of: usize, sealed: bool) -> anyhow::Result<()> {
        let secret = genesis::owner_key(home);
        let (note, path) = self.note(home, of)?;
        let amount = note.amount;
        let plan = self.plan(&secret, note, path, None, Some((amount, sealed)))?;
        let statement = plan.statement().context("nothing retired")?;
        let gas = self.spend(&secret, plan)?;
        self.shown.push(Shown { statement, sealed });
        let how = if sealed { "sealed" } else { "for everybody to see" };
        let amount = if sealed { "certificates".into() } else { format!("{} kWh of certificates", text::kwh(amount)) };
        self.tell(day.date, format!("home {home} retires {amount}, {how}"), Some(gas));
        Ok(())
    }

    fn transfer(&mut self, _: &Scenario, day: &Day, home: u16, of: usize) -> anyhow::Result<()> {
        let secret = genesis::owner_key(home);
        let (note, path) = self.note(home, of)?;
        let recipient = owner_of(&genesis::owner_key(NEIGHBOUR_HOME)).commitment();
        let plan = self.plan(&secret, note, path, Some(recipient), None)?;
        let [handed, _] = plan.notes();
        let gas = self.spend(&secret, plan)?;
        self.handed = Some(handed);
        self.tell(day.date, format!("home {home} hands certificates to a member of community {NEIGHBOUR}"), Some(gas));
        Ok(())
    }

    /// The neighbour finds what it was given in the state, and retires it.
    fn neighbour_retires(&mut self, day: &Day) -> anyhow::Result<()> {
        let note = self.handed.clone().context("nothing was handed over")?;
        let running = self.running()?;
        let found = running.sequencer.note(note.commitment())?;
        let path = NotePath::of_levels(&found.path).context("not the path of a note")?;
        let (secret, amount) = (genesis::owner_key(NEIGHBOUR_HOME), note.amount);
        let plan = self.plan(&secret, note, path, None, Some((amount, false)))?;
        let statement = plan.statement().context("nothing retired")?;
        let gas = self.spend(&secret, plan)?;
        self.shown.push(Shown { statement, sealed: false });
        self.tell(day.date, format!("the neighbour retires the {} kWh it was given", text::kwh(amount)), Some(gas));
        Ok(())
    }

    /// A spending of a whole note: to `recipient`, or retired.
    fn plan(
        &self,
        secret: &SecretKey,
        note: Note,
        path: NotePath,
        recipient: Option<Fr>,
        retired: Option<(Wh, bool)>,
    ) -> anyhow::Result<SpendPlan> {
        let running = self.running()?;
        let own = owner_of(secret).commitment();
        let handed = if retired.is_some() { Wh::ZERO } else { note.amount };
        let outputs = [
            Output { owner: recipient.unwrap_or(own), amount: handed, salts: salts()? },
            Output { owner: own, amount: Wh::ZERO, salts: salts()? },
        ];
        let beneficiary = reduce::<Fr>(b"a household in Fontana");
        let retirement = match retired {
            Some((amount, sealed)) => {
                Some(Retirement { amount, beneficiary, purpose: Purpose::Consumption, sealed, salts: salts()? })
            }
            None => None,
        };
        let domain = instance::domain(LOCAL_CHAIN_ID, &running.l1.contract(), CERTIFICATE_VERSION);
        Ok(SpendPlan { domain, note, path, outputs, retirement })
    }

    /// What the neighbour gets of its first period.
    fn neighbours_receipt(&self, scenario: &Scenario) -> anyhow::Result<Receipt> {
        let running = self.running()?;
        let asked = Asked { community: NEIGHBOUR, slot: 0, first_interval: scenario.beginning };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(running.sequencer.receipt(&asked.request(running.domain, now, &genesis::owner_key(NEIGHBOUR_HOME))?)?)
    }

    /// Settles a period of a community without any meter reading.
    fn settle_period(&self, community: u32, first_interval: Interval) -> anyhow::Result<()> {
        let running = self.running()?;
        let service = running.handle.as_ref().context("stopped")?.service();
        self.runtime.block_on(async {
            batch::close(service, community, first_interval).await.map_err(|problem| anyhow::anyhow!("{problem}"))?;
            super::final_on_l1(service, community, first_interval).await.map(|_| ())
        })
    }
}
