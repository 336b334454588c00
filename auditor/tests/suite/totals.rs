//! Issued = retired + outstanding + exported: an honest opening, and every false one with its refusal.

use crate::common::{CHAIN, CONTRACT, ZERO, ask, chain_from, settle_call, wait};
use gridveil_auditor::{
    HeldError, HoldingVerifier, Published, RetirementError, SealedError, Totals, TotalsError, VerifierError, Which,
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
    wait(l1.register_tariff(t.after.index, first_interval, to_bytes(&t.instance.tariff_commitment)));
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

fn statement(t: &Transition, amount: u64, purpose: Purpose, salt: u64) -> RetirementStatement {
    let header = &t.input.community.header;
    let origin = Origin {
        first_interval: header.next_interval,
        intervals: header.intervals,
        community: t.after.index,
        technology: 1,
    };
    RetirementStatement {
        amount,
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

fn holding(t: &Transition, anchor: Fr, nullifier: u64, amount: u64) -> ShownHolding {
    let shown = statement(t, amount, Purpose::Consumption, nullifier);
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
    notes_wh: u64,
    /// A public retirement of the period, and a sealed one of another.
    public: ShownRetirement,
    elsewhere: ShownRetirement,
}

/// Two communities, four batches: the period looked at is the second of the community that was in the genesis root.
fn play() -> Case {
    let seed = (0..60).find(|seed| notes_of(&second(*seed)) > 1_000).unwrap();
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

fn recipe(seed: u64) -> Recipe {
    Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed, mechanism: Mechanism::Auction, used: 4 }
}

/// The second period, in a state of its own.
fn second(seed: u64) -> Transition {
    let one = apply(fixture::settlement(&recipe(seed)).unwrap()).unwrap();
    apply(fixture::following(&one, 7, |_| false).unwrap()).unwrap()
}

fn notes_of(t: &Transition) -> u64 {
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
        (case.notes_wh, 100, 20, 30)
    );
    assert_eq!((totals.sealed_wh, totals.sealed, totals.held_wh, totals.held), (40, 1, 500, 2));
    // Another sealed retirement of 50 is not shown: it is in the rest.
    assert_eq!(totals.not_shown_wh, case.notes_wh - 690);
    assert_eq!(totals.retired_wh() + totals.outstanding_wh() + totals.exported_wh, totals.issued_wh);
    // Without anything from holders, and without a key for holdings.
    let bare = ask(Published::read(&case.told, 0)).unwrap().totals(&case.opening, &[], &[], None).unwrap();
    assert_eq!((bare.not_shown_wh, bare.held_wh, bare.sealed_wh), (case.notes_wh - 150, 0, 0));
    // The file comes back as it was written.
    let json = serde_json::to_string(&case.opening).unwrap();
    assert_eq!(serde_json::from_str::<PeriodOpening>(&json).unwrap(), case.opening);
}

/// The first batch of a community that was in the genesis root, the first of one that began, and those after.
#[test]
fn every_period_of_the_chain_opens() {
    let case = play();
    let published = ask(Published::read(&case.told, 0)).unwrap();
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

#[test]
fn false_openings_are_refused() {
    let honest = play();
    let [genesis, began, three] = honest.others.clone();
    let leaf = TotalsError::Leaf;
    let edits: [Edit<'_>; 19] = [
        ("issued more", &|c| c.opening.after.totals.issued += 1, leaf(Which::After)),
        (
            "outstanding and issued more",
            &|c| {
                c.opening.after.totals.issued += 1;
                c.opening.after.totals.outstanding += 1;
            },
            leaf(Which::After),
        ),
        ("issued less before", &|c| c.opening.before.as_mut().unwrap().totals.issued -= 1, leaf(Which::Before)),
        ("salt", &|c| c.opening.after.salts[1] += Fr::from(1u64), leaf(Which::After)),
        ("mdm", &|c| c.opening.after.mdm = fixture::meter_public(0), leaf(Which::After)),
        ("no header before", &|c| c.opening.before = None, leaf(Which::Before)),
        (
            "another period's headers",
            &|c| (c.opening.before, c.opening.after) = (three.before.clone(), three.after.clone()),
            TotalsError::Period { which: Which::After, batch: 4 },
        ),
        (
            "two periods as one",
            &|c| c.opening.before.clone_from(&three.before),
            TotalsError::Period { which: Which::Before, batch: 3 },
        ),
        (
            "headers under another period's name",
            &|c| c.opening.first_interval += 2,
            TotalsError::Period { which: Which::After, batch: 3 },
        ),
        (
            "no such period",
            &|c| c.opening.first_interval += 1,
            TotalsError::NotSettled { community: OLD, first_interval: honest.opening.first_interval + 1 },
        ),
        ("another community", &|c| c.opening.community = 6, TotalsError::Community(6)),
        ("another chain", &|c| c.opening.chain_id = 1, TotalsError::OtherDeployment),
        ("another contract", &|c| c.opening.contract[0] ^= 1, TotalsError::OtherDeployment),
        (
            "genesis totals",
            &|c| {
                c.opening = genesis.clone();
                c.opening.before.as_mut().unwrap().totals.issued += 1;
            },
            TotalsError::Genesis,
        ),
        (
            "genesis place",
            &|c| {
                c.opening = genesis.clone();
                c.opening.genesis.as_mut().unwrap().members_root += Fr::from(1u64);
            },
            TotalsError::Genesis,
        ),
        (
            "genesis path",
            &|c| {
                c.opening = genesis.clone();
                c.opening.genesis.as_mut().unwrap().state_path.pop();
            },
            TotalsError::Genesis,
        ),
        (
            "no genesis place",
            &|c| {
                c.opening = genesis.clone();
                c.opening.genesis = None;
            },
            TotalsError::Genesis,
        ),
        (
            "genesis left out",
            &|c| {
                c.opening = genesis.clone();
                c.opening.before = None;
            },
            leaf(Which::Before),
        ),
        (
            "before the beginning",
            &|c| {
                c.opening = began.clone();
                c.opening.before = Some(began.after.clone());
            },
            TotalsError::Beginning,
        ),
    ];
    for (name, edit, expected) in edits {
        refusal(
            name,
            |case| {
                (case.sealed, case.held) = (vec![], vec![]);
                edit(case)
            },
            &honest,
            &expected,
        );
    }
}

#[test]
fn false_statements_are_refused() {
    let honest = play();
    let first_interval = honest.opening.first_interval;
    let sealed = |number, why| TotalsError::Sealed { number, why };
    let other = SealedError::Origin { community: OLD, first_interval: first_interval + 2 };
    let cases: [Edit<'_>; 8] = [
        ("shown twice", &|c| c.sealed.push(c.sealed[0].clone()), sealed(2, SealedError::Twice)),
        ("another period's", &|c| c.sealed.push(c.elsewhere.clone()), sealed(2, other)),
        ("public", &|c| c.sealed[0] = c.public.clone(), sealed(1, SealedError::Public)),
        (
            "public, said to be sealed",
            &|c| {
                c.sealed[0] = c.public.clone();
                c.sealed[0].sealed = true;
            },
            sealed(1, RetirementError::Kind.into()),
        ),
        (
            "never on L1",
            &|c| {
                c.sealed[0].statement.amount += 1;
                c.sealed[0].commitment = c.sealed[0].statement.commitment();
            },
            sealed(1, RetirementError::Unknown.into()),
        ),
        (
            "another amount",
            &|c| c.sealed[0].statement.amount += 1,
            sealed(1, RetirementError::Statement(gridveil_protocol::certificate::StatementError::Commitment).into()),
        ),
        (
            "amount of an earlier interval",
            &|c| {
                c.sealed[0].statement.amount += 1 << 48;
                c.sealed[0].statement.origin.first_interval -= 1;
            },
            sealed(1, RetirementError::Statement(gridveil_protocol::certificate::StatementError::Amount).into()),
        ),
        ("another deployment", &|c| c.sealed[0].chain_id = 1, sealed(1, RetirementError::OtherDeployment.into())),
    ];
    for (name, edit, expected) in cases {
        refusal(name, edit, &honest, &expected);
    }
}

#[test]
fn false_holdings_are_refused() {
    let honest = play();
    let held = |number, why| TotalsError::Held { number, why };
    let element = Fr::from(1u64);
    let origin = HeldError::Origin { community: OLD, first_interval: honest.opening.first_interval + 2 };
    let later = holding_of(&honest, 2);
    let cases: [Edit<'_>; 11] = [
        ("shown twice", &|c| c.held[1].instance.nullifier = c.held[0].instance.nullifier, held(2, HeldError::Twice)),
        ("spent", &|c| c.held[0].instance.nullifier = Fr::from(1_300u64), held(1, HeldError::Spent)),
        ("another period's", &|c| c.held[1] = later.clone(), held(2, origin)),
        ("no final root", &|c| c.held[0].instance.anchor += element, held(1, HeldError::NotFinal)),
        (
            "a spending, not a holding",
            &|c| c.held[0].instance.domain = domain(CHAIN, &CONTRACT, CERTIFICATE_VERSION),
            held(1, HeldError::Form),
        ),
        (
            "another contract's",
            &|c| c.held[0].instance.domain = holding_domain(CHAIN, &[0x12; 20]),
            held(1, HeldError::Form),
        ),
        ("sealed", &|c| c.held[0].instance.kind = 258, held(1, HeldError::Form)),
        ("nothing disclosed", &|c| c.held[0].instance.disclosed = -element, held(1, HeldError::Form)),
        ("another deployment", &|c| c.held[0].contract[0] ^= 1, held(1, HeldError::OtherDeployment)),
        ("proof", &|c| c.held[1].proof.push(0), held(2, HeldError::Proof)),
        (
            "more than there is",
            &|c| c.held[0].instance.disclosed += Fr::from(c.notes_wh),
            TotalsError::TooMuch { used_wh: u128::from(honest.notes_wh) + 690, outstanding_wh: honest.notes_wh },
        ),
    ];
    for (name, edit, expected) in cases {
        refusal(name, edit, &honest, &expected);
    }
    let published = ask(Published::read(&honest.told, 0)).unwrap();
    assert_eq!(published.totals(&honest.opening, &[], &honest.held, None), Err(TotalsError::NoVerifier));
}

/// A holding of a period some intervals later.
fn holding_of(case: &Case, later: u32) -> ShownHolding {
    let mut shown = case.held[1].clone();
    let origin =
        Origin { first_interval: case.opening.first_interval + later, intervals: 2, community: OLD, technology: 1 };
    shown.instance.disclosed = origin.info(5);
    shown
}

/// A node that tells something else than the contract can have done.
#[test]
fn false_chains_are_refused() {
    let honest = play();
    let text = |edit: &dyn Fn(&mut Case)| {
        let mut case = honest.clone();
        edit(&mut case);
        case.totals().unwrap_err().to_string()
    };
    let bump = |word: &mut Word| word[31] ^= 1;
    for (edit, expected) in [
        (
            &(|c: &mut Case| _ = c.told.batches.remove(0)) as &dyn Fn(&mut Case),
            "L1.SEQUENCE: batch 2 in the place of batch 1: is --from-block",
        ),
        (&|c| _ = c.told.batches.remove(1), "L1.SEQUENCE"),
        (&|c| bump(&mut c.told.batches[1].old_root), "L1.SEQUENCE"),
        (&|c| bump(&mut c.told.batches[2].call.data[0]), "SETTLE.13"),
        (&|c| c.told.batches[2].call.data[4] = to_bytes(&c.opening.before.as_ref().unwrap().leaf()), "SETTLE.13"),
        (&|c| c.told.batches[2].call.data.truncate(5), "SETTLE.14"),
        (&|c| c.told.batches[2].call.data.push(ZERO), "OP.10"),
        (&|c| c.told.batches[2].call.data[0] = [0xff; 32], "L1.CANONICAL"),
        (&|c| c.told.communities.retain(|params| params.community != OLD), "CERT.5"),
        (
            &|c| {
                let again = *c.spent(0);
                c.told.events.push(RollupEvent { block: 99, tx: ZERO, effect: again })
            },
            "L1C.4: block 99",
        ),
        (
            &|c| {
                if let Effect::CertificateSpent { kind, .. } = c.spent(0) {
                    *kind = 0
                }
            },
            "L1C.2",
        ),
        (
            &|c| {
                if let Effect::CertificateSpent { note_1, .. } = c.spent(0) {
                    *note_1 = ZERO
                }
            },
            "L1C.5",
        ),
        (
            &|c| {
                let word = c.elsewhere.commitment;
                if let Effect::CertificateSpent { retirement, .. } = c.spent(3) {
                    *retirement = to_bytes(&word)
                }
            },
            "L1C.6",
        ),
        (
            &|c| {
                if let Effect::CertificateSpent { disclosed, .. } = c.spent(0) {
                    disclosed[22] ^= 0x80
                }
            },
            "CERT.5",
        ),
    ] {
        let found = text(edit);
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

/// Headers that no proof allows, published all the same: what is opened is looked at, not only that it opens.
#[test]
fn impossible_headers_are_refused() {
    let honest = play();
    let refused = |edit: fn(&mut Header, &header::Totals)| {
        let mut case = honest.clone();
        edit(&mut case.opening.after, &case.opening.before.as_ref().unwrap().totals);
        let call = &mut case.told.batches[2].call;
        call.data[4] = to_bytes(&case.opening.after.leaf());
        let words: Vec<Fr> = call.data[..6].iter().map(|word| from_bytes(word).unwrap()).collect();
        call.community_new = to_bytes(&community::node(words[4], dense_root(&words[..4]), words[5]));
        case.totals().unwrap_err()
    };
    assert_eq!(refused(|h, _| h.totals.issued = 0), TotalsError::Falling("issued"));
    assert!(matches!(refused(|h, _| h.totals.outstanding += 1), TotalsError::Conservation { .. }));
    let sold = TotalsError::TooMuch { used_wh: 690, outstanding_wh: 600 };
    assert_eq!(
        refused(|h, before| {
            let more = h.totals.outstanding - before.outstanding - 600;
            h.totals.outstanding -= more;
            h.totals.retired += more;
        }),
        sold
    );
}
