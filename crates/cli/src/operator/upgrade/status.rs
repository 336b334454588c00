//! Where upgrades are, for people.

use gridveil_protocol::{hex::hex0, params::Shape};
use gridveil_verifier_contract::{
    Address, ChainL1 as _,
    ethers_client::{RegisteredVerifier, Upgrades},
};

use super::{
    super::acts::{Connection, L1},
    time,
};
use crate::common::text;

/// A shape's name, or its number if this program does not know it.
pub(in crate::operator) fn shape_name(shape: u32) -> String {
    match shape {
        0 => "certificates".to_owned(),
        _ => Shape::by_id(shape).map_or_else(|| format!("shape {shape}"), |shape| shape.name.to_owned()),
    }
}

/// What comes next for a verifier.
pub(in crate::operator) fn next(one: &RegisteredVerifier, upgrades: &Upgrades, now: u64) -> String {
    let announced = upgrades.announcement.is_of(one.circuit_version, &one.state);
    match (one.retired, one.state.used) {
        (true, _) => "retired".to_owned(),
        (false, _) if one.state.unsound => "proven unsound: L1 takes nothing with its proofs".to_owned(),
        (false, true) => "in use".to_owned(),
        (false, false) if one.state.hastened => {
            format!("hastened: may be used {}", time(one.state.active_from_s.max(now)))
        }
        (false, false) if one.state.active_from_s > now => {
            format!("may be announced {}", time(one.state.active_from_s))
        }
        (false, false) if announced && upgrades.announcement.waiting == 0 => "may be used".to_owned(),
        (false, false) if announced => format!("may be used when {} are served", upgrades.announcement.waiting),
        (false, false) if upgrades.full_queues > 0 => "may be announced a day after no forced queue is full".to_owned(),
        (false, false) => format!("may be announced {}", time(upgrades.announce_from_s.max(one.state.active_from_s))),
    }
}

/// Runs `gridveil operator upgrade status`.
///
/// # Errors
/// One line for a person.
pub(super) fn run(l1: &L1) -> anyhow::Result<()> {
    let Connection { runtime, client } = l1.connect(None)?;
    let (upgrades, now) =
        runtime.block_on(async { Ok::<_, anyhow::Error>((client.upgrades().await?, client.timestamp().await?)) })?;
    let announcement = upgrades.announcement;
    if l1.json {
        let one = |one: &RegisteredVerifier| {
            serde_json::json!({
                "circuit_version": one.circuit_version, "shape": shape_name(one.shape), "verifier": hex0(one.verifier),
                "code_hash": hex0(one.code_hash), "active_from": one.state.active_from_s, "used": one.state.used,
                "retired": one.retired, "unsound": one.state.unsound, "hastened": one.state.hastened,
                "next": next(one, &upgrades, now),
            })
        };
        let all = serde_json::json!({
            "verifiers": upgrades.verifiers.iter().map(one).collect::<Vec<_>>(),
            "verifier_delay_s": upgrades.verifier_delay_s, "announced": announcement.circuit_version,
            "announced_at": announcement.at_s, "announced_waiting": announcement.waiting, "waiting": upgrades.waiting,
            "full_queues": upgrades.full_queues, "time": now,
        });
        return Ok(text::print(&format!("{all}\n"))?);
    }
    let mut table = text::table(&["version", "shape", "verifier", "active from", "now"]);
    for one in &upgrades.verifiers {
        table.add_row([
            one.circuit_version.to_string(),
            shape_name(one.shape),
            short(one.verifier),
            time(one.state.active_from_s),
            next(one, &upgrades, now),
        ]);
    }
    let said = match announcement.circuit_version {
        0 => "none".to_owned(),
        version => format!("version {version}, {}", time(announcement.at_s)),
    };
    Ok(text::print(&format!("announced: {said}\n{table}\n"))?)
}

/// The beginning of an address.
fn short(address: Address) -> String {
    hex0(address).chars().take(12).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::upgrades, next};
    use gridveil_verifier_contract::Announcement;

    #[test]
    fn the_status_says_what_comes_next_and_when() {
        let mut state = upgrades();
        assert_eq!(next(&state.verifiers[0], &state, 0), "in use");
        assert_eq!(next(&state.verifiers[1], &state, 999), "may be announced 1970-01-01T00:16:40Z");
        state.announce_from_s = 2_000;
        assert_eq!(next(&state.verifiers[1], &state, 1_500), "may be announced 1970-01-01T00:33:20Z");
        state.full_queues = 1;
        assert!(next(&state.verifiers[1], &state, 1_500).contains("a day after no forced queue is full"));
        state.announcement = Announcement { circuit_version: 3, at_s: 1_500, waiting: 2 };
        assert_eq!(next(&state.verifiers[1], &state, 1_500), "may be used when 2 are served");
        state.announcement.waiting = 0;
        assert_eq!(next(&state.verifiers[1], &state, 1_500), "may be used");
        // An announcement before the delay was over is none.
        state.announcement.at_s = 900;
        assert!(next(&state.verifiers[1], &state, 1_500).starts_with("may be announced"));
        // In an emergency nothing is announced.
        state.verifiers[0].state.unsound = true;
        assert!(next(&state.verifiers[0], &state, 1_500).starts_with("proven unsound"));
        state.verifiers[1].state.hastened = true;
        assert_eq!(next(&state.verifiers[1], &state, 999), "hastened: may be used 1970-01-01T00:16:40Z");
    }
}
