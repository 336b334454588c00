//! Thousands of communities in one sequencer: begun, joined, settled, ended while it runs, and all of it opened again.
use std::{sync::atomic::Ordering, time::Duration, time::Instant};

use crate::common::{Node, SET, TOKEN, World, first_interval, genesis_terms, until};
use gridveil_api::beginning::Beginning;
use gridveil_protocol::{field::to_bytes, fixture, hex::hex0, init, market::Mechanism};
use gridveil_verifier_contract::{CommunityParams, OperatorL1 as _};

const DAY_S: u64 = 24 * 3600;
const NOTICE_S: u64 = 14 * DAY_S;

/// How many of what.
#[derive(Clone, Copy)]
struct City {
    /// Communities of the genesis.
    begun: u32,
    /// Those that join while it runs.
    joined: u32,
    /// Those of either that close a period.
    settled: u32,
    /// Those that end.
    ended: u32,
}

fn beginning(community: u32) -> Beginning {
    Beginning {
        community,
        shape: "tiny-4x2".to_owned(),
        mechanism: Mechanism::Auction,
        interval_length: 3600,
        first_interval: first_interval(),
        mdm: hex0(fixture::mdm_key().public().to_bytes()),
    }
}

/// Says how long something took.
async fn timed<T>(what: &str, count: u32, act: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = act.await;
    let s = start.elapsed().as_secs_f64();
    println!("{what}: {count} in {s:.2} s, {:.2} ms each", 1000.0 * s / f64::from(count.max(1)));
    done
}

/// What the process has in memory, MiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 10
}

impl City {
    async fn world(self) -> World {
        let world = World::with(|genesis| {
            let one = genesis.communities[0].clone();
            genesis.communities = (10..10 + self.begun)
                .map(|index| {
                    let mut one = one.clone();
                    one.index = index;
                    one
                })
                .collect();
        })
        .await;
        let terms = genesis_terms(5);
        let empty = beginning(0).registered().unwrap().empty().header;
        let of_joined = to_bytes(&init::genesis_terms(&empty));
        let register = async |community, genesis_terms| {
            let params =
                CommunityParams { community, shape: 1, interval_length_s: 3600, m: 2, tariff_set: SET, genesis_terms };
            world.l1.register_community(params).await.unwrap();
        };
        for community in self.begun() {
            register(community, terms).await;
        }
        for community in self.joined() {
            register(community, of_joined).await;
        }
        world
    }

    fn begun(self) -> std::ops::Range<u32> {
        10..10 + self.begun
    }

    fn joined(self) -> std::ops::Range<u32> {
        self.begun().end..self.begun().end + self.joined
    }

    /// Spread over all that are begun, and as many that joined.
    fn settling(self) -> Vec<u32> {
        let staying = self.begun - self.ended;
        let step = usize::try_from((2 * staying / self.settled.max(1)).max(1)).unwrap();
        let begun = self
            .begun()
            .take(usize::try_from(staying).unwrap())
            .step_by(step)
            .take(usize::try_from(self.settled / 2).unwrap());
        begun.chain(self.joined().take(usize::try_from(self.settled / 2).unwrap())).collect()
    }

    /// The last of those that are begun: none of them settles here.
    fn ending(self) -> std::ops::Range<u32> {
        self.begun().end - self.ended..self.begun().end
    }

    async fn lives(self) {
        let world = self.world().await;
        let all = self.begun + self.joined;
        // Periods end long after the notice that is given later.
        let config = || {
            let mut config = world.config(&world.data());
            config.obstacles_every = Duration::from_millis(200);
            config
        };
        let before = memory();
        let node = timed("first start", self.begun, world.start_with(config())).await;
        timed("joining", self.joined, async {
            for community in self.joined() {
                let body = serde_json::to_value(beginning(community)).unwrap();
                let (status, said) = node.admin("/admin/v1/communities", Some(&body), TOKEN).await;
                assert_eq!(status, 201, "{said}");
            }
        })
        .await;
        println!("memory: {} MiB more", memory().saturating_sub(before));
        self.watching(&world, &node).await;
        // All that close are on their way at once: nothing is proven yet.
        world.prover.stuck.store(true, Ordering::SeqCst);
        let settling = self.settling();
        assert_eq!(settling.len(), usize::try_from(self.settled).unwrap());
        timed("packets and closing", self.settled, async {
            for community in &settling {
                node.publish(&world, *community).await;
                if self.begun().contains(community) {
                    node.submit_all(&world, *community, 0).await;
                }
                let (status, body) = node.close(*community, 0).await;
                assert_eq!(status, 200, "{body}");
            }
        })
        .await;
        let status = timed("status", 1, node.status()).await;
        let communities = status["communities"].as_array().unwrap();
        assert_eq!(communities.len(), usize::try_from(all).unwrap());
        let on_their_way = communities.iter().filter(|one| one["batches"][0]["step"] == "applied").count();
        assert_eq!(on_their_way, settling.len(), "one of each, and of no other");
        self.ends(&world, &node, &settling).await;
        world.prover.stuck.store(false, Ordering::SeqCst);
        timed("settling", self.settled, async {
            for community in &settling {
                node.settled(*community, 1).await;
            }
        })
        .await;
        let root = node.status().await["state_root"].clone();
        let state = node.handle.service().writer.snapshot().log_state.clone();
        timed("orderly stop", 1, node.handle.shutdown()).await;

        let node = timed("start", all, world.start_with(config())).await;
        assert_eq!(node.status().await["state_root"], root);
        assert_eq!(node.handle.service().writer.snapshot().log_state, state);
        assert!(node.handle.service().health.stopped().is_none());
        self.stay_ended(&world, &node).await;
        timed("kill", 1, node.handle.kill()).await;
        std::fs::remove_dir_all(world.data().join("snapshots")).unwrap();
        let node = timed("start without a snapshot", all, world.start()).await;
        assert_eq!(node.handle.service().writer.snapshot().log_state, state);
        node.handle.kill().await;
        let size = |path: &str| std::fs::metadata(world.data().join(path)).unwrap().len();
        println!(
            "log: {} bytes a community; key file: {}",
            size("sequencer.log") / u64::from(all),
            size("keys/10.keys")
        );
    }

    /// L1 is asked for all of them at once. It was asked for each, every minute.
    async fn watching(self, world: &World, node: &Node) {
        let asked = || world.l1.questions.load(Ordering::Relaxed);
        // The first look asks for the tariff set of each, which never changes.
        until("looked once", async || node.health().await.1["reasons"].to_string().contains("tariff")).await;
        let (from, start) = (asked(), Instant::now());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let looks = start.elapsed().as_millis() as u64 / 200 + 1;
        let each = (asked() - from) / looks;
        println!("questions to L1 a look: {each}");
        // Beside the looks, L1's clock is asked every 20 ms here, and for metrics 256 forced queues a look, however many there are.
        assert!(each < 356, "{each} questions a look");
    }

    /// Some end, while others are on their way.
    async fn ends(self, world: &World, node: &Node, settling: &[u32]) {
        for community in self.ending() {
            assert!(!settling.contains(&community));
            world.l1.announce_closing(community).unwrap();
        }
        world.l1.set_timestamp(4_000_000_000 + NOTICE_S);
        for community in self.ending() {
            // Nobody waits in its queue: it is closed at once.
            world.l1.close_community(community).unwrap();
        }
        timed("ends noticed", self.ended, async {
            for community in self.ending() {
                let packet = world.packet(community, 0, 0, false);
                until("the end is noticed", async || node.submit(&packet).await.0 == 410).await;
            }
        })
        .await;
    }

    /// Ended for good: nothing comes in, its history is there, and its number is never another's.
    async fn stay_ended(self, world: &World, node: &Node) {
        for community in self.ending().step_by(10) {
            let packet = world.packet(community, 0, 0, false);
            until("the end is known again", async || node.submit(&packet).await.0 == 410).await;
            assert_eq!(node.get(&format!("/v1/communities/{community}")).await.0, 200);
            let body = serde_json::to_value(beginning(community)).unwrap();
            let (status, said) = node.admin("/admin/v1/communities", Some(&body), TOKEN).await;
            assert!(status == 409 || status == 410, "{said}");
        }
    }
}

/// The sample of `make test`.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_communities_begin_join_settle_and_end() {
    City { begun: 80, joined: 20, settled: 10, ended: 10 }.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute or more, by the disk: `make nightly` runs it"]
async fn two_thousand_communities_begin_join_settle_and_end() {
    City { begun: 1700, joined: 300, settled: 40, ended: 40 }.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: `make nightly` runs it"]
async fn five_thousand_communities_begin_join_settle_and_end() {
    City { begun: 4000, joined: 1000, settled: 1000, ended: 500 }.lives().await;
}
