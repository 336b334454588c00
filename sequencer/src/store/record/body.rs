//! A record's body: its public part, then its sealed parts, each with its length (`docs/spec/log.md`, Body).

use super::{RecordError, Sealed};

/// Writes a body.
#[must_use]
pub fn encode_body(public: &[u8], sealed: &[Sealed]) -> Vec<u8> {
    let mut out = Vec::with_capacity(public.len() + 6 + sealed.iter().map(|s| s.ciphertext.len() + 38).sum::<usize>());
    out.extend(u32::try_from(public.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(public);
    out.extend(u16::try_from(sealed.len()).unwrap_or(u16::MAX).to_be_bytes());
    for part in sealed {
        out.extend(part.community.to_be_bytes());
        out.extend(part.part.to_be_bytes());
        out.extend(part.generation.to_be_bytes());
        out.extend(u32::try_from(part.ciphertext.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(part.nonce);
        out.extend(&part.ciphertext);
    }
    out
}

/// Splits a body into its public part and its sealed parts.
///
/// # Errors
/// [`RecordError`] where the lengths do not add up.
pub fn decode_body(record_kind: u16, body: &[u8]) -> Result<(&[u8], Vec<Sealed>), RecordError> {
    let mut rest = body;
    split_body(&mut rest)
        .filter(|_| rest.is_empty())
        .ok_or(RecordError { kind: record_kind, why: "has lengths that do not add up" })
}

fn split_body<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Vec<Sealed>)> {
    let length = u32::from_be_bytes(take(rest)?);
    let public = take_slice(rest, length)?;
    let count = u16::from_be_bytes(take(rest)?);
    let sealed = (0..count)
        .map(|_| {
            let community = u32::from_be_bytes(take(rest)?);
            let part = u16::from_be_bytes(take(rest)?);
            let generation = u32::from_be_bytes(take(rest)?);
            let length = u32::from_be_bytes(take(rest)?);
            let nonce = take(rest)?;
            Some(Sealed { community, part, generation, nonce, ciphertext: take_slice(rest, length)?.to_vec() })
        })
        .collect::<Option<Vec<_>>>()?;
    Some((public, sealed))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_round_trip_and_cut_bodies_are_refused() {
        let sealed = vec![Sealed { community: 5, part: 2, generation: 0, nonce: [4; 24], ciphertext: vec![9; 33] }];
        let body = encode_body(b"{}", &sealed);
        assert_eq!(decode_body(2, &body).unwrap(), (&b"{}"[..], sealed));
        for cut in 0..body.len() {
            assert!(decode_body(2, &body[..cut]).is_err());
        }
    }
}
