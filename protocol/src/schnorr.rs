//! Schnorr signatures over Grumpkin, evaluated exactly as the circuit evaluates them (`docs/spec/state.md`, Packet).
//!
//! The group equation is `x(s G - e P) = R.x`. Scalars are written in signed binary digits (-1, +1): `e = a + lambda b`
//! with 64 digits each (the endomorphism `phi(x,y) = (beta x, y)` multiplies by `lambda`), `s` as four 64-digit pieces
//! over `G, 2^64 G, 2^128 G, 2^192 G`. A step doubles the accumulator and adds `W = T + F`, one of four variable and
//! one of sixteen fixed points. The accumulator starts at the fixed point `H = h G` and the digits are those of `s -
//! 2^64 h`, so that two equal leading steps are no exception and nothing has to be taken off at the end. Additions are
//! incomplete; a chain that would meet equal x or infinity is refused here, as it is in the circuit.

use std::sync::LazyLock;

use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField, Zero};
use ark_grumpkin::{Affine, Projective};
use zeroize::Zeroize;

use crate::{
    field::{self, Fr, Scalar},
    poseidon::{DomainTag, hash2, sponge},
};

/// Digits of one scalar piece, and steps of the chain.
pub const STEPS: usize = 64;
/// Pieces of `s`.
pub const PIECES: usize = 4;

/// A key, signature or scalar that cannot be used. Says why; never carries the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchnorrError {
    /// Coordinates not on Grumpkin, or the point at infinity.
    #[error("public key is not a point of Grumpkin")]
    OffCurve,
    /// Secret scalar is zero or not below the group order.
    #[error("secret key is not a scalar between 1 and the group order")]
    BadSecret,
    /// `s` is not below the group order.
    #[error("signature scalar is not below the group order")]
    BadScalar,
    /// The equation does not hold.
    #[error("signature does not verify under this key")]
    Mismatch,
    /// Holds, but the evaluation meets an exceptional case; sign again with another nonce.
    #[error("signature meets an exceptional addition; sign again")]
    Degenerate,
}

/// A public key: an affine point of Grumpkin, never infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    x: Fr,
    y: Fr,
}

impl PublicKey {
    /// Checked constructor.
    ///
    /// # Errors
    /// [`SchnorrError::OffCurve`].
    pub fn new(x: Fr, y: Fr) -> Result<Self, SchnorrError> {
        if y.square() == x.square() * x - Fr::from(17u64) { Ok(Self { x, y }) } else { Err(SchnorrError::OffCurve) }
    }

    /// Coordinates.
    #[must_use]
    pub const fn xy(&self) -> (Fr, Fr) {
        (self.x, self.y)
    }

    /// The key's commitment `P(x, y, 0, 0)`: what a leaf and a note call `owner`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        hash2(self.x, self.y)
    }

    /// x and y, 32 bytes each, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[..32].copy_from_slice(&field::to_bytes(&self.x));
        out[32..].copy_from_slice(&field::to_bytes(&self.y));
        out
    }

    /// Inverse of [`PublicKey::to_bytes`].
    ///
    /// # Errors
    /// [`SchnorrError::OffCurve`] for anything but canonical coordinates of a point.
    pub fn from_bytes(bytes: &[u8; 64]) -> Result<Self, SchnorrError> {
        let (mut x, mut y) = ([0; 32], [0; 32]);
        x.copy_from_slice(&bytes[..32]);
        y.copy_from_slice(&bytes[32..]);
        let decode = |b: &[u8; 32]| field::from_bytes::<Fr>(b).map_err(|_| SchnorrError::OffCurve);
        Self::new(decode(&x)?, decode(&y)?)
    }

    fn affine(&self) -> Affine {
        Affine::new_unchecked(self.x, self.y)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(64 bytes)")
    }
}

/// A secret key. Wiped on drop; Debug prints its length.
#[derive(Clone)]
pub struct SecretKey(Scalar);

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(32 bytes)")
    }
}

impl SecretKey {
    /// From 64 uniformly random bytes (reduced; the bias is below 2^-250).
    #[must_use]
    pub fn from_seed(seed: &[u8; 64]) -> Self {
        let k = field::reduce::<Scalar>(seed);
        Self(if k.is_zero() { Scalar::from(1u64) } else { k })
    }

    /// From the canonical 32-byte form.
    ///
    /// # Errors
    /// [`SchnorrError::BadSecret`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SchnorrError> {
        let k: Scalar = field::from_bytes(bytes).map_err(|_| SchnorrError::BadSecret)?;
        if k.is_zero() { Err(SchnorrError::BadSecret) } else { Ok(Self(k)) }
    }

    /// Canonical 32 bytes, for a key store.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        field::to_bytes(&self.0)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let point = (Projective::generator() * self.0).into_affine();
        PublicKey { x: point.x, y: point.y }
    }

    /// Signs the message elements. The nonce is 64 keyed-BLAKE3 bytes over key and full message, reduced mod q,
    /// so signing twice gives the same bytes.
    ///
    /// # Errors
    /// [`SchnorrError::Degenerate`] never happens for honest keys in practice (probability about 2^-240).
    pub fn sign(&self, purpose: DomainTag, message: &[Fr]) -> Result<Signature, SchnorrError> {
        let mut hasher = blake3::Hasher::new_keyed(blake3::hash(&self.to_bytes()).as_bytes());
        hasher.update(b"gridveil schnorr nonce v1");
        hasher.update(&(purpose as u32).to_be_bytes());
        for element in message {
            hasher.update(&field::to_bytes(element));
        }
        let mut wide = [0u8; 64];
        hasher.finalize_xof().fill(&mut wide);
        let nonce: Scalar = field::reduce(&wide);
        wide.zeroize();
        let r = (Projective::generator() * nonce).into_affine();
        let key = self.public();
        let e = challenge_scalar(&challenge(purpose, r.x, &key, message))?;
        let signature = Signature { r_x: r.x, s: nonce + e * self.0 };
        verify(purpose, &key, message, &signature).map(|()| signature)
    }
}

/// A signature `(R.x, s)`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// x coordinate of the nonce point.
    pub r_x: Fr,
    /// Response scalar.
    pub s: Scalar,
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signature(64 bytes)")
    }
}

impl Signature {
    /// `R.x` then `s`, 32 bytes each, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[..32].copy_from_slice(&field::to_bytes(&self.r_x));
        out[32..].copy_from_slice(&field::to_bytes(&self.s));
        out
    }

    /// Inverse of [`Signature::to_bytes`].
    ///
    /// # Errors
    /// [`SchnorrError::BadScalar`] if a half is not canonical.
    pub fn from_bytes(bytes: &[u8; 64]) -> Result<Self, SchnorrError> {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Ok(Self {
            r_x: field::from_bytes(&r).map_err(|_| SchnorrError::BadScalar)?,
            s: field::from_bytes(&s).map_err(|_| SchnorrError::BadScalar)?,
        })
    }
}

/// Challenge digest: key-prefixed Poseidon sponge.
#[must_use]
pub fn challenge(purpose: DomainTag, r_x: Fr, key: &PublicKey, message: &[Fr]) -> Fr {
    let mut elements = Vec::with_capacity(message.len() + 2);
    elements.extend([r_x, key.x]);
    elements.extend_from_slice(message);
    sponge(purpose, &elements)
}

/// The two 64-bit halves `(A, B)` of a challenge digest.
///
/// # Errors
/// [`SchnorrError::Degenerate`] if the bits from 128 up equal those of the modulus (the circuit's canonicity check
/// refuses that value).
pub fn challenge_halves(digest: &Fr) -> Result<(u64, u64), SchnorrError> {
    let [a, b, low, high] = digest.into_bigint().0;
    let [_, _, modulus_low, modulus_high] = Fr::MODULUS.0;
    if (low, high) == (modulus_low, modulus_high) { Err(SchnorrError::Degenerate) } else { Ok((a, b)) }
}

/// `e = (2A + 1 - 2^64) + lambda (2B + 1 - 2^64) mod q`.
fn challenge_scalar(digest: &Fr) -> Result<Scalar, SchnorrError> {
    let (a, b) = challenge_halves(digest)?;
    let odd = |half: u64| Scalar::from(2 * u128::from(half) + 1) - Scalar::from(1u128 << 64);
    Ok(odd(a) + endomorphism().lambda * odd(b))
}

/// `beta` (cube root of unity in the base field) and the matching `lambda`: `lambda (x,y) = (beta x, y)`.
#[derive(Clone, Copy, Debug)]
pub struct Endomorphism {
    /// Acts on x.
    pub beta: Fr,
    /// Eigenvalue.
    pub lambda: Scalar,
}

/// The endomorphism, found once from the curve itself.
#[must_use]
pub fn endomorphism() -> &'static Endomorphism {
    static ENDOMORPHISM: LazyLock<Endomorphism> = LazyLock::new(|| {
        let lambda = cube_root_of_unity::<Scalar>();
        let g = Affine::generator();
        let image = (g * lambda).into_affine();
        Endomorphism { beta: image.x / g.x, lambda }
    });
    &ENDOMORPHISM
}

fn cube_root_of_unity<F: PrimeField>() -> F {
    // g^((p-1)/3) for the smallest g that is not a cube.
    let mut exponent = F::MODULUS;
    exponent.sub_with_borrow(&F::BigInt::from(1u64));
    let third = divide_by_three(exponent.as_ref());
    (2u64..).map(|g| F::from(g).pow(&third)).find(|root| *root != F::ONE).unwrap_or(F::ONE)
}

fn divide_by_three(limbs: &[u64]) -> Vec<u64> {
    let mut out = vec![0u64; limbs.len()];
    let mut remainder = 0u128;
    for (o, limb) in out.iter_mut().zip(limbs).rev() {
        let current = (remainder << 64) + u128::from(*limb);
        *o = u64::try_from(current / 3).unwrap_or(u64::MAX);
        remainder = current % 3;
    }
    out
}

/// `2^(64 j) G` for the four pieces of `s`.
pub fn fixed_bases() -> &'static [Affine; PIECES] {
    static BASES: LazyLock<[Affine; PIECES]> = LazyLock::new(|| {
        let mut point = Projective::generator();
        std::array::from_fn(|_| {
            let base = point.into_affine();
            for _ in 0..STEPS {
                point.double_in_place();
            }
            base
        })
    });
    &BASES
}

/// Start of the chain: `h` (a hash, below 2^248) and `H = h G`.
pub fn start() -> &'static (Scalar, Affine) {
    static START: LazyLock<(Scalar, Affine)> = LazyLock::new(|| {
        let h = field::reduce::<Scalar>(&blake3::derive_key("gridveil schnorr chain start v1", &[])[..31]);
        (h, (Projective::generator() * h).into_affine())
    });
    &START
}

/// `F` for digits `(+1, 1-2c1, 1-2c2, 1-2c3)`, index `c1 + 2 c2 + 4 c3`; a negative first digit negates it.
pub fn fixed_table() -> &'static [Affine; 8] {
    static TABLE: LazyLock<[Affine; 8]> = LazyLock::new(|| {
        let bases = fixed_bases();
        std::array::from_fn(|i| {
            let mut sum = Projective::from(bases[0]);
            for (j, base) in bases.iter().enumerate().skip(1) {
                if (i >> (j - 1)) & 1 == 1 { sum -= base } else { sum += base }
            }
            sum.into_affine()
        })
    });
    &TABLE
}

/// Digits of one step, most significant step first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepDigits {
    /// Bit of A: sign of the variable point.
    pub variable_sign: bool,
    /// Bit of A xor bit of B: which variable point.
    pub variable_choice: bool,
    /// Bit of piece 0 of s: sign of the fixed point.
    pub fixed_sign: bool,
    /// Bits of pieces 1..3 xor that of piece 0.
    pub fixed_choice: [bool; 3],
}

/// Digits of the whole chain: `S = (s - 2^64 h + 2^256 - 1) / 2 mod q` in four 64-bit pieces, `(A, B)` as they are.
#[must_use]
pub fn digits(s: &Scalar, a: u64, b: u64) -> Vec<StepDigits> {
    let two_256 = Scalar::from(2u64).pow([256u64]);
    let half = Scalar::from(2u64).inverse().unwrap_or(Scalar::ZERO);
    let offset = start().0 * Scalar::from(1u128 << 64);
    let pieces = ((*s - offset + two_256 - Scalar::ONE) * half).into_bigint().0;
    (0..STEPS)
        .rev()
        .map(|i| {
            let bit = |word: u64| (word >> i) & 1 == 1;
            let [p0, p1, p2, p3] = pieces;
            StepDigits {
                variable_sign: bit(a),
                variable_choice: bit(a) ^ bit(b),
                fixed_sign: bit(p0),
                fixed_choice: [p1, p2, p3].map(|p| bit(p) ^ bit(p0)),
            }
        })
        .collect()
}

/// The two variable points: `Q1 = phi^2(P) = (beta^2 x, y)` and `Q2 = phi(P) - P`; `T = sign * (choice ? Q2 : Q1)` is a
/// digit of `-e P`.
pub fn variable_points(key: &PublicKey) -> [Affine; 2] {
    let beta = endomorphism().beta;
    let q1 = Affine::new_unchecked(beta.square() * key.x, key.y);
    let q2 = (Projective::from(Affine::new_unchecked(beta * key.x, key.y)) - key.affine()).into_affine();
    [q1, q2]
}

/// Verifies.
///
/// # Errors
/// [`SchnorrError::Mismatch`] or [`SchnorrError::Degenerate`].
pub fn verify(purpose: DomainTag, key: &PublicKey, message: &[Fr], signature: &Signature) -> Result<(), SchnorrError> {
    let (a, b) = challenge_halves(&challenge(purpose, signature.r_x, key, message))?;
    let end = chain(key, &digits(&signature.s, a, b))?;
    if end.x == signature.r_x { Ok(()) } else { Err(SchnorrError::Mismatch) }
}

/// Evaluates the chain, refusing exceptional additions.
fn chain(key: &PublicKey, digits: &[StepDigits]) -> Result<Affine, SchnorrError> {
    let variable = variable_points(key);
    let fixed = fixed_table();
    let mut sums = Vec::with_capacity(digits.len());
    for d in digits {
        let t = variable[usize::from(d.variable_choice)];
        let [c1, c2, c3] = d.fixed_choice.map(usize::from);
        let f = fixed[c1 + 2 * c2 + 4 * c3];
        if t.x == f.x {
            return Err(SchnorrError::Degenerate);
        }
        let signed = |negative: bool, p: Affine| if negative { -p } else { p };
        sums.push(Projective::from(signed(!d.variable_sign, t)) + signed(!d.fixed_sign, f));
    }
    let sums = Projective::normalize_batch(&sums);
    let mut acc = Projective::from(start().1);
    for w in &sums {
        if acc.x == w.x * acc.z.square() {
            return Err(SchnorrError::Degenerate);
        }
        acc.double_in_place();
        acc += w;
        if acc.is_zero() {
            return Err(SchnorrError::Degenerate);
        }
    }
    Ok(acc.into_affine())
}

/// The key that signs for empty slots: public knowledge, so that empty and used slots are settled alike.
/// A packet of an empty slot can carry no reading, because its active window is empty.
#[must_use]
pub fn empty_slot_key() -> SecretKey {
    let mut seed = [0u8; 64];
    blake3::Hasher::new_derive_key("gridveil empty slot key v1").finalize_xof().fill(&mut seed);
    SecretKey::from_seed(&seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 64])
    }

    #[test]
    fn endomorphism_matches() {
        let e = endomorphism();
        assert_eq!(e.lambda.square() + e.lambda + Scalar::ONE, Scalar::ZERO);
        let p = key(9).public();
        let image = (p.affine() * e.lambda).into_affine();
        assert_eq!((image.x, image.y), (e.beta * p.x, p.y));
    }

    #[test]
    fn chain_is_the_group_equation() {
        let secret = key(1);
        let p = secret.public();
        for i in 0..20u64 {
            let digest = sponge(DomainTag::Note, &[Fr::from(i)]);
            let (a, b) = challenge_halves(&digest).unwrap();
            let s = Scalar::from(i * 77 + 5).pow([9u64]);
            let e = challenge_scalar(&digest).unwrap();
            let direct = (Projective::generator() * s - p.affine() * e).into_affine();
            assert_eq!(chain(&p, &digits(&s, a, b)).unwrap(), direct);
        }
    }

    #[test]
    fn signs_and_refuses() {
        let message: Vec<Fr> = (0..24u64).map(Fr::from).collect();
        let secret = key(3);
        let signature = secret.sign(DomainTag::Packet, &message).unwrap();
        assert_eq!(secret.sign(DomainTag::Packet, &message).unwrap(), signature);
        assert_eq!(verify(DomainTag::Packet, &secret.public(), &message, &signature), Ok(()));
        let mut other = message.clone();
        other[7] += Fr::ONE;
        assert_eq!(verify(DomainTag::Packet, &secret.public(), &other, &signature), Err(SchnorrError::Mismatch));
        assert_eq!(verify(DomainTag::Packet, &key(4).public(), &message, &signature), Err(SchnorrError::Mismatch));
        assert_eq!(verify(DomainTag::Request, &secret.public(), &message, &signature), Err(SchnorrError::Mismatch));
        let twisted = Signature { s: signature.s + Scalar::ONE, ..signature };
        assert_eq!(verify(DomainTag::Packet, &secret.public(), &message, &twisted), Err(SchnorrError::Mismatch));
        assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
    }

    #[test]
    fn keys_are_checked_and_secret() {
        assert_eq!(PublicKey::new(Fr::from(5u64), Fr::from(6u64)), Err(SchnorrError::OffCurve));
        assert_eq!(PublicKey::new(Fr::ZERO, Fr::ZERO), Err(SchnorrError::OffCurve));
        let p = key(2).public();
        assert_eq!(PublicKey::from_bytes(&p.to_bytes()), Ok(p));
        assert_eq!(SecretKey::from_bytes(&[0; 32]).map(|_| ()), Err(SchnorrError::BadSecret));
        assert!(!format!("{:?} {:?}", key(2), p).contains(&hex::encode(&p.to_bytes()[..4])));
    }

    #[test]
    fn degenerate_chain_is_refused() {
        // Choose P so that Q1 has the x of a fixed table point: the first addition would be exceptional.
        let target = fixed_table()[0];
        let beta_inverse_squared = endomorphism().beta; // beta^-2 = beta
        let p = PublicKey::new(beta_inverse_squared * target.x, target.y).unwrap();
        assert_eq!(chain(&p, &digits(&Scalar::from(3u64), u64::MAX, u64::MAX)), Err(SchnorrError::Degenerate));
    }
}
