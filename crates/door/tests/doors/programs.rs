//! The seeds of the fuzz targets with hostile peers, and random programs of the same kind.

use proptest::prelude::*;

use crate::program;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/");
    let seeds: Vec<_> = std::fs::read_dir(format!("{folder}{target}"))
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty());
    seeds
}

#[test]
fn no_known_program_of_a_hostile_client_disturbs_a_correct_one() {
    seeds("client").iter().for_each(|seed| program::client(seed));
}

#[test]
fn no_known_program_of_a_hostile_server_harms_its_client() {
    seeds("server").iter().for_each(|seed| program::server(seed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_program_of_a_hostile_client_disturbs_a_correct_one(input in prop::collection::vec(any::<u8>(), 0..600)) {
        program::client(&input);
    }

    #[test]
    fn no_program_of_a_hostile_server_harms_its_client(input in prop::collection::vec(any::<u8>(), 0..600)) {
        program::server(&input);
    }
}
