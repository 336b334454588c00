//! Ways out that need L1 alone.

use super::*;

/// Communities that settle in turn: the path from L1 alone is the tree's, for every slot of every one, and a false or
/// missing fact is found.
#[test]
fn exits_from_l1_alone_are_those_of_the_tree() {
    for (seed, name) in [(1u64, "tiny-4x2"), (2, "tiny-4x2"), (3, "home-32x24")] {
        let shape = Shape::by_name(name).unwrap();
        let mut state = SparseTree::new(STATE_DEPTH);
        let mut stream = Stream::new(seed);
        let genesis: Vec<(u32, Fr)> = (0..3).map(|i| (i * 7_000 + 11, stream.element())).collect();
        genesis.iter().for_each(|(index, node)| state.set(u64::from(*index), *node));
        let mut batches = Vec::new();
        let mut last: Vec<Transition> = Vec::new();
        for index in [5u32, 4, 21_845, 5, 65_535] {
            let recipe =
                Recipe { shape, seed: seed + u64::from(index), mechanism: Mechanism::Auction, used: shape.members - 1 };
            let earlier = last.iter().position(|t| t.after.index == index).map(|at| last.remove(at));
            let mut input = match &earlier {
                Some(t) => fixture::following(t, seed, |_| false).unwrap(),
                None => fixture::with_operations(&recipe, &[Kind::Withdraw, Kind::Send], Extras::default()).unwrap(),
            };
            let moved = Community { index, ..input.community.clone() };
            input.community = moved;
            input.operations.slots.clear();
            let context = input.context();
            for slot in 0..shape.members {
                input.packets[slot].packet.context = context;
                fixture::resign(&mut input, slot).unwrap();
            }
            state.set(u64::from(index), input.community.node());
            if earlier.is_none() && !batches.iter().any(|b: &PublishedBatch| b.community == index) {
                // It was there before its first batch here.
                state.set(u64::from(index), input.community.node());
            }
            input.state_path = state.path(u64::from(index));
            let first_interval = input.community.header.next_interval;
            let t = apply(input).unwrap();
            state.set(u64::from(index), t.instance.community_new);
            batches.push(PublishedBatch {
                community: index,
                first_interval,
                community_new: t.instance.community_new,
                data: t.data.clone(),
            });
            last.push(t);
        }
        let root = state.root();
        for t in &last {
            for slot in 0..shape.members {
                let receipt = Receipt::of(t, slot).unwrap();
                let exit = Exit::from_l1(&receipt, shape.members, &genesis, &batches, root).unwrap();
                assert_eq!(exit.root, root);
                assert_eq!(exit.leaf(), t.after.accounts[slot].leaf());
                let levels = receipt.members_path.len();
                assert_eq!(exit.siblings.len(), levels + STATE_DEPTH);
                assert_eq!(exit.computed_root(levels), root);
                let mut richer = exit.clone();
                richer.balance += 1;
                assert_ne!(richer.computed_root(levels), root);
                // At the receipt's own root its own path is as good.
                let of_receipt = Exit::of_receipt(&receipt).unwrap();
                assert_eq!(of_receipt.root, receipt.root);
                assert_eq!(of_receipt == exit, receipt.root == root);
            }
        }
        let receipt = Receipt::of(&last[0], 0).unwrap();
        let check = |genesis: &[(u32, Fr)], batches: &[PublishedBatch]| {
            Exit::from_l1(&receipt, shape.members, genesis, batches, root).unwrap_err()
        };
        assert_eq!(check(&genesis[1..], &batches), ExitError::Root);
        assert_eq!(check(&genesis, &batches[..4]), ExitError::Root);
        let mut short = batches.clone();
        short.iter_mut().for_each(|b| b.data.truncate(3));
        assert_eq!(check(&genesis, &short), ExitError::Data { members: shape.members });
        assert_eq!(check(&genesis, &[]), ExitError::NotSettled);
        let mut stale = receipt.clone();
        stale.after.balance += 1;
        let found = Exit::from_l1(&stale, shape.members, &genesis, &batches, root).unwrap_err();
        assert!(matches!(found, ExitError::Stale { .. }));
        assert_eq!(Exit::of_receipt(&stale).unwrap_err(), ExitError::Receipt);
    }
}
