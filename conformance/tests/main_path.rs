//! The sentence everything hangs on: an initiator that is connected only to the standby node reads and writes the
//! disk, and every byte went through a door.

use conformance::image;
use conformance::initiator::{Initiator, Transfer, cdb};
use conformance::tools;
use conformance::verify_job::{Region, VerifyJob};
use conformance::{NodeId, Pair};

const MIB: u64 = 1 << 20;
const IMAGE_BYTES: u64 = 24 * MIB;
const UNIT_BYTES: u64 = 40 * MIB;

#[test]
fn an_ext4_image_written_through_the_standby_is_read_back_through_the_active_node_in_both_roles() {
    let pair = Pair::start().expect("a pair");
    let unit = pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    for (standby, seed) in [(NodeId::B, 11), (NodeId::A, 12)] {
        if standby == NodeId::A {
            pair.failover(&unit, NodeId::B).expect("planned switch");
        }
        let (source, back) = (pair.dir().join("source"), pair.dir().join("back"));
        image::make_ext4(&source, IMAGE_BYTES, 60, seed).expect("mke2fs");
        let posts_before = pair.node(standby.peer()).counter("post_bytes").expect("counter");
        tools::write_image(&source, &pair.node(standby).url(0)).expect("qemu-img through the standby");
        let posts_after = pair.node(standby.peer()).counter("post_bytes").expect("counter");
        let allocated = 4 * MIB; // what 60 files of about 30,000 bytes need at the very least is 1 MiB
        assert!(
            posts_after - posts_before > allocated / 4,
            "the data did not come through the door"
        );
        tools::read_image(&pair.node(standby.peer()).url(0), &back)
            .expect("qemu-img through the active node");
        assert_eq!(
            image::sha256(&source, IMAGE_BYTES).expect("digest"),
            image::sha256(&back, IMAGE_BYTES).expect("digest"),
            "standby was {standby:?}"
        );
        image::truncate(&back, IMAGE_BYTES).expect("cut to the image");
        image::check_ext4(&back).expect("e2fsck");
    }
}

#[test]
fn verify_jobs_on_both_portals_go_on_through_planned_switches() {
    let pair = Pair::start().expect("a pair");
    let unit = pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut jobs: Vec<VerifyJob> = [NodeId::A, NodeId::B]
        .into_iter()
        .enumerate()
        .map(|(number, id)| {
            let region = Region {
                offset: number as u64 * 8 * MIB,
                length: 2 * MIB,
            };
            let node = pair.node(id);
            VerifyJob::start(&node.url(0), region, &node.dir().join("job.log")).expect("qemu-io")
        })
        .collect();
    for owner in [NodeId::B, NodeId::A, NodeId::B, NodeId::A] {
        jobs.iter_mut().for_each(|job| job.advance(5).expect("no error"));
        pair.failover(&unit, owner).expect("planned switch");
    }
    for job in &mut jobs {
        job.advance(5).expect("no error");
        let report = job.stop().expect("no error and no mismatch");
        assert!(report.rounds >= 25, "{report:?}");
    }
}

#[test]
fn large_and_odd_transfers_through_the_standby_arrive_whole() {
    let pair = Pair::start().expect("a pair");
    pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut standby = Initiator::login(pair.b().portal(), pair.b().target()).expect("login");
    let mut active = Initiator::login(pair.a().portal(), pair.a().target()).expect("login");
    for (number, blocks) in [1_u32, 7, 8, 129, 2048, 8192].into_iter().enumerate() {
        let lba = 10_000 * number as u64;
        let data = conformance::random::Random::new(lba + 5).bytes((blocks * cdb::BLOCK_BYTES) as usize);
        let write = cdb::write16(lba, blocks, false);
        let wrote = standby
            .command_past_attention(0, &write, Transfer::Out(&data))
            .expect("a status");
        assert!(wrote.is_good(), "{blocks} blocks: {wrote}");
        for (name, session) in [("active", &mut active), ("standby", &mut standby)] {
            let bytes = blocks * cdb::BLOCK_BYTES;
            let read = session
                .command_past_attention(0, &cdb::read16(lba, blocks), Transfer::In(bytes))
                .expect("a status");
            assert!(read.is_good(), "{blocks} blocks through the {name} node: {read}");
            assert!(
                read.data == data,
                "{blocks} blocks differ through the {name} node"
            );
        }
    }
}

#[test]
fn tools_see_the_same_disk_on_both_portals() {
    let pair = Pair::start().expect("a pair");
    pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut pages = Vec::new();
    for node in [pair.a(), pair.b()] {
        let list = tools::iscsi_ls(node.portal()).expect("iscsi-ls -s");
        assert!(list.contains(node.target()), "{list}");
        assert_eq!(tools::iscsi_capacity(&node.url(0)).expect("capacity"), UNIT_BYTES);
        pages.push((
            tools::iscsi_inq(&node.url(0), None).expect("standard data"),
            tools::iscsi_inq(&node.url(0), Some(0x80)).expect("serial number page"),
            tools::iscsi_inq(&node.url(0), Some(0xb0)).expect("block limits page"),
        ));
    }
    assert_eq!(pages[0], pages[1], "both nodes must describe one disk");
    tools::qemu_io(
        &pair.b().url(0),
        &["write -P 0x5a 0 1M", "flush", "read -P 0x5a 0 1M"],
    )
    .expect("standby");
    tools::qemu_io(
        &pair.a().url(0),
        &["read -P 0x5a 0 1M", "write -z 0 64k", "read -P 0 0 64k"],
    )
    .expect("active");
    tools::qemu_io(&pair.b().url(0), &["read -P 0 0 64k", "read -P 0x5a 64k 64k"]).expect("standby");
}
