use super::*;

#[test]
fn parts_open_only_under_their_own_key_label_and_master() {
    let dir = tempfile::tempdir().unwrap();
    let master = dir.path().join("master");
    create_master_key(&master).unwrap();
    assert!(create_master_key(&master).is_err());
    let keys = dir.path().join("keys");
    let data_keys = DataKeys::open(&keys, &master, [1; 16]).unwrap();
    data_keys.create(5, 4).unwrap();
    assert!(matches!(data_keys.create(5, 4), Err(DataKeyError::KeyFile { why: "is in use", .. })));
    let label = Label { kind: 2, community: 5, part: 3, first_interval: Interval(7) };
    let sealed = data_keys.seal(&label, 0, b"a reading").unwrap();
    assert!(!sealed.ciphertext.windows(5).any(|w| w == b"a rea"));
    let again = DataKeys::open(&keys, &master, [1; 16]).unwrap();
    again.load(5, 4, &BTreeSet::new()).unwrap();
    assert_eq!(again.open_part(&label, &sealed).unwrap().as_slice(), b"a reading");
    for other in [
        Label { kind: 3, ..label },
        Label { part: 2, ..label },
        Label { first_interval: Interval(8), ..label },
        Label { part: COMMUNITY_PART, ..label },
    ] {
        assert!(matches!(again.open_part(&other, &sealed), Err(DataKeyError::Sealed { .. })));
    }
    assert!(matches!(again.open_part(&Label { community: 6, ..label }, &sealed), Err(DataKeyError::NoKey { .. })));
    assert!(DataKeys::open(&keys, &master, [2; 16]).unwrap().load(5, 4, &BTreeSet::new()).is_err());
    let other_master = dir.path().join("other");
    create_master_key(&other_master).unwrap();
    assert!(matches!(
        DataKeys::open(&keys, &other_master, [1; 16]).unwrap().load(5, 4, &BTreeSet::new()),
        Err(DataKeyError::KeyFile { .. })
    ));
}

#[test]
fn a_master_key_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let master = dir.path().join("master");
    create_master_key(&master).unwrap();
    std::fs::set_permissions(&master, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(DataKeys::open(dir.path(), &master, [0; 16]), Err(DataKeyError::Master(_))));
}
