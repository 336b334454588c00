//! What holders show beside an opening: sealed retirements, and certificates that are held.

use super::*;

#[test]
fn false_statements_are_refused() {
    let honest = play();
    let sealed = |number, why| TotalsError::Sealed { number, why };
    let other = SealedError::Origin { community: OLD, period: period(&honest, 2) };
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
                c.sealed[0].statement.amount.0 += 1;
                c.sealed[0].commitment = c.sealed[0].statement.commitment();
            },
            sealed(1, RetirementError::Unknown.into()),
        ),
        (
            "another amount",
            &|c| c.sealed[0].statement.amount.0 += 1,
            sealed(1, RetirementError::Statement(gridveil_protocol::certificate::StatementError::Commitment).into()),
        ),
        (
            "amount of an earlier interval",
            &|c| {
                c.sealed[0].statement.amount.0 += 1 << 48;
                c.sealed[0].statement.origin.first_interval.0 -= 1;
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
    let origin = HeldError::Origin { community: OLD, period: period(&honest, 2) };
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
            &|c| c.held[0].instance.disclosed += Fr::from(c.notes_wh.0),
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
    shown.instance.disclosed = origin.info(Wh(5));
    shown
}
