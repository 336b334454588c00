use gridveil_protocol::{
    account::{LeafSalts, Terms},
    operation::{Flow, Operation},
    owner::OwnerKey,
    schnorr::PublicKey,
    units::Interval,
};

use super::*;

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 64])
}

fn account() -> Account {
    let mut account = Account::empty(LeafSalts::default());
    account.owner = owner_of(&key(1)).commitment();
    account.meter = Some(key(2).public());
    (account.balance, account.payout, account.nonce) = (1_005 * UNIT_NANO / 10, [7; 20], 4);
    account.terms.active_until = Interval(100);
    account
}

fn actor(secret: &SecretKey, edit: impl FnOnce(&mut Actor<'_>)) -> Actor<'_> {
    let domain = Fr::from(9u64);
    let mut actor =
        Actor { domain, community: 5, slot: 3, secret, account: account(), waiting: 0, open_interval: Interval(100) };
    edit(&mut actor);
    actor
}

fn terms() -> Terms {
    Terms { scale: 1, class: 1, ..Terms::default() }
}

/// Builds any kind with good arguments.
fn build(actor: &Actor<'_>, kind: Kind) -> Result<SignedOperation, BuildError> {
    let claim = Claim::new(owner_of(actor.secret).commitment(), 3 * UNIT_NANO, [8; 20]).unwrap();
    match kind {
        Kind::Deposit => deposit::build(actor, &claim),
        Kind::Send => send::build(actor, Fr::from(3u64), [8; 20], 5).map(|(signed, _)| signed),
        Kind::Receive => receive::build(actor, &claim),
        Kind::Rotate => rotate::build(actor, &owner_of(&key(3)), [9; 20], 0),
        Kind::Close => close::build(actor, 0),
        Kind::Enrol => enrol::build(actor, key(2).public(), [7; 20], terms()),
        Kind::Replace => replace::build(actor, key(4).public()),
        Kind::Terms => terms::build(actor, terms()),
        Kind::Forced => Err(BuildError::Empty),
        // Those that have an amount at most.
        _ => plain::build(actor, kind, if kind.effect().flow == Flow::None { 0 } else { UNIT_NANO }),
    }
}

const OWN: [Kind; 8] =
    [Kind::Deposit, Kind::Withdraw, Kind::Send, Kind::Receive, Kind::Rotate, Kind::Close, Kind::Replace, Kind::Terms];

/// As a settlement checks it, with the meter data manager's signature where it takes one.
fn accepted(before: &Account, signed: SignedOperation, domain: Fr) {
    let mdm = key(6);
    let signed = if signed.operation.kind.effect().mdm { signed.countersign(domain, &mdm).unwrap() } else { signed };
    let operation_slot = OperationSlot::compute(before, &signed);
    assert_eq!(operation_slot.check(before, &signed, domain, 5, &mdm.public()), Ok(()), "{:?}", signed.operation.kind);
}

#[test]
fn every_kind_is_what_a_settlement_accepts() {
    let secret = key(1);
    let good = actor(&secret, |_| {});
    for kind in OWN {
        let signed = build(&good, kind).unwrap();
        assert_eq!((signed.operation.kind, signed.operation.nonce), (kind, 4));
        accepted(&good.account, signed, good.domain);
    }
    let empty = actor(&secret, |a| a.account = Account { nonce: 2, ..Account::empty(LeafSalts::default()) });
    accepted(&empty.account, build(&empty, Kind::Enrol).unwrap(), empty.domain);
}

#[test]
fn what_every_owner_operation_refuses() {
    let (secret, stranger) = (key(1), key(9));
    for kind in OWN {
        assert_eq!(build(&actor(&secret, |a| a.account.meter = None), kind), Err(BuildError::Empty), "{kind:?}");
        assert_eq!(build(&actor(&stranger, |_| {}), kind), Err(BuildError::NotOwner), "{kind:?}");
        assert_eq!(
            build(&actor(&secret, |a| a.waiting = MAX_WAITING), kind),
            Err(BuildError::TooManyWaiting),
            "{kind:?}"
        );
        if !kind.effect().mdm {
            let full = actor(&secret, |a| a.account.nonce = u32::MAX);
            assert_eq!(build(&full, kind), Err(BuildError::Rules(OperationError::NonceOverflow)), "{kind:?}");
        }
    }
    assert_eq!(build(&actor(&secret, |_| {}), Kind::Enrol), Err(BuildError::InUse));
}

#[test]
fn an_operation_without_other_fields_needs_no_builder_of_its_own() {
    let secret = key(1);
    let good = actor(&secret, |_| {});
    let withdrawn = plain::build(&good, Kind::Withdraw, UNIT_NANO).unwrap().operation;
    assert_eq!(Ok(withdrawn), withdraw::build(&good, UNIT_NANO).map(|signed| signed.operation));
    for kind in OWN.into_iter().filter(|kind| ![Kind::Withdraw, Kind::Receive, Kind::Deposit].contains(kind)) {
        let refused = plain::build(&good, kind, UNIT_NANO);
        assert!(matches!(refused, Err(BuildError::Rules(_))), "{kind:?}: {refused:?}");
    }
}

#[test]
fn amounts_and_debts() {
    let secret = key(1);
    let good = actor(&secret, |_| {});
    assert_eq!(withdraw::build(&good, 0), Err(BuildError::ZeroAmount));
    assert_eq!(withdraw::build(&good, 5), Err(BuildError::NotWholeUnits { amount_nano: 5 }));
    assert_eq!(deposit::claim(&good, 15_000_000), Err(BuildError::NotWholeUnits { amount_nano: 15_000_000 }));
    let balance_nano = good.account.balance;
    assert_eq!(withdraw::build(&good, 101 * UNIT_NANO), Err(BuildError::Insufficient { balance_nano }));
    assert_eq!(
        send::build(&good, Fr::from(3u64), [8; 20], balance_nano + 1),
        Err(BuildError::Insufficient { balance_nano })
    );
    assert!(send::build(&good, Fr::from(3u64), [8; 20], balance_nano).is_ok());
    let poor = actor(&secret, |a| (a.account.balance, a.account.debt) = (0, 7));
    for kind in [Kind::Withdraw, Kind::Send, Kind::Close] {
        assert_eq!(build(&poor, kind), Err(BuildError::InDebt { debt_nano: 7 }), "{kind:?}");
    }
    // Money that comes in pays the debt.
    for kind in [Kind::Deposit, Kind::Receive] {
        accepted(&poor.account, build(&poor, kind).unwrap(), poor.domain);
    }
    let shown = BuildError::Insufficient { balance_nano }.to_string();
    assert!(shown.contains("1.005000000"), "{shown}");
}

#[test]
fn recipients_and_payouts() {
    let secret = key(1);
    let good = actor(&secret, |_| {});
    assert_eq!(send::build(&good, Fr::from(0u64), [8; 20], 1), Err(BuildError::NoRecipient));
    assert_eq!(send::build(&good, Fr::from(3u64), [0; 20], 1), Err(BuildError::NoPayout));
    assert_eq!(send::build(&good, Fr::from(3u64), [8; 20], 0), Err(BuildError::ZeroAmount));
    let homeless = actor(&secret, |a| a.account.payout = [0; 20]);
    assert_eq!(build(&homeless, Kind::Withdraw), Err(BuildError::NoPayout));
    assert_eq!(build(&homeless, Kind::Close), Err(BuildError::NoPayout));
    let other = Claim::new(Fr::from(77u64), UNIT_NANO, [8; 20]).unwrap();
    assert_eq!(deposit::build(&good, &other), Err(BuildError::NotForThisAccount));
    assert_eq!(receive::build(&good, &other), Err(BuildError::NotForThisAccount));
    // What the recipient takes in is what was sent.
    let (sent, claim) = send::build(&good, owner_of(&key(9)).commitment(), [8; 20], 5).unwrap();
    assert_eq!(sent.operation.claim(sent.operation.party), claim.commitment());
    let their = key(9);
    let recipient = actor(&their, |a| a.account.owner = owner_of(&their).commitment());
    let received = receive::build(&recipient, &claim).unwrap();
    assert_eq!(received.operation.claim(recipient.account.owner), claim.commitment());
}

#[test]
fn keys_meters_terms_and_closing() {
    let secret = key(1);
    let good = actor(&secret, |_| {});
    let own: OwnerKey = owner_of(&secret);
    assert_eq!(rotate::build(&good, &own, good.account.payout, 0), Err(BuildError::SameOwner));
    assert!(rotate::build(&good, &own, [9; 20], 3).is_ok(), "another payout leaves claims as they are");
    assert_eq!(rotate::build(&good, &owner_of(&key(3)), [9; 20], 1), Err(BuildError::OpenClaims { open: 1 }));
    assert_eq!(rotate::build(&good, &owner_of(&key(3)), [0; 20], 0), Err(BuildError::NoPayout));
    let meter: PublicKey = key(2).public();
    assert_eq!(replace::build(&good, meter), Err(BuildError::SameMeter));
    assert_eq!(terms::build(&good, Terms { scale: 3, ..terms() }), Err(BuildError::Terms));
    let empty = actor(&secret, |a| a.account = Account::empty(LeafSalts::default()));
    assert_eq!(enrol::build(&empty, meter, [7; 20], Terms { class: 2, ..terms() }), Err(BuildError::Terms));
    assert_eq!(enrol::build(&empty, meter, [0; 20], terms()), Err(BuildError::NoPayout));
    assert_eq!(
        enrol::build(&actor(&secret, |a| (a.account, a.waiting) = (empty.account.clone(), 4)), meter, [7; 20], terms()),
        Err(BuildError::TooManyWaiting)
    );
    assert_eq!(
        close::build(&actor(&secret, |a| a.account.terms.active_until = Interval(101)), 0),
        Err(BuildError::StillActive { until: Interval(101), open: Interval(100) })
    );
    assert_eq!(close::build(&actor(&secret, |a| a.waiting = 1), 0), Err(BuildError::Waiting));
    assert_eq!(close::build(&good, 2), Err(BuildError::OpenClaims { open: 2 }));
    assert_eq!(close::build(&good, 0).unwrap().operation.amount, 100 * UNIT_NANO);
}

#[test]
fn nothing_shows_a_salt() {
    let claim = Claim::new(Fr::from(3u64), 77, [8; 20]).unwrap();
    let operation = Operation::new(Kind::Send, 5, 3, 0);
    for shown in [format!("{claim:?}"), format!("{:?}", actor(&key(1), |_| {})), format!("{operation:?}")] {
        assert!(!shown.contains("77") && shown.len() < 80, "{shown}");
    }
}
