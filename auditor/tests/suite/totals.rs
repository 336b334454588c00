//! Issued = retired + outstanding + exported: an honest opening, and every false one with its refusal.

mod accounts;
mod chains;
mod openings;
mod shown;

use crate::common::{CHAIN, CONTRACT, ZERO, ask, chain_from, settle_call, wait};
use gridveil_auditor::{
    HeldError, HoldingVerifier, Period, PeriodAt, Published, RetirementError, SealedError, Totals, TotalsError,
    VerifierError, Which,
};
use gridveil_protocol::{
    certificate::{
        CERTIFICATE_VERSION, CertificateInstance, Kind, Purpose, RetirementStatement, ShownHolding, ShownRetirement,
        holding_domain,
    },
    community,
    field::{Fr, from_bytes, to_bytes},
    fixture::{self, Recipe},
    header::{self, Header},
    instance::domain,
    market::Mechanism,
    note::Origin,
    opening::{GenesisPlace, PeriodOpening},
    params::{STATE_DEPTH, Shape},
    settlement::{SettlementInput, Transition, apply},
    tree::{SparseTree, dense_root},
    units::Wh,
};
use gridveil_verifier_contract::{
    CertificateCall, ChainL1, CommunityParams, MemberL1, OperatorL1, RollupEffect as Effect, RollupEvent, SettlementL1,
    Word,
    memory::{MemoryL1, Told},
};

/// In the genesis root; and one that begins.
const OLD: u32 = 5;
const NEW: u32 = 9;

fn settle(l1: &MemoryL1, state: &mut SparseTree, mut input: SettlementInput) -> Transition {
    let index = u64::from(input.community.index);
    input.state_path = state.path(index);
    let t = apply(input).unwrap();
    state.set(index, t.instance.community_new);
    let first_interval = t.input.community.header.next_interval;
    let known = wait(l1.tariffs(0)).iter().filter(|tariff| tariff.tariff_set == t.after.index).count();
    wait(l1.register_tariff(t.after.index, first_interval.0, to_bytes(&t.instance.tariff_commitment)));
    wait(l1.settle(settle_call(&t, u32::try_from(known).unwrap(), vec![1])));
    t
}

fn opening(t: &Transition, began: bool, genesis: bool) -> PeriodOpening {
    let before = &t.input.community;
    let place = || GenesisPlace {
        members_root: before.members_root(),
        certificates_root: before.certificates.root(),
        state_path: t.input.state_path.clone(),
    };
    PeriodOpening {
        chain_id: CHAIN,
        contract: CONTRACT,
        community: before.index,
        first_interval: before.header.next_interval,
        before: (!began).then(|| before.header.clone()),
        after: t.after.header.clone(),
        genesis: genesis.then(place),
    }
}

fn statement(t: &Transition, wh: u64, purpose: Purpose, salt: u64) -> RetirementStatement {
    let header = &t.input.community.header;
    let origin = Origin {
        first_interval: header.next_interval,
        intervals: header.intervals,
        community: t.after.index,
        technology: 1,
    };
    RetirementStatement {
        amount: Wh(wh),
        origin,
        beneficiary: Fr::from(0xbeefu64),
        purpose,
        salts: [Fr::from(salt), Fr::from(salt + 1)],
    }
}

/// A spending with this retirement, as the contract takes it: its proof is not what is looked at here.
fn certify(l1: &MemoryL1, number: u64, statement: &RetirementStatement, sealed: bool) {
    let word = |offset: u64| to_bytes(&Fr::from(number + offset));
    let (disclosed, beneficiary) =
        if sealed { (ZERO, ZERO) } else { (to_bytes(&statement.info()), to_bytes(&statement.beneficiary)) };
    wait(l1.certify(CertificateCall {
        circuit_version: 1_000_001,
        anchor: wait(l1.state_root()),
        nullifier: word(0),
        note_1: word(1),
        note_2: word(2),
        retirement: to_bytes(&statement.commitment()),
        disclosed,
        beneficiary,
        kind: u16::try_from(Kind::new(sealed, statement.purpose).code()).unwrap(),
        proof: vec![],
    }));
}

const PROOF: &[u8] = b"a proof";

fn holding(t: &Transition, anchor: Fr, nullifier: u64, wh: u64) -> ShownHolding {
    let shown = statement(t, wh, Purpose::Consumption, nullifier);
    let instance = CertificateInstance {
        domain: holding_domain(CHAIN, &CONTRACT),
        anchor,
        nullifier: Fr::from(nullifier),
        notes: [Fr::from(nullifier + 1), Fr::from(nullifier + 2)],
        retirement: shown.commitment(),
        disclosed: shown.info(),
        beneficiary: Fr::from(0u64),
        kind: 257,
    };
    ShownHolding { chain_id: CHAIN, contract: CONTRACT, instance, proof: PROOF.to_vec() }
}

/// Accepts one proof.
struct Believes;

impl HoldingVerifier for Believes {
    fn verify(&self, _: &[Fr; 9], proof: &[u8]) -> Result<bool, VerifierError> {
        Ok(proof == PROOF)
    }
}

/// A chain as a node tells it, and what is shown to the auditor.
#[derive(Clone)]
struct Case {
    told: Told,
    opening: PeriodOpening,
    sealed: Vec<ShownRetirement>,
    held: Vec<ShownHolding>,
    /// Openings of the other periods.
    others: [PeriodOpening; 3],
    /// Wh that became notes.
    notes_wh: Wh,
    /// A public retirement of the period, and a sealed one of another.
    public: ShownRetirement,
    elsewhere: ShownRetirement,
}

/// Two communities, four batches: the period looked at is the second of the community that was in the genesis root.
fn play() -> Case {
    let seed = (0..60).find(|seed| notes_of(&second(*seed)) > Wh(1_000)).unwrap();
    let first = fixture::settlement(&recipe(seed)).unwrap();
    let begins = fixture::beginning(recipe(1).shape, 1).unwrap();
    let mut state = SparseTree::new(STATE_DEPTH);
    state.set(u64::from(OLD), first.community.node());
    let l1 = chain_from(to_bytes(&state.root()), 1_000, false);
    let terms = to_bytes(&gridveil_protocol::init::genesis_terms(&begins.community.header));
    for (index, interval_length_s, genesis_terms) in
        [(OLD, 3600, ZERO), (NEW, begins.community.header.interval_length, terms)]
    {
        wait(l1.open_tariff_set(index, interval_length_s, 2));
        wait(l1.register_community(CommunityParams {
            community: index,
            shape: 1,
            interval_length_s,
            m: 2,
            tariff_set: index,
            genesis_terms,
        }));
    }
    l1.set_timestamp(4_000_000_000);
    let one = settle(&l1, &mut state, first);
    let began = settle(&l1, &mut state, begins);
    let two = settle(&l1, &mut state, fixture::following(&one, 7, |_| false).unwrap());
    let three = settle(&l1, &mut state, fixture::following(&two, 9, |_| false).unwrap());
    let public = statement(&two, 100, Purpose::Consumption, 1);
    for (number, statement, sealed) in [
        (1_000, public.clone(), false),
        (1_100, statement(&two, 20, Purpose::Expiry, 3), false),
        (1_200, statement(&two, 30, Purpose::Export, 5), false),
        (1_300, statement(&two, 40, Purpose::Consumption, 7), true),
        (1_400, statement(&two, 50, Purpose::Consumption, 9), true),
        (1_500, statement(&three, 60, Purpose::Consumption, 11), true),
        (1_600, statement(&three, 70, Purpose::Consumption, 13), false),
    ] {
        certify(&l1, number, &statement, sealed);
    }
    let shown = |sealed, statement| ShownRetirement::new(CHAIN, CONTRACT, sealed, statement);
    let root = from_bytes(&wait(l1.state_root())).unwrap();
    Case {
        told: wait(Told::by(&l1)),
        opening: opening(&two, false, false),
        sealed: vec![shown(true, statement(&two, 40, Purpose::Consumption, 7))],
        held: vec![holding(&two, root, 2_000, 200), holding(&two, one.instance.new_root, 2_100, 300)],
        others: [opening(&one, false, true), opening(&began, true, false), opening(&three, false, false)],
        notes_wh: notes_of(&two),
        public: shown(false, public),
        elsewhere: shown(true, statement(&three, 60, Purpose::Consumption, 11)),
    }
}

/// The period that is opened, or one some intervals later.
fn period(case: &Case, later: u32) -> PeriodAt {
    PeriodAt { first_interval: case.opening.first_interval + later, length_s: Some(3600) }
}

fn recipe(seed: u64) -> Recipe {
    Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed, mechanism: Mechanism::Auction, used: 4 }
}

/// The second period, in a state of its own.
fn second(seed: u64) -> Transition {
    let one = apply(fixture::settlement(&recipe(seed)).unwrap()).unwrap();
    apply(fixture::following(&one, 7, |_| false).unwrap()).unwrap()
}

fn notes_of(t: &Transition) -> Wh {
    t.after.header.totals.outstanding - t.input.community.header.totals.outstanding
}

impl Case {
    fn totals(&self) -> Result<Totals, TotalsError> {
        ask(Published::read(&self.told, 0))?.totals(&self.opening, &self.sealed, &self.held, Some(&Believes))
    }

    fn spent(&mut self, nth: usize) -> &mut Effect {
        let like = |event: &&mut RollupEvent| matches!(event.effect, Effect::CertificateSpent { .. });
        &mut self.told.events.iter_mut().filter(like).nth(nth).unwrap().effect
    }
}

#[test]
fn an_honest_opening_adds_up() {
    let case = play();
    let totals = case.totals().unwrap();
    let (before, after) = (case.opening.before.as_ref().unwrap().totals, case.opening.after.totals);
    assert_eq!((totals.community, totals.batch, totals.intervals), (OLD, 3, 2));
    assert_eq!((totals.issued_wh, totals.traded_wh), (after.issued - before.issued, after.retired - before.retired));
    assert_eq!(
        (totals.notes_wh, totals.consumed_wh, totals.expired_wh, totals.exported_wh),
        (case.notes_wh, Wh(100), Wh(20), Wh(30))
    );
    assert_eq!((totals.sealed_wh, totals.sealed, totals.held_wh, totals.held), (Wh(40), 1, Wh(500), 2));
    // Another sealed retirement of 50 is not shown: it is in the rest.
    assert_eq!(totals.not_shown_wh, case.notes_wh - Wh(690));
    assert_eq!(totals.retired_wh() + totals.outstanding_wh() + totals.exported_wh, totals.issued_wh);
    // Without anything from holders, and without a key for holdings.
    let bare = ask(Published::read(&case.told, 0)).unwrap().totals(&case.opening, &[], &[], None).unwrap();
    assert_eq!((bare.not_shown_wh, bare.held_wh, bare.sealed_wh), (case.notes_wh - Wh(150), Wh::ZERO, Wh::ZERO));
    // The file comes back as it was written.
    let json = serde_json::to_string(&case.opening).unwrap();
    assert_eq!(serde_json::from_str::<PeriodOpening>(&json).unwrap(), case.opening);
}

/// The first batch of a community that was in the genesis root, the first of one that began, and those after.
#[test]
fn every_period_of_the_chain_opens() {
    let case = play();
    let published = ask(Published::read(&case.told, 0)).unwrap();
    // They are listed with their times and with what everybody knows, opened or not.
    let periods = published.periods();
    let place = |period: &Period| (period.batch, period.community, period.retired.retirements);
    assert_eq!(periods.iter().map(place).collect::<Vec<_>>(), [(1, OLD, 0), (2, NEW, 0), (3, OLD, 3), (4, OLD, 1)]);
    let [first, _, second, _] = &periods[..] else { panic!("{periods:?}") };
    assert_eq!((second.first_interval, second.retired.consumed_wh), (case.opening.first_interval, Wh(100)));
    assert_eq!((first.ends_s - first.begins_s, second.begins_s), (7_200, first.ends_s));
    assert!(second.has_disclosed(&to_bytes(&case.public.statement.info())));
    assert!(!first.has_disclosed(&to_bytes(&case.public.statement.info())));
    for opening in &case.others {
        let totals = published.totals(opening, &[], &[], None).unwrap();
        assert_eq!(totals.retired_wh() + totals.outstanding_wh() + totals.exported_wh, totals.issued_wh);
        let json = serde_json::to_string(opening).unwrap();
        assert_eq!(serde_json::from_str::<PeriodOpening>(&json).unwrap(), *opening);
    }
}

/// What is changed, and the refusal it must lead to.
type Edit<'a> = (&'a str, &'a dyn Fn(&mut Case), TotalsError);

fn refusal(name: &str, edit: impl Fn(&mut Case), honest: &Case, expected: &TotalsError) {
    let mut case = honest.clone();
    edit(&mut case);
    assert_eq!(case.totals().as_ref(), Err(expected), "{name}");
    assert_eq!(expected.to_string().lines().count(), 1, "{name}");
}
