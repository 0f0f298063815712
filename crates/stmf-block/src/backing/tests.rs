use super::*;
use crate::metadata::Owner;

fn metadata() -> Metadata {
    Metadata {
        guid: "600144F0C73AB8000000549B00010001".to_owned(),
        data_file: String::new(),
        separate: false,
        size_bytes: 0,
        block_size: 512,
        alias: "disk".to_owned(),
        vendor: "LINTEL".to_owned(),
        product: "STMF".to_owned(),
        serial: Some("S1".to_owned()),
        management_url: None,
        write_protect: false,
        write_cache_disable: false,
        owner: Owner { epoch: 1, node: 0 },
    }
}

fn spec(directory: &Path, size_bytes: Option<u64>) -> CreateSpec {
    CreateSpec {
        data_file: directory.join("disk"),
        metadata_file: None,
        size_bytes,
        metadata: metadata(),
    }
}

#[test]
fn what_was_created_is_found_again_with_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let backing = Backing::create(spec(directory.path(), Some(2 << 20))).unwrap();
    backing
        .write(4096, &[b"hello".as_slice(), b" world"], true)
        .unwrap();
    drop(backing);
    let again = Backing::open(&directory.path().join("disk")).unwrap();
    assert_eq!(again.size_bytes(), 2 << 20);
    assert_eq!(again.metadata().serial.as_deref(), Some("S1"));
    let mut text = [0; 11];
    again.read(4096, &mut text).unwrap();
    assert_eq!(&text, b"hello world");
}

#[test]
fn a_separate_metadata_file_leaves_the_data_file_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("disk");
    std::fs::write(&data, vec![7_u8; 1 << 20]).unwrap();
    let meta = directory.path().join("meta");
    let create = CreateSpec {
        data_file: data.clone(),
        metadata_file: Some(meta.clone()),
        size_bytes: None,
        metadata: metadata(),
    };
    drop(Backing::create(create).unwrap());
    assert!(std::fs::read(&data).unwrap().iter().all(|&byte| byte == 7));
    let mut first = [0; 1];
    Backing::open(&meta).unwrap().read(0, &mut first).unwrap();
    assert_eq!(first, [7]);
    assert!(matches!(Backing::open(&data), Err(OpenError::Metadata { .. })));
}

#[test]
fn st_140_sizes_and_block_sizes_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    for size in [(1 << 20) - 512, (1 << 20) + 1] {
        assert!(matches!(
            Backing::create(spec(directory.path(), Some(size))),
            Err(OpenError::Size { .. })
        ));
        assert!(
            !directory.path().join("disk").exists(),
            "a refused create leaves nothing behind"
        );
    }
    let mut odd = spec(directory.path(), Some(1 << 20));
    odd.metadata.block_size = 500;
    assert!(matches!(Backing::create(odd), Err(OpenError::Size { .. })));
    Backing::create(spec(directory.path(), Some(1 << 20))).unwrap();
}

#[test]
fn a_store_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let backing = Backing::create(spec(directory.path(), Some(1 << 20))).unwrap();
    let path = directory.path().join("disk");
    assert!(matches!(Backing::open(&path), Err(OpenError::InUse { .. })));
    drop(backing);
    Backing::open(&path).unwrap();
}

#[test]
fn reads_of_the_page_cache_and_of_the_disk_agree() {
    let directory = tempfile::tempdir().unwrap();
    let backing = Backing::create(spec(directory.path(), Some(1 << 20))).unwrap();
    backing.write(8192, &[[0xa5_u8; 512]], false).unwrap();
    let mut slow = [0; 1024];
    backing.read(7680, &mut slow).unwrap();
    let mut fast = [1; 1024];
    if let Now::Done(result) = backing.read_now(7680, &mut fast) {
        result.unwrap();
        assert_eq!(fast, slow);
    }
    assert_eq!((slow[511], slow[512]), (0, 0xa5));
}

#[test]
fn unmap_write_same_and_compare_do_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let backing = Backing::create(spec(directory.path(), Some(2 << 20))).unwrap();
    backing.write_same(512, 1 << 20, &[3; 512]).unwrap();
    let full = vec![3_u8; 1 << 20];
    backing.compare(512, &[&full]).unwrap();
    backing.unmap(4096, 4096).unwrap();
    assert_eq!(
        backing.compare(512, &[&full]),
        Err(MediumFault::Miscompare { offset: 4096 - 512 })
    );
    backing.write_same(0, 2 << 20, &[0; 512]).unwrap();
    backing.compare(0, &[vec![0_u8; 2 << 20]]).unwrap();
    backing.verify(0, 2 << 20).unwrap();
}

#[test]
fn metadata_changes_survive_a_reopen() {
    let directory = tempfile::tempdir().unwrap();
    let backing = Backing::create(spec(directory.path(), Some(1 << 20))).unwrap();
    backing
        .update_metadata(|m| m.owner = Owner { epoch: 9, node: 1 })
        .unwrap();
    drop(backing);
    let owner = Backing::peek(&directory.path().join("disk")).unwrap().owner;
    assert_eq!(owner, Owner { epoch: 9, node: 1 });
}
