//! S10: a utility that publishes a day late. Its meter is silent in every period, and hands each in one period later.

use super::{
    late::{late_of, silent_period, taken_late},
    *,
};

/// What a packet that trades nothing adds to an account, nano, by the tariff: stated here once more.
fn untraded(world: &World, packet: &SignedPacket) -> i128 {
    let slot = usize::from(packet.packet.slot);
    let terms = world.genesis.communities[0].accounts[slot].terms;
    let lines = packet.packet.readings.iter().zip(&world.tariff.intervals).map(|(reading, prices)| {
        let class = prices.classes[usize::from(terms.class)];
        let wh = |units: u16| i128::from(units) * i128::from(terms.scale);
        wh(reading.export) * i128::from(class.feed_in)
            - wh(reading.import) * (i128::from(class.energy) + i128::from(class.network))
    });
    lines.sum()
}

/// Wh of import and export.
fn energy(world: &World, packet: &SignedPacket) -> [i128; 2] {
    let scale = world.genesis.communities[0].accounts[usize::from(packet.packet.slot)].terms.scale;
    let sum = |of: fn(&gridveil_protocol::packet::Reading) -> u16| {
        packet.packet.readings.iter().map(|reading| i128::from(of(reading)) * i128::from(scale)).sum()
    };
    [sum(|reading| reading.import), sum(|reading| reading.export)]
}

/// What an account moved by: money, import, export.
fn moved(from: &gridveil_protocol::account::Account, to: &gridveil_protocol::account::Account) -> (i128, [i128; 2]) {
    let registers = |account: &gridveil_protocol::account::Account| {
        [account.registers.import, account.registers.export].map(i128::from)
    };
    let ([import, export], [before_import, before_export]) = (registers(to), registers(from));
    ((to.value() - from.value()).0, [import - before_import, export - before_export])
}

/// The substitute that was settled for a slot in a period.
fn settled_substitute(world: &World, receipt: &Receipt, period: u32, slot: usize) -> SignedPacket {
    let substitute = world.packet(5, period, slot, true);
    assert!(receipt.substituted && receipt.readings == substitute.packet.readings);
    substitute
}

/// For `late` periods the slot's meter is one behind. Then it is on time.
async fn one_behind(slot: usize, late: u32) {
    let world = world().await;
    let node = world.start().await;
    let (signer, number) = (owner_key(slot), u16::try_from(slot).unwrap());
    let first = world.genesis.communities[0].accounts[slot].clone();
    let (mut value, mut paths) = (first.value().0, Vec::new());
    for period in 0..late {
        if period > 0 {
            paths.push(taken_late(&node, &late_of(&world, period - 1, slot, |_| {})).await);
        }
        silent_period(&node, &world, period, &[slot]).await;
        node.settled(5, period as usize + 1).await;
        // The substitute alone is booked: nothing of what came late, because the newest substitute is corrected first.
        let receipt = verified(&node, &world, &signer, number, period).await;
        let substitute = settled_substitute(&world, &receipt, period, slot);
        value += untraded(&world, &substitute);
        let whole = (untraded(&world, &substitute), energy(&world, &substitute));
        assert_eq!((moved(&receipt.before, &receipt.after), receipt.correction), (whole, None));
        assert_eq!((receipt.after.value().0, &receipt.after), (value, &receipt.settled));
        assert_eq!(node.status().await["communities"][0]["late"], period, "they wait, and none is lost");
        for path in &paths {
            assert_eq!(node.get(path).await.1["state"], "pending");
        }
    }
    let state = node.handle.service().writer.snapshot().communities[&5].clone();
    assert_eq!(state.header.totals.corrected, 0);

    // On time from here on: one correction a settlement, from the newest down.
    paths.push(taken_late(&node, &late_of(&world, late - 1, slot, |_| {})).await);
    for period in late..2 * late + 1 {
        node.run_period(&world, 5, period).await;
        node.settled(5, period as usize + 1).await;
        let receipt = verified(&node, &world, &signer, number, period).await;
        let own = world.packet(5, period, slot, false);
        assert!(!receipt.substituted && moved(&receipt.before, &receipt.settled).1 == energy(&world, &own));
        let Some(corrected) = (2 * late).checked_sub(period + 1) else {
            assert_eq!((receipt.correction, &receipt.after), (None, &receipt.settled), "all are booked");
            continue;
        };
        let (packet, substitute) = (late_of(&world, corrected, slot, |_| {}), world.packet(5, corrected, slot, true));
        let ([import, export], [had_import, had_export]) = (energy(&world, &packet), energy(&world, &substitute));
        let difference = untraded(&world, &packet) - untraded(&world, &substitute);
        assert_eq!(
            moved(&receipt.settled, &receipt.after),
            (difference, [import - had_import, export - had_export]),
            "{corrected} in {period}"
        );
        assert_eq!(receipt.correction.unwrap().late, packet);
        // Never twice.
        assert_eq!(node.submit(&packet).await.1["status"], "duplicate");
        assert_eq!(node.get(&paths[corrected as usize]).await.1["batch"], period + 1);
    }
    let state = node.handle.service().writer.snapshot().communities[&5].clone();
    let account = &state.accounts[slot];
    assert_eq!((account.pending_substitute, state.header.totals.corrected), (Fr::from(0u64), u64::from(late)));
    assert_eq!(node.status().await["communities"][0]["late"], 0);
    // The registers are those of the meter, whenever it spoke.
    let measured = (0..2 * late + 1).map(|period| energy(&world, &world.packet(5, period, slot, false)));
    let measured = measured.fold([0, 0], |[import, export], [i, e]| [import + i, export + e]);
    assert_eq!(moved(&first, account).1, measured);
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_is_always_one_period_late_is_booked_once_it_is_on_time() {
    one_behind(2, 4).await;
}

/// Another meter, for another while.
#[tokio::test(flavor = "multi_thread")]
async fn another_meter_that_is_always_one_period_late_loses_nothing_either() {
    one_behind(1, 3).await;
}
