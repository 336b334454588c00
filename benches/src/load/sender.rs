//! Meters, in a process of their own: what was signed before is sent at a rate that does not follow the answers, or as fast as
//! so many connections are answered. Plain bytes over sockets, so that little of the processors goes to it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gridveil_prover::measure::cpu_time;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::packets::Packets;

/// Largest answer that is read.
const MOST: usize = 64 << 10;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Times that a packet is sent.
const TRIES: u32 = 100;
/// Addresses on this machine that clients have, one each: limits are a client's.
const ADDRESSES: usize = 200;

/// What it sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub to: String,
    pub file: PathBuf,
    /// Of the file: the first packet, and how many.
    pub first: u64,
    pub count: u64,
    /// Packets a second; `None` as fast as they are answered.
    pub rate: Option<f64>,
    pub connections: usize,
    /// Packets of a period, and the pause after each.
    pub homes: u32,
    pub pause_s: f64,
}

impl Task {
    /// When a packet is due, by its number, after the first one; `None` at once.
    fn due(&self, number: u64) -> Option<Duration> {
        let pauses = self.pauses_s(number);
        self.rate.map(|rate| Duration::from_secs_f64(number as f64 / rate + pauses))
    }

    /// The pauses before a packet, s.
    fn pauses_s(&self, number: u64) -> f64 {
        (number / u64::from(self.homes.max(1))) as f64 * self.pause_s
    }
}

/// What came of it: its one line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sent {
    /// Packets acknowledged for the first time, and as known before (an answer was lost, or late).
    pub accepted: u64,
    pub duplicates: u64,
    /// First packet to last acknowledgement without the pauses, s.
    pub wall_s: f64,
    /// The pauses, s.
    pub paused_s: f64,
    /// Processor time of the sender, s.
    pub cpu_s: f64,
    /// Answers that were none, by HTTP status; each packet was sent again.
    pub refused: BTreeMap<u16, u64>,
    /// Connections that broke.
    pub broken: u64,
    /// Packets that were never acknowledged, and what was answered last.
    pub lost: u64,
    pub last_refusal: Option<String>,
    /// From when a packet was due to its acknowledgement, sorted, ms: 50, 99, 99.9 of a hundred, longest.
    pub from_due_ms: [f64; 4],
    /// The same of the request that was acknowledged alone.
    pub of_request_ms: [f64; 4],
}

struct Shared {
    packets: Packets,
    next: u64,
    sent: Sent,
    from_due: Vec<u32>,
    of_request: Vec<u32>,
    last: Instant,
}

/// Percentiles of microseconds, ms.
fn parts(mut all: Vec<u32>) -> [f64; 4] {
    all.sort_unstable();
    let at = |permille: usize| {
        let index = (all.len().saturating_sub(1) * permille).div_ceil(1000);
        all.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
    };
    [at(500), at(990), at(999), at(1000)]
}

/// The body of the process.
pub(crate) fn child(task: &Task) -> anyhow::Result<()> {
    let to: SocketAddr = task.to.parse()?;
    let start = Instant::now();
    let shared = Rc::new(RefCell::new(Shared {
        packets: Packets::open(&task.file)?.skip(task.first)?,
        next: 0,
        sent: Sent::default(),
        from_due: Vec::with_capacity(usize::try_from(task.count)?),
        of_request: Vec::with_capacity(usize::try_from(task.count)?),
        last: start,
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (cpu, start) = (cpu_time(), Instant::now());
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let clients: Vec<_> = (0..task.connections)
            .map(|number| tokio::task::spawn_local(client(Rc::clone(&shared), task.clone(), to, number, start)))
            .collect();
        for client in clients {
            client.await??;
        }
        anyhow::Ok(())
    })?;
    let shared = Rc::try_unwrap(shared).ok().context("a client has not ended")?.into_inner();
    let paused_s = task.pauses_s(task.count.saturating_sub(1));
    let sent = Sent {
        wall_s: shared.last.duration_since(start).as_secs_f64() - paused_s,
        paused_s,
        cpu_s: cpu_time().saturating_sub(cpu).as_secs_f64(),
        from_due_ms: parts(shared.from_due),
        of_request_ms: parts(shared.of_request),
        ..shared.sent
    };
    println!("{}", serde_json::to_string(&sent)?);
    Ok(())
}

/// One connection: takes the next packet when it is due, and sends it until it is acknowledged.
async fn client(
    shared: Rc<RefCell<Shared>>,
    task: Task,
    to: SocketAddr,
    number: usize,
    start: Instant,
) -> anyhow::Result<()> {
    let mut connection = None;
    loop {
        let (due, bytes) = {
            let mut shared = shared.borrow_mut();
            if shared.next == task.count {
                return Ok(());
            }
            let due = task.due(shared.next).map(|after| start + after);
            shared.next += 1;
            (due, shared.packets.next()?.1)
        };
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
        let due = due.unwrap_or_else(Instant::now);
        let mut request = format!(
            "POST /v1/packets HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
            bytes.len()
        )
        .into_bytes();
        request.extend(bytes);
        deliver(&shared, &mut connection, to, number, &request, due).await;
    }
}

async fn deliver(
    shared: &RefCell<Shared>,
    connection: &mut Option<TcpStream>,
    to: SocketAddr,
    number: usize,
    request: &[u8],
    due: Instant,
) {
    let mut last = None;
    for _ in 0..TRIES {
        let begun = Instant::now();
        match attempt(connection, to, number, request).await {
            Ok((status @ 200..=202, _)) => {
                let mut shared = shared.borrow_mut();
                *(if status == 201 { &mut shared.sent.accepted } else { &mut shared.sent.duplicates }) += 1;
                let us = |since: Instant| u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX);
                shared.from_due.push(us(due));
                shared.of_request.push(us(begun));
                shared.last = Instant::now();
                return;
            }
            Ok((status, answer)) => {
                *shared.borrow_mut().sent.refused.entry(status).or_insert(0) += 1;
                let wait = answer.retry_after_s.map_or(Duration::from_millis(200), Duration::from_secs);
                // An earlier period that is still open is a matter of seconds here.
                tokio::time::sleep(wait.min(Duration::from_secs(1))).await;
                last = Some(answer.text);
            }
            Err(_) => {
                *connection = None;
                shared.borrow_mut().sent.broken += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let sent = &mut shared.borrow_mut().sent;
    sent.lost += 1;
    sent.last_refusal = last;
}

struct Answer {
    retry_after_s: Option<u64>,
    text: String,
}

async fn attempt(
    connection: &mut Option<TcpStream>,
    to: SocketAddr,
    number: usize,
    request: &[u8],
) -> anyhow::Result<(u16, Answer)> {
    if connection.is_none() {
        let socket = TcpSocket::new_v4()?;
        let last = u8::try_from(number % ADDRESSES + 2)?;
        socket.bind((Ipv4Addr::new(127, 0, 1, last), 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        *connection = Some(stream);
    }
    let stream = connection.as_mut().context("no connection")?;
    let (status, answer, stays) = tokio::time::timeout(PATIENCE, ask(stream, request)).await??;
    if !stays {
        *connection = None;
    }
    Ok((status, answer))
}

async fn ask(stream: &mut TcpStream, request: &[u8]) -> anyhow::Result<(u16, Answer, bool)> {
    stream.write_all(request).await?;
    let mut got = Vec::with_capacity(512);
    loop {
        ensure!(got.len() < MOST && stream.read_buf(&mut got).await? > 0, "the connection ended");
        let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(got.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = field("content-length:").context("no length")?.parse()?;
        if got.len() < end + 4 + length {
            continue;
        }
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let retry_after_s = field("retry-after:").and_then(|seconds| seconds.parse().ok());
        let text = String::from_utf8_lossy(got.get(end + 4..).unwrap_or_default()).into_owned();
        return Ok((status, Answer { retry_after_s, text }, field("connection:") != Some("close")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_comes_after_each_period() {
        let task = Task {
            to: String::new(),
            file: PathBuf::new(),
            first: 0,
            count: 300,
            rate: Some(10.0),
            connections: 1,
            homes: 100,
            pause_s: 5.0,
        };
        let due = |number| task.due(number).unwrap().as_secs_f64();
        assert_eq!([0, 99, 100, 299].map(due), [0.0, 9.9, 15.0, 39.9]);
        assert_eq!(task.pauses_s(299), 10.0);
        assert_eq!(Task { rate: None, ..task }.due(7), None);
    }

    #[test]
    fn parts_are_of_the_sorted_times() {
        assert_eq!(
            parts((1..=1000).rev().map(|ms| ms * 1000).collect()),
            [500.0, 990.0, 999.0, 1000.0].map(|x| x + 1.0).map(|x: f64| x.min(1000.0))
        );
        assert_eq!(parts(Vec::new()), [0.0; 4]);
    }
}
