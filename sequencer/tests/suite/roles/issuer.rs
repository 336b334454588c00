//! An issuer of tokens for tests. Its keys are here for everybody to read, and for nothing else.

use std::path::{Path, PathBuf};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};

/// A key of 2048 bits, PKCS #1.
const RSA: &str = "\
    308204a502010002820101008d7a2d827da34e229d76acf2af63b579be96e891bbd259ffda9552fe304230d996bb0a93262f\
    2b3e7d2877bb37fbc6093550fb3e282cbbed82ce28898ba8ae75e0322d13cf832c8262abb38e95b04a67804de637ab10bf06\
    6243fd31146e16d97d500c520bf20fffbf876ef299a79b7677d3eca6e08bbacc6043a61762b94a2ecaf14a0a219e9bd92688\
    4219c0faf674e75be2df6134878c7bbdf106f7fb8c2dd40cb7d466fee20dae027df2ee9895511883b4f13587055bd046f883\
    812e64f1d6903ccbe7dd08f7bd7389acf4878dae05a2ffc4e56a999a376f767b490fc613059b7f10e6d368e374f63bd86f6e\
    e2461fbe992030284e1fa3113fa4439c78d9020301000102820100099b18d17219df3182fafe91a8be6ea13243594da1d0cd\
    bb0d3a93ccbdf6948e0589b4155b239b3e4e2dabf97a7ade0e9c7fdfdb2fcb9fc3e7dc7b0ca1bea57fcbe5e44122d70f73d7\
    e2bc198b88d1787711f2f66727472d1609733cbc9c1ff18aec5f35c7e95ad43ccb238995ccb745c32b90b720ea63d7c2167d\
    c5bb3684f69007b3460635b965529c5a2dce1dc0783ac45f6a213ba80584283e8f2753728f3ffe7737479eb630cd16695ba0\
    8058f8d43a5d0c13869f4ffb9527cc31f600a050b7422eb0da9e8a3f2d600b972fbfa30bbc3bae40cbe7653a5ccc394375d9\
    97f36b326cd7cf8ba555b06f533332f1beb5e730d5f5b6e59a1c46b897682ca09d02818100c2ddac4091037ee990aeb5e937\
    db9a1b45ea456bee09550b39265bd6ba69254c4ad0749604850149f08b9e895d6cc531697d2c83ce8157042a1cc11dd6af6c\
    363d48b8c5cffdd72ae19301012e4912e0401439d4b1494f18d8da8a6cee8b39f8f835707c0f81a25ff66c64a93891babce0\
    a0478c156da550417761f3fd5eca3502818100b9dcaf6c13d21051c6cc83b58445afa0b61b263ef55c2ba9c42a9b22692cc0\
    28832399321c760169b3b3575ceb1466367bbd5a04760a7377a82ba95c637a01284177ca547a42e7046842c8d9622618b987\
    2d7e18cb154c91a2cff91907896424b1e6a600658ec2da58e96d93f3454a1323ff82e37af9100cb3c7a3c6a386a895028181\
    0084278e1063c87923b1c9aaf935b6aaf6e01d9763311607250b672655a42a76ef1cb5eebb66e9450c7e24522a5abfcfa449\
    24693222b4b8eccc1aa025ba59520c1ed7d8e7debd0a55bc91d3d6972b5bafd605618b0b88ea29b1b7d4b537ba1860ef045e\
    fae41148abc8158ed6ecd4784e6c1087354bbb06a83d1dd7c27f0cf019028181009cb8e7fafc639f7b3564f292b6ec8401c2\
    4cf65d144c1a4d56aa8e91df99ea96beaddfda0f81ba0345922e529daf5fd905524f7b7f85a483fb7c859cf00ccab9052b5b\
    a30c4d29bbdfa6a0f21cfefece429c2bbe0050ff75b69223fbe50d0732a2085965f03d073552cfd2a474f7b2549d8031005c\
    8b73eb22156f966a017c5902818100ba22c081b088867f54694d95c3962181ba869ee4d751addb1fa03efaf21aaee4fc1531\
    6b6887cfd5578bd893b8acf1c9c7f50e03c8361abdf214969e0939f358cae48abebd416ea19a5673beaf920e419443833906\
    65c064ad060b4535ee45a806aa3ecb2e2c14ebeba44285706ed4ee7133d64f9c9048d017d177a1c8de1b1b";

/// A key of P-256, PKCS #8.
const P256: &str = "\
    308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b020101042024a89bb7a13265169614b66f887f\
    73e7747dbd44a3e2ce8df8967c28db1df234a144034200041e06cf85f32b40f9ad5ce946756e5f683f066bba2a7a76cadc4a\
    e0751099eadd8c92410c8a2c9ab18dd264ac778d6bc1722f40855a13e8b12235951329f0c245";

pub const ISSUER: &str = "https://id.example/realms/grid";
pub const AUDIENCE: &str = "gridveil";
/// The time of all these tests.
pub const NOW: u64 = 1_800_000_000;

fn bytes(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

/// A key of Ed25519 from a seed, PKCS #8.
pub fn ed25519(seed: u8) -> EncodingKey {
    EncodingKey::from_ed_der(&[bytes("302e020100300506032b657004220420"), vec![seed; 32]].concat())
}

/// A key of the issuer.
pub fn key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::EdDSA => ed25519(1),
        Algorithm::ES256 => EncodingKey::from_ec_der(&bytes(P256)),
        Algorithm::RS256 => EncodingKey::from_rsa_der(&bytes(RSA)),
        other => panic!("{other:?}"),
    }
}

/// A public key with a name.
pub fn public(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    serde_json::to_value(jwk).unwrap()
}

pub fn write(path: &Path, keys: &[Value]) {
    std::fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

/// The issuer's three keys, in a file.
pub fn jwks(folder: &Path) -> PathBuf {
    let path = folder.join("jwks.json");
    let all = [(Algorithm::EdDSA, "ed"), (Algorithm::ES256, "ec"), (Algorithm::RS256, "rsa")];
    write(&path, &all.map(|(algorithm, kid)| public(&key(algorithm), algorithm, kid)));
    path
}

/// Claims that hold.
pub fn claims(roles: &[&str]) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": NOW + 600, "nbf": NOW - 5, "roles": roles,
           "communities": [5]})
}

pub fn signed(claims: &Value, key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

/// A token of the issuer.
pub fn token(claims: &Value) -> String {
    signed(claims, &key(Algorithm::EdDSA), Algorithm::EdDSA, Some("ed"))
}
