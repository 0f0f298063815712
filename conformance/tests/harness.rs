//! The harness itself, checked against a target that is not ours: what it says about Lintel can then be believed.

use conformance::initiator::{Initiator, SenseCode, Transfer, cdb};
use conformance::random::Random;
use conformance::tgt::{self, Tgt};
use conformance::tools;
use conformance::verify_job::{Region, VerifyJob};

const UNIT_BYTES: u64 = 16 << 20;

fn peer() -> (tempfile::TempDir, Tgt) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("disk");
    std::fs::File::create(&file)
        .and_then(|file| file.set_len(UNIT_BYTES))
        .expect("a disk");
    let peer = Tgt::start(dir.path(), &file).expect("tgt, from the Debian package of this name, and root");
    (dir, peer)
}

#[test]
fn the_small_initiator_and_real_tools_agree_about_a_foreign_target() {
    let (_dir, peer) = peer();
    let targets = Initiator::discover(peer.portal()).expect("discovery");
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert_eq!(targets[0].0, tgt::TARGET);

    let mut initiator = Initiator::login(peer.portal(), tgt::TARGET).expect("login");
    let data = Random::new(3).bytes(1 << 20);
    let blocks = u32::try_from(data.len()).expect("small") / cdb::BLOCK_BYTES;
    let wrote = initiator
        .command_past_attention(tgt::LUN, &cdb::write16(8, blocks, true), Transfer::Out(&data))
        .expect("a status");
    assert!(wrote.is_good(), "{wrote}");
    let read = initiator
        .command(
            tgt::LUN,
            &cdb::read16(8, blocks),
            Transfer::In(blocks * cdb::BLOCK_BYTES),
        )
        .expect("a status");
    assert!(read.is_good() && read.data == data, "{read}");
    let beyond = initiator
        .command(tgt::LUN, &cdb::read16(1 << 40, 1), Transfer::In(512))
        .expect("a status");
    assert!(beyond.has_sense(SenseCode::OUT_OF_RANGE), "{beyond}");
    assert_eq!(
        initiator.ping(b"are you there").expect("an echo"),
        b"are you there"
    );
    initiator.logout().expect("logout");

    let url = tools::url(peer.portal(), tgt::TARGET, tgt::LUN);
    assert_eq!(tools::iscsi_capacity(&url).expect("capacity"), UNIT_BYTES);
    assert!(
        tools::iscsi_ls(peer.portal())
            .expect("a list")
            .contains(tgt::TARGET)
    );
}

#[test]
fn many_commands_outstanding_all_come_back() {
    let (_dir, peer) = peer();
    let mut initiator = Initiator::login(peer.portal(), tgt::TARGET).expect("login");
    initiator
        .command_past_attention(tgt::LUN, &cdb::TEST_UNIT_READY, Transfer::None)
        .expect("a status");
    let mut tags: Vec<u32> = (0..100)
        .map(|lba| {
            initiator
                .submit(tgt::LUN, &cdb::read16(lba, 8), Transfer::In(4096))
                .expect("sent")
        })
        .collect();
    while !tags.is_empty() {
        let (tag, outcome) = initiator.wait_any().expect("an answer");
        assert!(outcome.is_good() && outcome.data.len() == 4096, "{outcome}");
        let place = tags
            .iter()
            .position(|waiting| *waiting == tag)
            .expect("one of ours, once");
        tags.swap_remove(place);
    }
}

#[test]
fn a_verify_job_runs_and_reports() {
    let (dir, peer) = peer();
    let url = tools::url(peer.portal(), tgt::TARGET, tgt::LUN);
    let region = Region {
        offset: 1 << 20,
        length: 1 << 20,
    };
    let mut job = VerifyJob::start(&url, region, &dir.path().join("job.log")).expect("qemu-io");
    job.advance(5).expect("rounds");
    let report = job.stop().expect("no mismatch");
    assert!(report.rounds >= 5 && !report.longest.is_zero(), "{report:?}");
}

#[test]
fn a_verify_job_notices_a_write_that_fails() {
    let (dir, peer) = peer();
    let url = tools::url(peer.portal(), tgt::TARGET, tgt::LUN);
    let beyond_the_end = Region {
        offset: UNIT_BYTES,
        length: 1 << 20,
    };
    let mut job = VerifyJob::start(&url, beyond_the_end, &dir.path().join("job.log")).expect("qemu-io");
    assert!(job.advance(1).is_err(), "a write beyond the end must be reported");
}
