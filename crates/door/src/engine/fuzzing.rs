//! What fuzzers may put anything into (feature `fuzzing`; `cargo xtask fuzz`), and the same as ordinary tests.
//!
//! Peers that write to a link's memory and sockets while calls run are in the tests, `tests/doors/programs.rs`: they need nothing from here.

use super::identity::parse_status;
use super::layout::{Progress, Verdict};
use super::path::server_id_in;
use super::wire::{Answer, Counters, Note, Request, Status};

/// Records of the sockets: whatever is understood means the same when it is written down again.
pub fn records(input: &[u8]) {
    if let Some(request) = Request::decode(input) {
        assert_eq!(Request::decode(&request.encode()), Some(request));
    }
    if let Some(answer) = Answer::decode(input) {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
    if let Some(told) = Counters::decode(input) {
        assert!(Counters::decode(&Counters::encode(&told)).is_some_and(|again| again == told));
    }
    if let Some(note) = Note::decode(input) {
        assert!(note.lane < 64);
        assert_eq!(Note::decode(&note.encode()), Some(note));
    }
}

/// The name a listener was bound to.
pub fn bound_name(input: &[u8]) {
    if let Some(id) = server_id_in(input) {
        assert!(id != 0 && id < 1 << 40);
    }
}

/// The text of a process's status file.
pub fn status_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some((ids, groups)) = parse_status(&text, 7) {
        assert_eq!(ids.pid, 7);
        // Each takes a digit and something between.
        assert!(groups.len() <= text.len());
    }
}

/// Words of a lane that mean more than a number.
pub fn words(input: &[u8]) {
    let Some((head, rest)) = input.split_first_chunk::<8>() else {
        return;
    };
    let Some((seq, rest)) = rest.split_first_chunk::<4>() else {
        return;
    };
    let (word, seq) = (u64::from_le_bytes(*head), u32::from_le_bytes(*seq));
    let offer = rest.first().copied().unwrap_or(0).into();
    let bytes = Progress::bytes(word, seq);
    assert!(bytes as u64 <= Progress::MAX);
    assert!(bytes == 0 || Progress::of(seq, bytes) == word);
    let verdict = Verdict { seq, offer };
    assert!(
        verdict
            .in_word(word)
            .is_none_or(|stands| verdict.word(stands) == word)
    );
    assert!(Status::from_word(seq).is_none_or(|status| status as u32 == seq));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The seeds of a fuzz target.
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
    fn the_seeds_of_the_fuzz_targets_do_no_harm() {
        seeds("records").iter().for_each(|seed| records(seed));
        seeds("bound_name").iter().for_each(|seed| bound_name(seed));
        seeds("status_file").iter().for_each(|seed| status_file(seed));
        seeds("words").iter().for_each(|seed| words(seed));
    }

    proptest! {
        #[test]
        fn any_record_is_refused_or_means_the_same_again(
            head in prop::sample::select(seeds("records")),
            change in prop::collection::vec((0usize..104, any::<u8>()), 0..4),
        ) {
            let mut record = head;
            for (at, byte) in change {
                if let Some(place) = record.get_mut(at) {
                    *place = byte;
                }
            }
            records(&record);
        }

        #[test]
        fn any_name_and_any_status_file_is_read_without_harm(
            text in "(Uid|Gid|Groups|[a-z]{0,4}):[\t 0-9a-z\n]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            status_file(text.as_bytes());
            status_file(&bytes);
            bound_name(&[b"/x/.door.", &bytes[..]].concat());
        }

        #[test]
        fn any_word_says_something_about_its_own_request_only(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
            words(&bytes);
        }
    }
}
