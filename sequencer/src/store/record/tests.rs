use super::*;

#[test]
fn an_unknown_kind_and_another_form_are_refused() {
    assert!(Event::decode(99, b"{}").is_err());
    assert!(Event::decode(kind::PACKET, b"{}").is_err());
}
