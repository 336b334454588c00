//! The line between homes and sequencer. Of the requests it loses some, and of others the answer; some it delivers twice,
//! byte for byte. Whoever asked learns of no answer, and asks again.
//!
//! It knows of HTTP where a message ends, and nothing else.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use super::script::Dice;

/// Longest head of a message, and longest body.
const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 16 << 20;
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What the line did.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Requests that homes made.
    pub requests: AtomicU64,
    /// Packets among them, repeated ones too.
    pub packets: AtomicU64,
    /// Lost before the sequencer had them.
    pub lost: AtomicU64,
    /// Of which the answer was lost.
    pub unanswered: AtomicU64,
    /// Delivered twice.
    pub doubled: AtomicU64,
    /// Cut because the sequencer was gone.
    pub cut: AtomicU64,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    Lost,
    Unanswered,
    Doubled,
}

struct Shared {
    to: SocketAddr,
    loss: u8,
    dice: Mutex<Dice>,
    counts: Counts,
    /// Told when so many packets are delivered.
    alarm: Mutex<Option<(u64, Sender<()>)>>,
}

/// A running line.
pub(super) struct Line {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Line {
    /// To the sequencer at `to`. Of 100 requests `loss` are lost.
    pub(super) fn open(to: SocketAddr, loss: u8, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let dice = Mutex::new(Dice::new("fleet line", seed));
        let shared = Arc::new(Shared { to, loss, dice, counts: Counts::default(), alarm: Mutex::default() });
        let accepting = Arc::clone(&shared);
        // They end with the process: a home's connection is as long as the home.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    let _ = carry(&shared, stream);
                });
            }
        });
        Ok(Self { shared, address })
    }

    /// Where homes connect to.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// `alarm` hears when `packets` more packets are on their way to the sequencer, whose answers are not there yet.
    pub(super) fn after(&self, packets: u64, alarm: Sender<()>) {
        *self.shared.alarm.lock().unwrap_or_else(PoisonError::into_inner) = Some((packets, alarm));
    }

    /// The alarm that was set, and did not go off, is off.
    pub(super) fn no_alarm(&self) {
        *self.shared.alarm.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Shared {
    fn fate(&self) -> Fate {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let (thrown, loss) = (dice.below(200), usize::from(self.loss));
        // Halves of a per cent.
        match thrown {
            n if n < loss => Fate::Lost,
            n if n < 2 * loss => Fate::Unanswered,
            n if n < 3 * loss => Fate::Doubled,
            _ => Fate::Delivered,
        }
    }

    fn packet_is_out(&self) {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((left, sender)) = alarm.as_mut() {
            *left -= 1;
            if *left == 0 {
                // Nobody listens when the days are over.
                let _ = sender.send(());
                *alarm = None;
            }
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Carries messages until one side ends.
fn carry(shared: &Shared, mut home: TcpStream) -> io::Result<()> {
    let counts = &shared.counts;
    let mut sequencer: Option<TcpStream> = None;
    while let Some(request) = message(&mut home)? {
        count(&counts.requests);
        let packet = request.starts_with(b"POST /v1/packets ");
        if packet {
            count(&counts.packets);
        }
        let fate = shared.fate();
        if fate == Fate::Lost {
            count(&counts.lost);
            return Ok(());
        }
        let answer = delivered(shared, &mut sequencer, &request, packet, fate == Fate::Doubled);
        let Ok(answer) = answer else {
            count(&counts.cut);
            return Ok(());
        };
        match fate {
            Fate::Unanswered => {
                count(&counts.unanswered);
                return Ok(());
            }
            Fate::Doubled => count(&counts.doubled),
            Fate::Delivered | Fate::Lost => {}
        }
        home.write_all(&answer)?;
    }
    Ok(())
}

fn delivered(
    shared: &Shared,
    sequencer: &mut Option<TcpStream>,
    request: &[u8],
    packet: bool,
    twice: bool,
) -> io::Result<Vec<u8>> {
    let stream = match sequencer {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(shared.to)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            sequencer.insert(stream)
        }
    };
    let mut answer = Vec::new();
    for _ in 0..if twice { 2 } else { 1 } {
        stream.write_all(request)?;
        if packet {
            shared.packet_is_out();
        }
        answer = message(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    }
    Ok(answer)
}

/// One message with its body; nothing where the other side has ended before one.
fn message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 << 10]);
    let mut whole = None;
    loop {
        if whole.is_some_and(|length| bytes.len() >= length) {
            return Ok(Some(bytes));
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if whole.is_none() {
            let head = bytes.windows(END_OF_HEAD.len()).position(|end| end == END_OF_HEAD);
            whole = match head {
                Some(end) => Some(end + END_OF_HEAD.len() + body(bytes.get(..end).unwrap_or_default())?),
                None if bytes.len() > MAX_HEAD => return Err(io::ErrorKind::InvalidData.into()),
                None => None,
            };
        }
    }
}

/// Bytes of the body, by the head.
fn body(head: &[u8]) -> io::Result<usize> {
    let head = std::str::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData)?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let Some((_, length)) = lengths.next() else { return Ok(0) };
    let length: usize = length.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
    if length > MAX_BODY { Err(io::ErrorKind::InvalidData.into()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Counts what reaches it, and answers with the body.
    fn echo() -> (SocketAddr, Arc<AtomicU64>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, reached) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&reached);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || {
                    while let Ok(Some(request)) = message(&mut stream) {
                        counter.fetch_add(1, Ordering::Relaxed);
                        let body = request.split(|b| *b == b'\n').next_back().unwrap().to_vec();
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
                    }
                });
            }
        });
        (address, reached)
    }

    fn ask(line: &Line) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(line.address).unwrap();
        stream.write_all(b"POST /v1/packets HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        message(&mut stream).ok().flatten()
    }

    #[test]
    fn what_is_lost_and_doubled_is_what_is_counted() {
        let (to, reached) = echo();
        let line = Line::open(to, 50, 1).unwrap();
        let (sender, alarm) = mpsc::channel();
        line.after(3, sender);
        let answered = (0..60).filter(|_| ask(&line).is_some_and(|answer| answer.ends_with(b"\r\n\r\nhello"))).count();
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let Counts { requests, packets, lost, unanswered, doubled, cut } = line.counts();
        assert_eq!([count(requests), count(packets), count(cut)], [60, 60, 0]);
        assert!(count(lost) > 0 && count(unanswered) > 0 && count(doubled) > 0);
        assert_eq!(answered as u64, 60 - count(lost) - count(unanswered));
        assert_eq!(reached.load(Ordering::Relaxed), 60 - count(lost) + count(doubled));
        assert!(alarm.recv().is_ok());
    }

    #[test]
    fn without_loss_everything_arrives_once_and_a_message_without_end_is_refused() {
        let (to, reached) = echo();
        let line = Line::open(to, 0, 1).unwrap();
        assert!((0..20).all(|_| ask(&line).is_some()) && reached.load(Ordering::Relaxed) == 20);
        assert!(body(b"GET / HTTP/1.1\r\nhost: a").is_ok_and(|length| length == 0));
        assert!(body(b"POST / HTTP/1.1\r\nContent-Length: 99999999999").is_err());
        assert!(body(b"POST / HTTP/1.1\r\nContent-Length: -1").is_err());
    }
}
