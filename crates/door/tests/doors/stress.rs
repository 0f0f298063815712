//! Many threads of many processes at once.

use std::path::Path;
use std::sync::Arc;

use door::DoorHandle;

use crate::support::{Process, Server, call, call_with, file_with, pattern, say, text_of};

const THREADS: u64 = 8;
const CALLS: u64 = 1500;

#[test]
fn every_call_of_eight_threads_in_four_processes_gets_its_own_answer() {
    let server = Server::start();
    let mut clients: Vec<Process> = (0..4)
        .map(|_| Process::start("hammer", server.directory.path()))
        .collect();
    for client in &mut clients {
        assert!(client.finished_well());
    }
}

/// Role: calls from eight threads, of all sizes, and checks every byte.
pub(crate) fn hammer(directory: &Path) {
    let echo = Arc::new(DoorHandle::open(directory.join("echo")).unwrap());
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let echo = Arc::clone(&echo);
            std::thread::spawn(move || {
                for round in 0..CALLS {
                    let seed = u64::from(std::process::id()) << 32 | thread << 24 | round;
                    let len = match round % 64 {
                        0 => 300_000,
                        1 => 70_000,
                        2..8 => 8192,
                        8..20 => 1000,
                        _ => (seed % 200) as usize,
                    };
                    let sent = pattern(len, seed);
                    if round % 50 == 7 {
                        let answer = call_with(&echo, &sent, vec![file_with(&seed.to_string())]).unwrap();
                        assert!(answer.data() == sent);
                        assert_eq!(
                            text_of(answer.into_descriptors().remove(0).into_fd()),
                            seed.to_string()
                        );
                    } else {
                        assert!(
                            call(&echo, &sent).unwrap().data() == sent,
                            "thread {thread} round {round}"
                        );
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    say("done");
}
