//! Chains that the contract cannot have kept, and headers that no proof allows.

use super::*;

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
                let dropped = Effect::NotesDropped { nullifier: ZERO, circuit_version: 1_000_001, undone: true };
                c.told.events.push(RollupEvent { block: 98, tx: ZERO, effect: dropped })
            },
            "L1C.10: block 98",
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
    assert_eq!(refused(|h, _| h.totals.issued = Wh::ZERO), TotalsError::Falling("issued"));
    assert!(matches!(refused(|h, _| h.totals.outstanding.0 += 1), TotalsError::Conservation { .. }));
    let sold = TotalsError::TooMuch { used_wh: 690, outstanding_wh: Wh(600) };
    assert_eq!(
        refused(|h, before| {
            let more = h.totals.outstanding - before.outstanding - Wh(600);
            h.totals.outstanding -= more;
            h.totals.retired += more;
        }),
        sold
    );
}

/// Whoever knows the salts of a retirement may retire something of theirs under its commitment, for everybody to see or
/// not: what was shown counts once, as before.
#[test]
fn another_retirement_under_the_same_commitment_changes_nothing() {
    let honest = play();
    for public in [false, true] {
        let mut case = honest.clone();
        let Effect::CertificateSpent { mut nullifier, circuit_version, anchor, note_1, note_2, retirement, .. } =
            *case.spent(3)
        else {
            panic!("not a retirement")
        };
        nullifier[31] ^= 1;
        let of_another_period = to_bytes(&case.elsewhere.statement.info());
        let (disclosed, kind) = if public { (of_another_period, 257) } else { (ZERO, 258) };
        let effect = Effect::CertificateSpent {
            nullifier,
            circuit_version,
            anchor,
            note_1,
            note_2,
            retirement,
            disclosed,
            beneficiary: ZERO,
            kind,
        };
        // Before it, as who wants to be first.
        case.told.events.insert(0, RollupEvent { block: 1, tx: ZERO, effect });
        assert_eq!(case.totals().unwrap(), honest.totals().unwrap());
    }
}

/// L1 undid a spending: it is not retired any more.
#[test]
fn an_undone_retirement_is_in_no_total() {
    let undo = |nth| {
        let mut case = play();
        let Effect::CertificateSpent { nullifier, circuit_version, .. } = *case.spent(nth) else { panic!("{nth}") };
        let effect = Effect::NotesDropped { nullifier, circuit_version, undone: true };
        case.told.events.push(RollupEvent { block: 98, tx: ZERO, effect });
        case
    };
    let (honest, public) = (play().totals().unwrap(), undo(0).totals().unwrap());
    assert_eq!(public.consumed_wh + Wh(100), honest.consumed_wh);
    assert_eq!(public.not_shown_wh, honest.not_shown_wh + Wh(100));
    let sealed = undo(3).totals().unwrap_err().to_string();
    assert!(sealed.contains("L1 has no retirement with this commitment"), "{sealed}");
}
