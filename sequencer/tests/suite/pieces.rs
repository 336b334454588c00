//! Lists that grow, a piece at a time, while they grow.
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::common::{TOKEN, World, first_interval};

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_a_growing_list_have_no_gap_and_nothing_twice() {
    let world = World::new().await;
    let node = world.start().await;
    let first = first_interval().0;
    for period in 0..3 {
        node.run_period(&world, 5, period).await;
    }
    node.settled(5, 3).await;
    let interval = |row: &Value| u32::try_from(row["first_interval"].as_u64().unwrap()).unwrap();
    let (_, one) = node.get("/v1/communities/5/periods?limit=2").await;
    let intervals = |body: &Value, name: &str| body[name].as_array().unwrap().iter().map(interval).collect::<Vec<_>>();
    assert_eq!((intervals(&one, "periods"), &one["next"]), (vec![first, first + 2], &json!(first + 2)));
    // More is settled between two pieces.
    node.run_period(&world, 5, 3).await;
    node.settled(5, 4).await;
    let (_, two) = node.get(&format!("/v1/communities/5/periods?after={}&limit=2", one["next"])).await;
    assert_eq!((intervals(&two, "periods"), &two["next"]), (vec![first + 4, first + 6], &Value::Null));
    // At the end the last row is where to go on, and what comes later is there.
    let last = format!("/v1/communities/5/periods?after={}", first + 6);
    assert_eq!(node.get(&last).await.1, json!({"periods": [], "next": null}));
    node.run_period(&world, 5, 4).await;
    node.settled(5, 5).await;
    assert_eq!(intervals(&node.get(&last).await.1, "periods"), [first + 8]);
    // The whole is what the community's own answer lists.
    let (_, all) = node.get("/v1/communities/5/periods").await;
    let (_, community) = node.get("/v1/communities/5").await;
    assert_eq!(all["periods"], community["settled"]);

    let (_, tariffs) = node.get("/v1/communities/5/tariffs").await;
    assert_eq!((intervals(&tariffs, "tariffs"), &tariffs["next"]), (vec![first], &Value::Null));
    let after_all = format!("/v1/communities/5/tariffs?after={}", u64::MAX);
    assert_eq!(node.get(&after_all).await.1, json!({"tariffs": [], "next": null}));

    // Batches: those that are settled, and then those on their way.
    world.l1.faults.down.store(true, Ordering::SeqCst);
    node.submit_all(&world, 5, 5).await;
    world.l1.faults.down.store(false, Ordering::SeqCst);
    let path = "/admin/v1/communities/5/batches";
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (status, body) = node.admin(&format!("{path}?limit=2{after}"), None, TOKEN).await;
        assert_eq!(status, 200, "{body}");
        seen.extend(body["batches"].as_array().unwrap().iter().map(|b| b["batch"].as_u64().unwrap()));
        let Some(next) = body["next"].as_u64() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);

    // Slots that wait for a substitute, and communities of the status: all, unless a piece is asked for.
    let missing =
        async |query: &str| node.admin(&format!("/admin/v1/communities/7/missing{query}"), None, TOKEN).await.1;
    let slots = |body: &Value| {
        body["missing"].as_array().unwrap().iter().map(|m| m["slot"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let all = missing("").await;
    assert_eq!((slots(&all), all.get("next")), (vec![0, 1, 2], None));
    let piece = missing("?limit=2").await;
    assert_eq!((slots(&piece), &piece["next"]), (vec![0, 1], &json!(1)));
    assert_eq!(slots(&missing("?limit=2&after=1").await), [2]);
    let status = async |query: &str| node.admin(&format!("/admin/v1/status{query}"), None, TOKEN).await.1;
    let served = |body: &Value| {
        body["communities"].as_array().unwrap().iter().map(|c| c["community"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(served(&status("").await), [5, 7]);
    let one = status("?limit=1").await;
    assert_eq!((served(&one), &one["next"]), (vec![5], &json!(5)));
    assert_eq!(served(&status("?limit=1&after=5").await), [7]);
    node.handle.shutdown().await;
}
