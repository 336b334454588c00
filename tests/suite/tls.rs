//! Commands ask a sequencer over TLS, and believe the certificate authorities they are told to.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::common::{gridveil, write_secret};

const STATUS: &str = concat!(
    r#"{"state_root":"0x0000000000000000000000000000000000000000000000000000000000000007","log_height":41,"#,
    r#""versions":[{"circuit_version":2,"from_s":0}],"stopped":null,"retrying":[],"communities":[]}"#
);

/// An authority, in a file.
fn authority(dir: &Path, name: &str) -> (CertifiedIssuer<'static, KeyPair>, PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = dir.join(name);
    std::fs::write(&file, issuer.pem()).unwrap();
    (issuer, file)
}

/// A sequencer's private listener behind TLS, with a certificate of this authority for `localhost`.
fn serve(issuer: &CertifiedIssuer<'static, KeyPair>) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            let mut request = [0; 4096];
            // Whoever does not believe the certificate hangs up.
            let Ok(1..) = stream.read(&mut request) else { continue };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", STATUS.len());
            let _ = stream.write_all((head + STATUS).as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

fn status(url: &str, token: &Path, authorities: &Path) -> Output {
    gridveil()
        .args(["operator", "status", "--admin", url, "--admin-token"])
        .arg(token)
        .arg("--json")
        .env("SSL_CERT_FILE", authorities)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap()
}

#[test]
fn a_sequencer_is_asked_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("admin.token");
    write_secret(&token, "a token of the test, long enough");
    let ((issuer, trusted), (_, other)) = (authority(dir.path(), "ca.pem"), authority(dir.path(), "other.pem"));
    let url = serve(&issuer);
    let answer = status(&url, &token, &trusted);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["log_height"], 41);
    let refused = status(&url, &token, &other);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && error.lines().count() == 1, "{error}");
    assert!(error.contains("certificate is not trusted") && error.contains("SSL_CERT_FILE"), "{error}");
    let nothing = status("ftp://localhost:1", &token, &trusted);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("must start with https://"));
}
