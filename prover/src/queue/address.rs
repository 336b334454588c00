//! The queue's address, and how the connection to it is protected.

use std::{convert::Infallible, env, fmt, net::IpAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use postgres::{
    Config,
    config::{Host, SslMode},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::QueueError;

/// Environment variable the address is read from where no option gives it.
pub const URL_VARIABLE: &str = "GRIDVEIL_QUEUE";

const CONNECT: Duration = Duration::from_secs(5);
/// Until a connection whose other end has gone is given up.
const SILENCE: Duration = Duration::from_secs(15);
/// Bounds on the server's side: a statement that waits, a transaction whose client was cut off.
const SESSION: &str = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s";

/// `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=FILE]`. Never shown: it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueUrl(String);

impl fmt::Debug for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueUrl(hidden)")
    }
}

impl FromStr for QueueUrl {
    type Err = Infallible;

    /// Anything is taken here, so that an argument parser has nothing to repeat; it is read by [`super::Queue::new`]
    /// and its like.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl QueueUrl {
    /// The address in `GRIDVEIL_QUEUE`, if that is set.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let value =
            env::var_os(URL_VARIABLE)?.into_string().unwrap_or_else(|lossy| lossy.to_string_lossy().into_owned());
        (!value.is_empty()).then_some(Self(value))
    }
}

#[derive(Clone)]
pub(super) enum Tls {
    Off,
    On(MakeRustlsConnect),
}

/// What a connection is made from.
#[derive(Clone)]
pub(super) struct Address {
    pub config: Config,
    pub tls: Tls,
}

#[derive(Clone, Copy)]
enum Privacy {
    /// No TLS.
    Plain,
    /// TLS with a checked certificate and name.
    Verified,
}

/// Asked for by libpq's names, and not supported.
const UNSUPPORTED: [(&str, &str); 7] = [
    ("sslcert", "sslcert: client certificates are not supported; use a password"),
    ("sslkey", "sslkey: client certificates are not supported; use a password"),
    ("sslcrl", "sslcrl: revocation lists are not supported"),
    ("gssencmode", "gssencmode: GSSAPI is not supported"),
    ("passfile", "passfile: not supported; put the address into GRIDVEIL_QUEUE or the password into PGPASSWORD"),
    ("service", "service: not supported; give the address itself"),
    ("requirepeer", "requirepeer: not supported"),
];

impl Address {
    /// Reads an address; looks at certificates on disk, connects to nothing.
    ///
    /// # Errors
    /// [`QueueError::Address`] and [`QueueError::Tls`]; neither repeats any part of the address.
    pub fn parse(url: &QueueUrl) -> Result<Self, QueueError> {
        const FORM: QueueError = QueueError::Address("expected postgres://user@host/database");
        if !["postgres://", "postgresql://"].iter().any(|prefix| url.0.starts_with(prefix)) {
            return Err(FORM);
        }
        let (base, query) = url.0.split_once('?').unwrap_or((&url.0, ""));
        let (mut rest, mut mode, mut root) = (Vec::new(), None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(FORM)?;
            match name {
                "sslmode" => mode = Some(value),
                "sslrootcert" => root = Some(decoded(value).ok_or(FORM)?),
                _ => match UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name) {
                    Some((_, why)) => return Err(QueueError::Address(why)),
                    None => rest.push(pair),
                },
            }
        }
        let joined = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let mut config: Config = joined.parse().map_err(|_| FORM)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(QueueError::Address("it names no host"));
        }
        let tls = match privacy(mode, is_local(&config))? {
            Privacy::Plain => {
                config.ssl_mode(SslMode::Disable);
                Tls::Off
            }
            Privacy::Verified => {
                config.ssl_mode(SslMode::Require);
                Tls::On(MakeRustlsConnect::new(client(root)?))
            }
        };
        complete(&mut config);
        Ok(Self { config, tls })
    }
}

/// What the address leaves open.
fn complete(config: &mut Config) {
    if config.get_password().is_none()
        && let Ok(password) = env::var("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_application_name().is_none() {
        config.application_name("gridveil");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    // What a server has to say beside its answers would end in the log.
    config.notice_callback(|_| {});
    config.keepalives(true).keepalives_idle(SILENCE).keepalives_interval(SILENCE / 3).keepalives_retries(3);
    let options = format!("{} {SESSION}", config.get_options().unwrap_or_default());
    config.options(options.trim());
}

/// On this machine: a Unix socket or the loopback interface.
fn is_local(config: &Config) -> bool {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    let addresses = config.get_hostaddrs();
    if addresses.is_empty() { config.get_hosts().iter().all(host) } else { addresses.iter().all(IpAddr::is_loopback) }
}

/// How private the way to the queue must be. `require` also checks the server's certificate, which libpq's does not:
/// without that check, an attacker who answers in the server's place reads everything.
fn privacy(mode: Option<&str>, local: bool) -> Result<Privacy, QueueError> {
    match mode {
        Some("disable") => Ok(Privacy::Plain),
        Some("require" | "verify-ca" | "verify-full") => Ok(Privacy::Verified),
        Some("prefer" | "allow") => {
            Err(QueueError::Address("sslmode: prefer and allow protect nothing; give disable, require or verify-full"))
        }
        Some(_) => Err(QueueError::Address("sslmode: expected disable, require or verify-full")),
        None if local => Ok(Privacy::Plain),
        None => Ok(Privacy::Verified),
    }
}

fn client(root: Option<String>) -> Result<ClientConfig, QueueError> {
    let mut roots = RootCertStore::empty();
    match root.as_deref() {
        None | Some("system") => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let unreadable = || QueueError::Tls("sslrootcert: not a readable PEM file of certificates");
            for certificate in CertificateDer::pem_file_iter(PathBuf::from(file)).map_err(|_| unreadable())? {
                roots.add(certificate.map_err(|_| unreadable())?).map_err(|_| unreadable())?;
            }
        }
    }
    if roots.is_empty() {
        return Err(QueueError::Tls("no certificates to trust: give sslrootcert=FILE"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|_| QueueError::Tls("no usable protocol version"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Percent-decoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next()?.bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Address, QueueError> {
        Address::parse(&text.parse().unwrap())
    }

    #[test]
    fn an_address_is_private_unless_it_is_local_or_says_so() {
        let plain = |text: &str| match parsed(text) {
            Ok(address) => matches!(address.tls, Tls::Off),
            // A machine without system certificates.
            Err(QueueError::Tls(why)) => {
                assert!(why.contains("no certificates"));
                false
            }
            Err(other) => panic!("{other}"),
        };
        for local in [
            "postgres://u@localhost/d",
            "postgresql://u:p@127.0.0.1:5433/d",
            "postgres://u@[::1]/d",
            "postgres://u@%2Frun%2Fpostgresql/d",
            "postgres:///d?host=/run/postgresql",
            "postgres://u@db.example/d?sslmode=disable",
            "postgres://u@name/d?hostaddr=127.0.0.1",
        ] {
            assert!(plain(local), "{local}");
        }
        for remote in [
            "postgres://u@db.example/d",
            "postgres://u@10.0.0.7/d",
            "postgres://u@localhost,db.example/d",
            "postgres://u@localhost/d?sslmode=require",
            "postgres://u@localhost/d?sslmode=verify-full",
            "postgres://u@localhost/d?hostaddr=10.0.0.7",
        ] {
            assert!(!plain(remote), "{remote}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_it() {
        for (text, says) in [
            ("hunter2", "expected postgres://"),
            ("host=h password=hunter2", "expected postgres://"),
            ("postgres://u:hunter2@h:port/d", "expected postgres://"),
            ("postgres://u:hun?hunter2@h/d", "expected postgres://"),
            ("postgres://u:hunter2@h/d?hunter2=1", "expected postgres://"),
            ("postgres://u:hunter2@/d", "no host"),
            ("postgres://u:hunter2@h/d?sslmode=prefer", "protect nothing"),
            ("postgres://u:hunter2@h/d?sslmode=hunter2", "expected disable"),
            ("postgres://u:hunter2@h/d?sslcert=hunter2", "client certificates are not supported"),
            ("postgres://u:hunter2@h/d?sslrootcert=/hunter2", "sslrootcert"),
        ] {
            let Err(error) = parsed(text) else { panic!("{text} is taken") };
            let said = format!("{error} {error:?}");
            assert!(said.contains(says) && !said.contains("hunter2"), "{text}: {said}");
        }
        assert!(!format!("{:?}", "postgres://u:hunter2@h/d".parse::<QueueUrl>().unwrap()).contains("hunter2"));
    }

    #[test]
    fn percent_signs_are_decoded() {
        assert_eq!(decoded("/etc/a%20b%2fc.pem").as_deref(), Some("/etc/a b/c.pem"));
        assert_eq!((decoded("%2"), decoded("%zz"), decoded("%ff")), (None, None, None));
    }
}
