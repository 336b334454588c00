//! One connection: made when it is needed, made again when it breaks, its tables made by whoever comes first.

use std::{
    error::Error as _,
    fmt, io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use postgres::{Client, NoTls, error::SqlState, fallible_iterator::FallibleIterator as _};

use super::{
    QueueError, QueueUrl,
    address::{Address, Tls},
};

/// Version of the tables this program makes and uses.
pub(super) const VERSION: i32 = 1;

/// The steps from one version to the next. A step once released is never changed.
const STEPS: [&str; 1] = [include_str!("schema-1.sql")];

/// Said when there is something to claim: workers that have nothing to do look at once.
pub(super) const TELL: &str = "NOTIFY gridveil_queue";
const LISTEN: &str = "LISTEN gridveil_queue";

/// Only one process at a time makes the tables.
const LOCK: i64 = 0x6772_6964_7665_696c;

pub(super) struct Database {
    address: Address,
    client: Mutex<Option<Client>>,
    /// Does the connection listen?
    listens: AtomicBool,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database(hidden)")
    }
}

impl Database {
    /// Connects to nothing yet.
    pub fn new(url: &QueueUrl) -> Result<Self, QueueError> {
        Ok(Self { address: Address::parse(url)?, client: Mutex::new(None), listens: AtomicBool::new(false) })
    }

    /// Does `work` on the connection. If a kept connection turns out to be broken, it does `work` again on a new one.
    /// So doing `work` twice must have the same result.
    pub fn with<T>(&self, mut work: impl FnMut(&mut Client) -> Result<T, postgres::Error>) -> Result<T, QueueError> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut client) = kept.take().filter(|client| !client.is_closed()) {
            match work(&mut client) {
                Ok(done) => {
                    *kept = Some(client);
                    return Ok(done);
                }
                Err(error) if client.is_closed() || is_lost(&error) => {}
                Err(error) => {
                    *kept = Some(client);
                    return Err(told(&error));
                }
            }
        }
        let mut client = self.connect()?;
        let outcome = work(&mut client).map_err(|error| told(&error));
        if !client.is_closed() {
            *kept = Some(client);
        }
        outcome
    }

    /// From now on [`Self::heard`] hears of [`TELL`], as long as the connection lasts. Whether it did not until now.
    pub fn listen(&self) -> Result<bool, QueueError> {
        if self.listens.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.with(|client| client.batch_execute(LISTEN))?;
        self.listens.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Waits until somebody says [`TELL`], or for `pause`. Whether somebody did, since the last time.
    pub fn heard(&self, pause: Duration) -> Result<bool, QueueError> {
        self.with(|client| {
            let mut told = client.notifications();
            if told.is_empty() && told.timeout_iter(pause).next()?.is_none() {
                return Ok(false);
            }
            // One look at the queue is enough for all.
            while told.iter().next()?.is_some() {}
            Ok(true)
        })
    }

    fn connect(&self) -> Result<Client, QueueError> {
        self.listens.store(false, Ordering::Relaxed);
        let Address { config, tls } = &self.address;
        let connected = match tls {
            Tls::Off => config.connect(NoTls),
            Tls::On(tls) => config.connect(tls.clone()),
        };
        let mut client = connected.map_err(|error| told(&error))?;
        match version(&mut client).map_err(|error| told(&error))? {
            Some(VERSION) => Ok(client),
            Some(found) if found > VERSION => Err(QueueError::Version { found, known: VERSION }),
            _ => migrate(client),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A client holds a runtime, and a runtime must not be dropped by another one's tasks.
        if let Some(client) = self.client.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread::Builder::new().spawn(move || drop(client)).map(thread::JoinHandle::join);
        }
    }
}

/// Of the tables that are there.
fn version(client: &mut impl postgres::GenericClient) -> Result<Option<i32>, postgres::Error> {
    let there: bool = client.query_one("SELECT to_regclass('gridveil_queue.meta') IS NOT NULL", &[])?.get(0);
    if !there {
        return Ok(None);
    }
    Ok(client.query_opt("SELECT version FROM gridveil_queue.meta", &[])?.map(|row| row.get(0)))
}

fn migrate(mut client: Client) -> Result<Client, QueueError> {
    let mut step = || {
        // The lock is taken before the transaction begins. A transaction that waited for it would not see the tables
        // made meanwhile.
        client.execute("SELECT pg_advisory_lock($1)", &[&LOCK])?;
        let mut transaction = client.transaction()?;
        let found = version(&mut transaction)?.unwrap_or(0);
        for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
            transaction.batch_execute(step)?;
        }
        transaction.commit()?;
        client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK])?;
        Ok::<_, postgres::Error>(found)
    };
    match step().map_err(|error| told(&error))? {
        found if found > VERSION => Err(QueueError::Version { found, known: VERSION }),
        VERSION => Ok(client),
        found => {
            tracing::info!(found, made = VERSION, "queue tables made");
            Ok(client)
        }
    }
}

/// Did the connection break?
fn is_lost(error: &postgres::Error) -> bool {
    let down = |code: &SqlState| code.code().starts_with("08") || code.code().starts_with("57P");
    error.is_closed() || error.code().is_some_and(down) || input_output(error).is_some()
}

fn input_output(error: &postgres::Error) -> Option<io::ErrorKind> {
    error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// An error in our own words.
fn told(error: &postgres::Error) -> QueueError {
    if let Some(code) = error.code() {
        return of_code(code.code());
    }
    if let Some(why) = tls(error) {
        return QueueError::Tls(why);
    }
    if let Some(kind) = input_output(error) {
        // The system's resolver has errors the standard library has no name for.
        let unnamed = kind.to_string() == "uncategorized error";
        return QueueError::Unavailable(if unnamed {
            "its name is not known, or the network is down".into()
        } else {
            kind.to_string()
        });
    }
    // The client's fixed names for its own errors ("connection closed", "timeout waiting for server", "authentication
    // error").
    let text = error.to_string();
    match text.as_str() {
        "authentication error" => {
            QueueError::Refused { what: "the server's way to log in is not offered or failed", code: None }
        }
        "invalid configuration" => {
            QueueError::Refused { what: "a password is needed (GRIDVEIL_QUEUE or PGPASSWORD)", code: None }
        }
        _ if error.is_closed() => QueueError::Unavailable("connection closed".into()),
        "timeout waiting for server" | "error connecting to server" => QueueError::Unavailable(text),
        _ => QueueError::Refused { what: "an answer this program does not understand", code: None },
    }
}

fn of_code(code: &str) -> QueueError {
    let what = match code {
        "28P01" | "28000" => "user or password, or no access from this machine",
        "3D000" => "no such database",
        "42501" => "this user may not do that (docs/spec/queue.md lists the rights)",
        "25006" => "a read-only server",
        _ => match code.get(..2).unwrap_or_default() {
            "08" => return QueueError::Unavailable("connection failed".into()),
            "53" => return QueueError::Unavailable("out of connections, memory or disk".into()),
            "57" => return QueueError::Unavailable("stopped, starting, or too slow".into()),
            "40" | "55" => return QueueError::Unavailable("locked by others".into()),
            "22" | "23" => "a value the tables do not take",
            _ => "a statement",
        },
    };
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(5).collect();
    QueueError::Refused { what, code: Some(code) }
}

/// Why there is no TLS, if that is what failed.
fn tls(error: &postgres::Error) -> Option<&'static str> {
    let mut cause = error.source();
    while let Some(source) = cause {
        // An I/O error's own cause is that of the error inside, which it does not show as its source.
        let inside = source
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inside| inside.downcast_ref::<rustls::Error>());
        if let Some(failed) = source.downcast_ref::<rustls::Error>().or(inside) {
            return Some(match failed {
                rustls::Error::InvalidCertificate(_) => {
                    "the server's certificate is not trusted, or is of another name (sslrootcert=FILE)"
                }
                _ => "the handshake failed",
            });
        }
        cause = source.source();
    }
    // No type of its own, only a fixed text.
    let handshake = error.to_string().starts_with("error performing TLS handshake");
    let broken = input_output(error).is_some();
    (handshake && !broken).then_some("the server does not offer it (sslmode=disable goes without)")
}
