//! Openings that are not what the chain has.

use super::*;

#[test]
fn false_openings_are_refused() {
    let honest = play();
    let [genesis, began, three] = honest.others.clone();
    let leaf = TotalsError::Leaf;
    let edits: [Edit<'_>; 19] = [
        ("issued more", &|c| c.opening.after.totals.issued.0 += 1, leaf(Which::After)),
        (
            "outstanding and issued more",
            &|c| {
                c.opening.after.totals.issued.0 += 1;
                c.opening.after.totals.outstanding.0 += 1;
            },
            leaf(Which::After),
        ),
        ("issued less before", &|c| c.opening.before.as_mut().unwrap().totals.issued.0 -= 1, leaf(Which::Before)),
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
            TotalsError::NotSettled { community: OLD, period: period(&honest, 1) },
        ),
        ("another community", &|c| c.opening.community = 6, TotalsError::Community(6)),
        ("another chain", &|c| c.opening.chain_id = 1, TotalsError::OtherDeployment),
        ("another contract", &|c| c.opening.contract[0] ^= 1, TotalsError::OtherDeployment),
        (
            "genesis totals",
            &|c| {
                c.opening = genesis.clone();
                c.opening.before.as_mut().unwrap().totals.issued.0 += 1;
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
