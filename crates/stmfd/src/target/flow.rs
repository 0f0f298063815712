//! The way of a command through this node: decide, fetch data, use the store or the peer, answer.

use super::Target;
use super::job::{Job, Progress, Reply, Wanted};
use super::lu::{Counters, Lu};
use bytes::Bytes;
use std::sync::Arc;
use stmf_block::backing::Now;
use stmf_block::{Backing, MediumFault};
use stmf_core::{Action, LuEvent, MediumError, MediumOp, Response, Status, UnitAttention};

/// Reads up to this size are tried at once from the page cache; larger ones go to a thread right away.
const INLINE_READ_BYTES: u32 = 1 << 20;

impl Target {
    /// Takes a command as far as it goes without waiting.
    pub(crate) fn start(self: &Arc<Self>, mut job: Job) -> Progress {
        let pair = self.pair();
        let lu = Arc::clone(&job.lu);
        let mut inner = lu.lock();
        if job.task.is_none() {
            let epoch = inner.epoch;
            job.task = Some(inner.tasks.begin(job.nexus.id, job.tag, epoch));
            Counters::add(&lu.counters.commands, 1);
        }
        let command = job.command(&pair);
        let mut action = inner.core.execute(&command);
        if let (Action::DataOut { length, then }, Some(data)) = (&action, &job.data) {
            let flat = if then.needs_contents() {
                flatten(data, *length)
            } else {
                Vec::new()
            };
            let Action::DataOut { then, .. } = action else {
                unreachable!("matched above")
            };
            action = inner.core.resume(then, &flat, &command);
        }
        let events = inner.core.take_events();
        if !events.is_empty() {
            self.carry_on(&lu, &events);
        }
        match action {
            Action::Respond(response) => {
                let (deliver, ready) = job.task.take().map_or((false, Vec::new()), |t| inner.end_task(t));
                drop(inner);
                super::lu::run(ready);
                if response.unit_attention() == Some(UnitAttention::ReportedLunsChanged) {
                    // Told once a session, whichever logical unit says it.
                    job.nexus
                        .luns()
                        .units
                        .values()
                        .for_each(|lu| lu.lock().luns_reported(job.nexus.id));
                }
                if deliver {
                    Progress::Done(job, reply(&lu, response, None))
                } else {
                    Progress::Swallowed
                }
            }
            Action::DataOut { length, then } => Progress::NeedData(
                job,
                Wanted {
                    length,
                    transfer_length: then.transfer_length(),
                },
            ),
            Action::Hold => {
                inner.held.push(job);
                Progress::Pending
            }
            Action::Proxy => {
                drop(inner);
                if job.expected_out > 0 && job.data.is_none() {
                    let length = job.expected_out;
                    return Progress::NeedData(
                        job,
                        Wanted {
                            length,
                            transfer_length: u64::from(length),
                        },
                    );
                }
                Counters::add(&lu.counters.proxied, 1);
                self.proxy().forward(job);
                Progress::Pending
            }
            Action::Medium(op) => {
                let Some(backing) = inner.backing.clone() else {
                    let response = inner.core.medium_done(&op, Err(MediumError::Gone));
                    drop(inner);
                    return self.finish(job, reply(&lu, response, None));
                };
                inner.in_store += 1;
                drop(inner);
                self.use_store(job, op, backing)
            }
        }
    }

    /// Starts a command and answers it through its origin, however far it gets.
    pub(crate) fn drive(self: &Arc<Self>, job: Job) {
        match self.start(job) {
            Progress::Done(job, reply) => job.answer(reply),
            Progress::NeedData(job, wanted) => job.request_data(wanted),
            Progress::Pending | Progress::Swallowed => {}
        }
    }

    /// Ends the task of an answered command, unless it was aborted meanwhile.
    pub(crate) fn finish(&self, mut job: Job, reply: Reply) -> Progress {
        let deliver = job.task.take().is_some_and(|task| job.lu.end_task(task));
        if deliver {
            Progress::Done(job, reply)
        } else {
            Progress::Swallowed
        }
    }

    fn use_store(self: &Arc<Self>, job: Job, op: MediumOp, backing: Arc<Backing>) -> Progress {
        if let MediumOp::Read { offset, length } = op
            && length <= INLINE_READ_BYTES
        {
            let mut buffer = vec![0_u8; length as usize];
            if let Now::Done(result) = backing.read_now(offset, &mut buffer) {
                drop(backing);
                let lu = Arc::clone(&job.lu);
                let reply = self.store_done(&lu, &op, result, Some(buffer));
                return self.finish(job, reply);
            }
        }
        let target = Arc::clone(self);
        self.disk_threads.run(move || {
            let lu = Arc::clone(&job.lu);
            let (result, data) = perform(&backing, &op, job.data.as_deref().unwrap_or_default());
            drop(backing);
            let reply = target.store_done(&lu, &op, result, data);
            if let Progress::Done(job, reply) = target.finish(job, reply) {
                job.answer(reply);
            }
        });
        Progress::Pending
    }

    fn store_done(
        &self,
        lu: &Arc<Lu>,
        op: &MediumOp,
        result: Result<(), MediumFault>,
        data: Option<Vec<u8>>,
    ) -> Reply {
        count(lu, op);
        let response = lu.lock().core.medium_done(op, result.map_err(medium_error));
        lu.leave_store();
        reply(lu, response, data)
    }

    /// What a command changed beyond its answer: a saved cache setting is kept with the data.
    fn carry_on(&self, lu: &Arc<Lu>, events: &[LuEvent]) {
        for event in events {
            let LuEvent::WriteCacheSaved(enabled) = *event else {
                continue;
            };
            let lu = Arc::clone(lu);
            self.disk_threads.run(move || {
                let backing = lu.lock().backing.clone();
                let kept = backing.map(|b| b.update_metadata(|m| m.write_cache_disable = !enabled));
                if let Some(Err(error)) = kept {
                    tracing::warn!(guid = %lu.guid, %error, "the saved cache setting was not kept");
                }
            });
        }
    }

    /// Room in memory for a command's data; a command without room is answered TASK SET FULL.
    pub(crate) fn reserve(&self, job: &mut Job) -> bool {
        let bytes = job.expected_in as usize + job.expected_out as usize;
        job.reserved = self.budget.reserve(bytes.min(super::MAXIMUM_TRANSFER_BYTES));
        job.reserved.is_some()
    }
}

fn perform(backing: &Backing, op: &MediumOp, pieces: &[Bytes]) -> (Result<(), MediumFault>, Option<Vec<u8>>) {
    match op {
        MediumOp::Read { offset, length } => {
            let mut buffer = vec![0_u8; *length as usize];
            let result = backing.read(*offset, &mut buffer);
            (result, Some(buffer))
        }
        MediumOp::Write { offset, length, fua } => {
            let pieces = cut(pieces, *length as usize);
            (backing.write(*offset, &pieces, *fua), None)
        }
        MediumOp::WriteVerify {
            offset,
            length,
            compare,
        } => {
            let pieces = cut(pieces, *length as usize);
            let written = backing.write(*offset, &pieces, true);
            let checked = written.and_then(|()| match compare {
                true => backing.compare(*offset, &pieces),
                false => backing.verify(*offset, u64::from(*length)),
            });
            (checked, None)
        }
        MediumOp::WriteSame {
            offset,
            length,
            block,
            unmap,
            fua,
        } => {
            let done = match unmap {
                true => backing.unmap(*offset, *length),
                false => backing.write_same(*offset, *length, block),
            };
            (
                done.and_then(|()| if *fua { backing.flush() } else { Ok(()) }),
                None,
            )
        }
        MediumOp::Unmap(extents) => {
            let result = extents.iter().try_for_each(|e| backing.unmap(e.offset, e.length));
            (result, None)
        }
        MediumOp::Flush => (backing.flush(), None),
        MediumOp::Verify { offset, length } => (backing.verify(*offset, u64::from(*length)), None),
        MediumOp::Compare { offset, length } => {
            let pieces = cut(pieces, *length as usize);
            (backing.compare(*offset, &pieces), None)
        }
    }
}

/// The first `length` bytes of the pieces.
fn cut(pieces: &[Bytes], mut length: usize) -> Vec<Bytes> {
    let mut kept = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let n = piece.len().min(length);
        kept.push(piece.slice(..n));
        length -= n;
    }
    kept
}

fn flatten(pieces: &[Bytes], length: u32) -> Vec<u8> {
    let mut flat = Vec::with_capacity(length as usize);
    for piece in cut(pieces, length as usize) {
        flat.extend_from_slice(&piece);
    }
    flat
}

fn medium_error(fault: MediumFault) -> MediumError {
    match fault {
        MediumFault::Read => MediumError::Read,
        MediumFault::Write => MediumError::Write,
        MediumFault::NoSpace => MediumError::NoSpace,
        MediumFault::Miscompare { offset } => MediumError::Miscompare { offset },
    }
}

fn count(lu: &Lu, op: &MediumOp) {
    match op {
        MediumOp::Read { length, .. } => {
            Counters::add(&lu.counters.reads, 1);
            Counters::add(&lu.counters.read_bytes, u64::from(*length));
        }
        MediumOp::Write { length, .. } | MediumOp::WriteVerify { length, .. } => {
            Counters::add(&lu.counters.writes, 1);
            Counters::add(&lu.counters.write_bytes, u64::from(*length));
        }
        MediumOp::WriteSame { .. }
        | MediumOp::Unmap(_)
        | MediumOp::Flush
        | MediumOp::Verify { .. }
        | MediumOp::Compare { .. } => {}
    }
}

/// The wire form of an answer; `data` is what the store gave.
fn reply(lu: &Lu, response: Response, data: Option<Vec<u8>>) -> Reply {
    if response.sense.is_some() {
        Counters::add(&lu.counters.check_conditions, 1);
    }
    wire(response, data)
}

/// The wire form of an answer; `data` is what the store gave, if the answer is good.
pub(super) fn wire(response: Response, data: Option<Vec<u8>>) -> Reply {
    let (sense, transfer_length) = (response.sense_bytes(), response.transfer_length);
    let good = response.status == Status::Good;
    let data = match data {
        Some(data) if good => data,
        _ => response.data,
    };
    Reply {
        status: response.status.code(),
        sense,
        transfer_length,
        data: if data.is_empty() {
            Vec::new()
        } else {
            vec![Bytes::from(data)]
        },
    }
}
