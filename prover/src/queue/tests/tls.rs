//! A server on the network: certificates, names, passwords.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{Cluster, QueueError, job};
use crate::{queue::Queue, spool::SpoolKey};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server_options(dir: &Path, port: u16, authority: &CertifiedIssuer<'_, KeyPair>) -> Vec<String> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, authority).unwrap();
    vec![
        "listen_addresses=127.0.0.1".into(),
        format!("port={port}"),
        "ssl=on".into(),
        format!("ssl_cert_file={}", Cluster::put(dir, "server.pem", &certificate.pem())),
        format!("ssl_key_file={}", Cluster::put(dir, "server.key", &key.serialize_pem())),
    ]
}

#[test]
fn a_database_elsewhere_is_spoken_to_in_private_or_not_at_all() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let trusted = authority();
    let Some(cluster) = Cluster::start_with(|dir| server_options(dir, port, &trusted)) else { return };
    let files = tempfile::tempdir().unwrap();
    let root = |name: &str, authority: &CertifiedIssuer<'_, KeyPair>| {
        let path = files.path().join(name);
        fs::write(&path, authority.pem()).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (root("right.pem", &trusted), root("wrong.pem", &authority()));

    // Over the network only with a password, and only in private.
    let hba = cluster.data().join("pg_hba.conf");
    let rules = fs::read_to_string(&hba).unwrap();
    fs::write(
        &hba,
        format!("hostssl all remote 127.0.0.1/32 scram-sha-256\nhost all remote 0.0.0.0/0 reject\n{rules}"),
    )
    .unwrap();
    let mut owner = cluster.connect("postgres").unwrap();
    owner.batch_execute("CREATE ROLE remote LOGIN SUPERUSER PASSWORD 'a-password'; SELECT pg_reload_conf()").unwrap();

    let ask = |address: String| {
        Queue::new(&address.parse().unwrap(), SpoolKey::new([1; 32])).and_then(|queue| queue.submit(&job(1)))
    };
    let at = |password: &str, host: &str, options: &str| {
        format!("postgres://remote:{password}@{host}:{port}/postgres?{options}")
    };
    for mode in ["require", "verify-full"] {
        ask(at("a-password", "localhost", &format!("sslmode={mode}&sslrootcert={right}&application_name=private")))
            .unwrap();
        let untrusted = ask(at("a-password", "localhost", &format!("sslmode={mode}&sslrootcert={wrong}")));
        assert!(matches!(&untrusted, Err(QueueError::Tls(why)) if why.contains("not trusted")), "{untrusted:?}");
        let name = ask(at("a-password", "127.0.0.1", &format!("sslmode={mode}&sslrootcert={right}")));
        assert!(matches!(&name, Err(QueueError::Tls(why)) if why.contains("of another name")), "{name:?}");
    }
    let refused = ask(at("another", "localhost", &format!("sslmode=require&sslrootcert={right}")));
    assert!(matches!(&refused, Err(QueueError::Refused { code: Some(code), .. }) if code == "28P01"), "{refused:?}");
    let refused = ask(at("a-password", "localhost", "sslmode=disable"));
    assert!(matches!(&refused, Err(QueueError::Refused { code: Some(code), .. }) if code == "28000"), "{refused:?}");

    // A server without TLS says so in one byte, and hears nothing.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = plain.accept().unwrap();
            stream.read_exact(&mut [0; 8]).unwrap();
            stream.write_all(b"N").unwrap();
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        });
        let refused =
            ask(format!("postgres://remote:a-password@127.0.0.1:{port}/postgres?sslmode=require&sslrootcert={right}"));
        assert!(matches!(&refused, Err(QueueError::Tls(why)) if why.contains("does not offer")), "{refused:?}");
    });
}
