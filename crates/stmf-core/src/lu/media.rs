//! Commands that touch the medium. SBC-3 r36 clause 5.

use alloc::vec;
use alloc::vec::Vec;

use scsi_proto::Sense;
use scsi_proto::cdb::{ByteCheck, Cdb, SynchronizeCache, Transfer, Unmap, Verify, WriteSame};
use scsi_proto::unmap::{BlockRange, UnmapListError, parse_unmap_list};

use super::{LogicalUnit, MAX_TRANSFER_BYTES};
use crate::action::{Action, AfterData, Extent, MediumOp, Response, Step};
use crate::command::Command;

/// MAXIMUM WRITE SAME LENGTH, in bytes.
pub(super) const MAX_WRITE_SAME_BYTES: u64 = 64 << 20;
/// MAXIMUM UNMAP LBA COUNT, in bytes, of all descriptors of one command together.
pub(super) const MAX_UNMAP_BYTES: u64 = 512 << 20;
/// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT.
pub(super) const MAX_UNMAP_DESCRIPTORS: u32 = 256;

impl LogicalUnit {
    /// The bytes of data a CDB moves between initiator and medium, whatever the transport announced: for a command
    /// that somebody else carries out. READ, WRITE, WRITE AND VERIFY, and VERIFY that compares: all its blocks;
    /// WRITE SAME: one block. `None` for commands that move none or something else, and for what is no valid CDB.
    /// The range is not checked.
    #[must_use]
    pub fn transfer_length(&self, cdb: &[u8]) -> Option<u64> {
        let blocks = match Cdb::parse(cdb).ok()? {
            Cdb::Read(transfer) | Cdb::Write(transfer) => transfer.blocks,
            Cdb::WriteAndVerify(verify) => verify.blocks,
            Cdb::Verify(verify) if verify.byte_check == ByteCheck::DataOut => verify.blocks,
            Cdb::WriteSame(request) if !request.no_data_out => 1,
            _ => return None,
        };
        Some(u64::from(blocks) * u64::from(self.block_size()))
    }

    pub(super) fn read(&self, transfer: Transfer) -> Action {
        match self.transfer_range(transfer.lba, transfer.blocks) {
            Ok(None) => Response::good().into(),
            Ok(Some((offset, length))) => Action::Medium(MediumOp::Read { offset, length }),
            Err(sense) => sense.into(),
        }
    }

    pub(super) fn write(&self, transfer: Transfer, command: &Command<'_>) -> Action {
        let fua = transfer.fua || !self.mode.write_cache;
        let op = |offset, length| MediumOp::Write { offset, length, fua };
        self.collect(transfer.lba, transfer.blocks, true, command, op)
    }

    pub(super) fn write_and_verify(&self, verify: Verify, command: &Command<'_>) -> Action {
        let compare = verify.byte_check == ByteCheck::DataOut;
        let op = |offset, length| MediumOp::WriteVerify {
            offset,
            length,
            compare,
        };
        self.collect(verify.lba, verify.blocks, true, command, op)
    }

    pub(super) fn verify(&self, verify: Verify, command: &Command<'_>) -> Action {
        match verify.byte_check {
            ByteCheck::DataOut => {
                let op = |offset, length| MediumOp::Compare { offset, length };
                self.collect(verify.lba, verify.blocks, false, command, op)
            }
            ByteCheck::MediumOnly => match self.transfer_range(verify.lba, verify.blocks) {
                Ok(None) => Response::good().into(),
                Ok(Some((offset, length))) => Action::Medium(MediumOp::Verify { offset, length }),
                Err(sense) => sense.into(),
            },
        }
    }

    /// Checks the range, asks for the data, and then does `op` with as many whole blocks as the initiator sends.
    fn collect(
        &self,
        lba: u64,
        blocks: u32,
        changes_medium: bool,
        command: &Command<'_>,
        op: impl FnOnce(u64, u32) -> MediumOp,
    ) -> Action {
        if changes_medium && self.properties.write_protected {
            return Sense::WRITE_PROTECTED.into();
        }
        let (offset, length) = match self.transfer_range(lba, blocks) {
            Ok(Some(range)) => range,
            Ok(None) => return Response::good().into(),
            Err(sense) => return sense.into(),
        };
        let announced = command.expected_data_out - command.expected_data_out % self.block_size();
        let collected = length.min(announced);
        if collected == 0 {
            // Writing nothing is what the transport asked for; part of a block, or nothing to compare, is a mistake.
            let response = if changes_medium && command.expected_data_out == 0 {
                Response::good()
            } else {
                Response::check(Sense::INVALID_FIELD_IN_INFORMATION_UNIT)
            };
            return Response {
                transfer_length: Some(length.into()),
                ..response
            }
            .into();
        }
        let then = AfterData {
            step: Step::Medium(op(offset, collected)),
            transfer_length: length.into(),
        };
        Action::DataOut {
            length: collected,
            then,
        }
    }

    /// The whole logical unit is flushed, whatever the range; the status comes after it, whatever IMMED says.
    pub(super) fn synchronize_cache(&self, range: SynchronizeCache) -> Action {
        match self.range(range.lba, range.blocks) {
            Ok(_) => Action::Medium(MediumOp::Flush),
            Err(sense) => sense.into(),
        }
    }

    pub(super) fn start_write_same(&self, request: WriteSame, command: &Command<'_>) -> Action {
        if self.properties.write_protected {
            return Sense::WRITE_PROTECTED.into();
        }
        if request.unmap && !self.properties.unmap {
            return Sense::INVALID_FIELD_IN_CDB.into();
        }
        let (offset, length) = match self.range(request.lba, request.blocks) {
            Ok(range) if (1..=MAX_WRITE_SAME_BYTES).contains(&range.1) => range,
            Ok(_) => return Sense::INVALID_FIELD_IN_CDB.into(),
            Err(sense) => return sense.into(),
        };
        let unmap = request.unmap;
        let block = self.block_size();
        if request.no_data_out {
            let zeros = vec![0; usize::try_from(block).unwrap_or(0)];
            return self.write_same(offset, length, unmap, &zeros);
        }
        if command.expected_data_out != block {
            return Sense::INVALID_FIELD_IN_CDB.into();
        }
        let step = Step::WriteSame {
            offset,
            length,
            unmap,
        };
        Action::DataOut {
            length: block,
            then: AfterData {
                step,
                transfer_length: block.into(),
            },
        }
    }

    /// `data`: the block to write, as it was collected.
    pub(super) fn write_same(&self, offset: u64, length: u64, unmap: bool, data: &[u8]) -> Action {
        if u32::try_from(data.len()) != Ok(self.block_size()) {
            return Sense::INVALID_FIELD_IN_CDB.into();
        }
        let fua = !self.mode.write_cache;
        Action::Medium(MediumOp::WriteSame {
            offset,
            length,
            block: data.to_vec(),
            unmap,
            fua,
        })
    }

    pub(super) fn start_unmap(&self, request: Unmap, command: &Command<'_>) -> Action {
        if !self.properties.unmap {
            return Sense::INVALID_OPCODE.into();
        }
        if self.properties.write_protected {
            return Sense::WRITE_PROTECTED.into();
        }
        collect_list(request.parameter_list_length, Step::Unmap, command)
    }

    /// `data`: the UNMAP parameter list. Nothing is unmapped unless every descriptor is valid.
    pub(super) fn unmap(&self, data: &[u8]) -> Action {
        let ranges = match parse_unmap_list(data) {
            Ok(ranges) => ranges,
            Err(UnmapListError::Length) => return Sense::PARAMETER_LIST_LENGTH_ERROR.into(),
            Err(UnmapListError::Field) => return Sense::INVALID_FIELD_IN_PARAMETER_LIST.into(),
        };
        match self.extents(&ranges) {
            Ok(extents) if extents.is_empty() => Response::good().into(),
            Ok(extents) => Action::Medium(MediumOp::Unmap(extents)),
            Err(sense) => sense.into(),
        }
    }

    fn extents(&self, ranges: &[BlockRange]) -> Result<Vec<Extent>, Sense> {
        let total: u64 = ranges.iter().map(|range| u64::from(range.blocks)).sum();
        let too_many = ranges.len() > usize::try_from(MAX_UNMAP_DESCRIPTORS).unwrap_or(usize::MAX);
        if too_many || total > self.in_blocks(MAX_UNMAP_BYTES) {
            return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST);
        }
        let mut extents = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (offset, length) = self.range(range.lba, range.blocks)?;
            if length > 0 {
                extents.push(Extent { offset, length });
            }
        }
        Ok(extents)
    }

    /// The byte offset and length of a transfer, `None` when it moves nothing.
    fn transfer_range(&self, lba: u64, blocks: u32) -> Result<Option<(u64, u32)>, Sense> {
        let (offset, length) = self.range(lba, blocks)?;
        match u32::try_from(length) {
            Ok(0) => Ok(None),
            Ok(length) if length <= MAX_TRANSFER_BYTES => Ok(Some((offset, length))),
            _ => Err(Sense::INVALID_FIELD_IN_CDB),
        }
    }

    /// The byte offset and length of a range that lies within the capacity. The end of the medium with no blocks
    /// is within it.
    fn range(&self, lba: u64, blocks: u32) -> Result<(u64, u64), Sense> {
        let end = lba
            .checked_add(u64::from(blocks))
            .filter(|end| *end <= self.properties.blocks);
        let block_size = u64::from(self.block_size());
        let fits = end.and_then(|end| end.checked_mul(block_size)).is_some();
        if !fits {
            return Err(Sense::LBA_OUT_OF_RANGE);
        }
        Ok((lba * block_size, u64::from(blocks) * block_size))
    }

    /// Bytes in a block; never zero, whatever the properties say.
    pub(super) fn block_size(&self) -> u32 {
        self.properties.block_size.max(1)
    }

    /// A limit in blocks.
    pub(super) fn in_blocks(&self, bytes: u64) -> u64 {
        bytes / u64::from(self.block_size())
    }
}

/// Asks for a parameter list: nothing to do when it has no length, an error when the initiator sends none of it.
pub(super) fn collect_list(length: u16, step: Step, command: &Command<'_>) -> Action {
    let wanted = u32::from(length);
    if wanted == 0 {
        return Response::good().into();
    }
    let length = wanted.min(command.expected_data_out);
    if length == 0 {
        return Sense::PARAMETER_LIST_LENGTH_ERROR.into();
    }
    Action::DataOut {
        length,
        then: AfterData {
            step,
            transfer_length: wanted.into(),
        },
    }
}
