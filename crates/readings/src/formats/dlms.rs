//! DLMS/COSEM push: what many meters of the Nordic countries, Austria and Switzerland send. It is recognised and refused: the
//! one permissive crate, `dlms_cosem` 0.2, panics at a data type or message that it does not know, and what the values
//! of a push mean is agreed on apart for every network operator.

use crate::SourceError;

/// First byte of a Data-Notification, the message of a push in the clear.
const DATA_NOTIFICATION: u8 = 0x0f;
/// First byte of a message that is ciphered for the household.
const CIPHERED: u8 = 0xdb;

/// The message inside its frame, if the bytes begin as a push does.
fn message(bytes: &[u8]) -> Option<(&'static str, &[u8])> {
    match bytes {
        // HDLC: flag, format type 3, and after addresses and checksum the header of the LLC.
        [0x7e, format, ..] if format & 0xf0 == 0xa0 => {
            let head = bytes.get(..32).unwrap_or(bytes);
            let llc = head.windows(3).position(|w| matches!(w, [0xe6, 0xe6 | 0xe7, 0]))?;
            Some(("HDLC", bytes.get(llc + 3..)?))
        }
        // Wired M-Bus: a long frame says its length twice; then control, address, control information, two addresses.
        [0x68, length, again, 0x68, ..] if length == again && *length > 5 => Some(("M-Bus", bytes.get(9..)?)),
        [0, 1, ..] => Some(("a wrapper", bytes.get(8..)?)),
        [DATA_NOTIFICATION | CIPHERED, ..] => Some(("no frame", bytes)),
        _ => None,
    }
}

/// Refuses a capture of a push.
pub(super) fn refusal(bytes: &[u8]) -> Option<SourceError> {
    let (frame, message) = message(bytes)?;
    let what = match message {
        [DATA_NOTIFICATION, ..] => "in the clear",
        [CIPHERED, 8, ..] => "ciphered",
        _ => return None,
    };
    Some(SourceError::NotRead(format!(
        "a capture of DLMS/COSEM push ({frame}), {what}: it is not read, as what its values mean is each network operator's own. \
         Take the file of the operator's portal, or an adapter that writes P1"
    )))
}

#[cfg(test)]
mod tests {
    use crate::{Choice, SourceError, read};

    #[test]
    fn a_push_is_recognised_and_refused() {
        let notification = [0x0f, 0, 0, 0, 1, 0x0c, 7, 0xea, 1, 0x12, 7, 12, 0, 0, 0, 0, 0, 0, 2, 1, 6, 0, 0, 0, 5];
        let hdlc = [&[0x7e, 0xa0, 0x2b, 0xcf, 2, 0x23, 0x13, 0x9b, 0xe6, 0xe7, 0][..], &notification].concat();
        let mbus = [&[0x68, 0xfa, 0xfa, 0x68, 0x53, 0xff, 0, 1, 0x67][..], &[0xdb, 8, 1, 2, 3]].concat();
        let wrapped = [&[0, 1, 0, 1, 0, 16, 0, 25][..], &notification].concat();
        for (bytes, words) in [
            (&notification[..], ["no frame", "in the clear"]),
            (&hdlc, ["HDLC", "in the clear"]),
            (&mbus, ["M-Bus", "ciphered"]),
            (&wrapped, ["a wrapper", "in the clear"]),
        ] {
            let error = read(bytes, &Choice::default()).unwrap_err();
            assert!(matches!(&error, SourceError::NotRead(why) if words.iter().all(|w| why.contains(w))), "{error}");
        }
        // What only begins alike goes on to the other formats.
        for bytes in [&[0x7e, 0x20, 5, 5][..], b"~\xa0", &[0x68, 1, 1, 0x68], &[0xdb, 9], &[0, 1]] {
            let error = read(bytes, &Choice::default()).unwrap_err();
            assert!(!error.to_string().contains("DLMS"), "{error}");
        }
    }
}
