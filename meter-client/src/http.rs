//! Connections to services, with TLS where the address says so.

use std::{error::Error as _, time::Duration};

use reqwest::{blocking::Client, redirect::Policy};

/// A client for an address `https://...`, checked against the certificate authorities that the system trusts
/// (`SSL_CERT_FILE` names others), or `http://...`. `None` for any other address. It follows nobody to another one.
pub(crate) fn client(address: &str, timeout: Duration) -> Option<Client> {
    if !address.starts_with("https://") && !address.starts_with("http://") {
        return None;
    }
    // Whoever was first in this process has set it: it is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(timeout).redirect(Policy::none()).build().ok()
}

/// Why TLS does not trust the other end, if that is what an error says: no reason to try again.
pub(crate) fn distrust(error: &reqwest::Error) -> Option<String> {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.map(ToString::to_string).find(|cause| cause.contains("certificate"))
}
