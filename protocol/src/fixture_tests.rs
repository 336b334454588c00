//! The fixtures are valid: everything else builds on that.

use super::*;
use crate::{
    header_operation::Pool,
    operation::{EFFECTS, Kind},
    settlement::apply,
};

fn recipe(name: &str, seed: u64, used: usize) -> Recipe {
    Recipe { shape: Shape::by_name(name).unwrap(), seed, mechanism: Mechanism::Auction, used }
}

#[test]
fn every_kind_alone_is_accepted() {
    for seed in 0..4 {
        for kind in EFFECTS.map(|effect| effect.kind) {
            let input = with_operations(&recipe("tiny-4x2", seed, 3), &[kind], Extras::default()).unwrap();
            assert_eq!(input.operations.slots.len(), 1, "{kind:?}");
            let t = apply(input).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
            assert_eq!(t.applied.records.len(), usize::from(kind.effect().record.is_some()));
        }
    }
}

#[test]
fn all_kinds_and_extras_together_are_accepted() {
    let mut kinds = EFFECTS.map(|effect| effect.kind).to_vec();
    kinds.extend([
        Kind::Forced,
        Kind::Withdraw,
        Kind::Send,
        Kind::Rotate,
        Kind::Replace,
        Kind::Forced,
        Kind::Close,
        Kind::Enrol,
    ]);
    for pool in [Pool::SupplierIn, Pool::SupplierOut, Pool::FeeOut] {
        let extras = Extras { correction: true, header: Some(pool), management: true, notes: 3 };
        let input = with_operations(&recipe("home-32x24", 1, 20), &kinds, extras).unwrap();
        assert_eq!(input.operations.slots.len(), kinds.len());
        assert!(input.operations.correction.is_some());
        apply(input).unwrap_or_else(|e| panic!("{pool:?}: {e}"));
    }
}

#[test]
fn a_beginning_is_accepted_and_goes_on() {
    let first = apply(beginning(Shape::by_name("tiny-4x2").unwrap(), 1).unwrap()).unwrap();
    assert_eq!(first.after.accounts.iter().filter(|a| a.meter.is_some()).count(), 3);
    let mut second = following(&first, 2, |_| false).unwrap();
    operate(
        &mut second,
        &mut Stream::new(3),
        &[Kind::Deposit],
        Extras { header: Some(Pool::SupplierIn), ..Extras::default() },
    )
    .unwrap();
    second.operations.header.transfer.as_mut().unwrap().units = 1_000_000;
    assert_eq!(second.state_path, {
        let mut again = second.clone();
        reroot(&mut again);
        again.state_path
    });
    apply(second).unwrap();
}

#[test]
fn signing_again_changes_nothing() {
    let extras = Extras { correction: true, header: None, management: true, notes: 0 };
    let input =
        with_operations(&recipe("tiny-4x2", 1, 3), &[Kind::Rotate, Kind::Withdraw, Kind::Enrol], extras).unwrap();
    let mut again = input.clone();
    (0..3).for_each(|index| resign_operation(&mut again, index).unwrap());
    resign_management(&mut again).unwrap();
    resign_correction(&mut again).unwrap();
    assert_eq!(again, input);
}
