//! Reading, closing and proving under load, for `GRIDVEIL_SOAK_S` seconds: 15 if absent, ten minutes by `make soak-load`. Real
//! sequencer, prover and chain. Besides the homes that settle period after period, a reader verifies statements, and strangers
//! send as much as they are let.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{
    week::{Clients, Kept, Line, dice, number, teller},
    *,
};

/// Most that the sequencer's own memory may grow from a third of the time to its end, bytes.
const GROWTH: u64 = 96 << 20;
/// Most of it at any time, bytes.
const MOST: u64 = 600 << 20;
/// Longest answer of health and operator.
const PROMPT: Duration = Duration::from_secs(5);

/// One request on a connection that stays; the status and the body.
fn ask(stream: &mut TcpStream, head: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    write!(stream, "{head}\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    let (mut got, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut some)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        got.extend_from_slice(&some[..read]);
        let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
        let length =
            head.split("content-length: ").nth(1).map_or(0, |rest| rest.split('\r').next().unwrap().parse().unwrap());
        if got.len() >= end + 4 + length {
            return Ok((head[9..12].parse().unwrap(), got[end + 4..].to_vec()));
        }
    }
}

/// A client of an address of its own on this machine.
fn connect(to: SocketAddr, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

/// Sends packets that were taken already, and what is none, as fast as it is answered. Answers by their status.
fn stranger(to: SocketAddr, number: u8, ends: &AtomicBool, kept: &Mutex<Kept>) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    let mut connection = None;
    let mut sent = 0u64;
    while !ends.load(Ordering::Relaxed) {
        let stream = connection.get_or_insert_with(|| connect(to, [127, 0, 0, number]).unwrap());
        sent += 1;
        let known = kept.lock().unwrap().packets.last().map(|packet| serde_json::to_vec(packet).unwrap());
        let body = known.filter(|_| !sent.is_multiple_of(4)).unwrap_or_else(|| b"{\"none\": ".to_vec());
        match ask(stream, "POST /v1/packets HTTP/1.1\r\ncontent-type: application/json", &body) {
            Ok((status, _)) => {
                *counts.entry(status).or_insert(0) += 1;
                if status == 429 || status == 503 {
                    // Not as patient as it is told to be.
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            // A connection has its end.
            Err(_) => connection = None,
        }
    }
    counts
}

/// Asks for statements of periods that L1 has, and checks each. Gives how many hold.
fn reader(world: &World, line: &Line, domain: Fr, ends: &AtomicBool, kept: &Mutex<Kept>) -> u64 {
    let roots = JsonRpc::new(&world.anvil.url(), world.l1.contract()).unwrap();
    let (_, mut dice) = dice("reader");
    let mut read = 0;
    while !ends.load(Ordering::Relaxed) {
        let settled = usize::try_from(world.batches()).unwrap() * HOMES;
        let found = {
            let kept = kept.lock().unwrap();
            let packets = &kept.packets[..settled.min(kept.packets.len())];
            let at = usize::try_from(dice.below(packets.len().max(1) as u64)).unwrap();
            packets.get(at).map(|packet| (packet.clone(), kept.operations.clone()))
        };
        if let Some((packet, operations)) = found {
            read += u64::from(statement_holds(world, line, domain, &roots, &packet, &operations));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    read
}

fn statement_holds(
    world: &World,
    line: &Line,
    domain: Fr,
    roots: &JsonRpc,
    packet: &SignedPacket,
    operations: &[gridveil_protocol::operation::SignedOperation],
) -> bool {
    let (slot, first_interval) = (packet.packet.slot, packet.packet.context.first_interval);
    let owner = genesis::owner_key(world.plan.homes[usize::from(slot)]);
    let own: Vec<_> = operations.iter().filter(|one| one.operation.slot == slot).cloned().collect();
    let asked = Asked { community: world.plan.index, slot, first_interval };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let receipt = match line.public.receipt(&asked.request(domain, now, &owner).unwrap()) {
        Ok(receipt) => receipt,
        // Busy, or L1 has it and the log does not say so yet.
        Err(ApiError::Unavailable { .. }) => return false,
        Err(ApiError::Refused(problem)) if problem.code.as_str() == "receipt.not_settled" => return false,
        Err(error) => panic!("{error}"),
    };
    let owner = owner_of(&owner);
    let own = Own { domain, owner: &owner, operations: &own, packet: Some(packet), delivered: true, previous: None };
    let tariff = line.public.tariff(asked.community, world.day.first_interval).unwrap();
    statement::verify(&asked, &receipt, &own, &tariff, roots).unwrap();
    true
}

/// Memory of its own that a process has, bytes.
fn own_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Looks at memory, health and the operator's listener. Gives memory over time.
fn watcher(line: &Line, health: SocketAddr, pid: u32, ends: &AtomicBool) -> Vec<u64> {
    let mut memory = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        memory.push(own_bytes(pid));
        let start = Instant::now();
        let mut stream = connect(health, [127, 0, 0, 1]).unwrap();
        assert_eq!(ask(&mut stream, "GET /livez HTTP/1.1", b"").unwrap().0, 200);
        let status = line.admin.status().unwrap();
        assert!(status.stopped.is_none(), "{:?}", status.stopped);
        assert!(start.elapsed() < PROMPT, "health and operator waited {:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(500));
    }
    memory
}

#[test]
fn it_reads_closes_and_proves_under_load() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let seconds = number("GRIDVEIL_SOAK_S", 15);
    let tell = teller();
    let world = World::new();
    let (seed, of_clients) = dice("minutes");
    let mut clients = Clients::new(&world, of_clients);
    let mut prover = world.prover();
    let operator = world.sequencer();
    let pid = operator.process.child.id();
    let said = operator.process.said();
    let health: SocketAddr =
        said.split("health http://").nth(1).unwrap().split(['\n', ',']).next().unwrap().parse().unwrap();
    let public: SocketAddr = operator.url.trim_start_matches("http://").parse().unwrap();
    // The clock begins with the first proof: on a new machine keys are made before.
    let one = |clients: &Clients<'_>| clients.periods() >= 1;
    assert!(clients.go_on(&Line::of(&operator), one).is_ok());
    prover.wait("the first proof", PROVEN, |_| (world.batches() > 0).then_some(()));
    tell(&format!("{seconds} s under load, {seed}"));

    let (ends, kept) = (AtomicBool::new(false), std::sync::Arc::clone(&clients.kept));
    let (ends, kept) = (&ends, &*kept);
    let lines = [(); 3].map(|()| Line::of(&operator));
    let domain = operator.public.domain().unwrap();
    let before = (clients.acknowledged(), clients.periods());
    let (strangers, read, memory) = std::thread::scope(|scope| {
        let strangers = [2, 3].map(|number| scope.spawn(move || stranger(public, number, ends, kept)));
        let reading = scope.spawn(|| reader(&world, &lines[0], domain, ends, kept));
        let watching = scope.spawn(|| watcher(&lines[1], health, pid, ends));
        let start = Instant::now();
        let over = |_: &Clients<'_>| start.elapsed() >= Duration::from_secs(seconds);
        let gone = clients.go_on(&lines[2], over).is_err();
        ends.store(true, Ordering::Relaxed);
        assert!(!gone, "the sequencer is gone: {}", operator.process.said());
        let mut counts = BTreeMap::new();
        for (status, count) in strangers.into_iter().flat_map(|stranger| stranger.join().unwrap()) {
            *counts.entry(status).or_insert(0u64) += count;
        }
        (counts, reading.join().unwrap(), watching.join().unwrap())
    });
    let (acknowledged, periods) = (clients.acknowledged() - before.0, clients.periods() - before.1);
    let mut waits = std::mem::take(&mut clients.waits);
    waits.sort();
    let at = |part: usize| waits[(waits.len() - 1) * part / 100].as_micros();
    let (first, last) = (memory[memory.len() / 3], *memory.last().unwrap());
    let most = *memory.iter().max().unwrap();
    tell(&format!("{acknowledged} inputs acknowledged, {periods} periods closed, {read} statements verified"));
    tell(&format!("a packet: p50 {} us, p99 {} us; {} turned away", at(50), at(99), clients.turned_away));
    tell(&format!("strangers, by status: {strangers:?}"));
    tell(&format!("own memory, MiB: {} after a third, {} at the end, {} at most", first >> 20, last >> 20, most >> 20));
    let expected = [200, 400, 429, 503];
    assert!(strangers.keys().all(|status| expected.contains(status)), "{strangers:?}");
    assert!(strangers.values().sum::<u64>() > 10 * seconds && read > 0 && periods > 0);
    assert!(last.saturating_sub(first) < GROWTH, "memory grew by {} MiB", (last - first) >> 20);
    assert!(most < MOST, "{} MiB of memory", most >> 20);
    clients.until_all_is_settled(operator);
    clients.account();
    tell(&format!("{} periods on L1, each once; the audit is ok", clients.periods()));
    prover.stop();
}
