//! INQUIRY: standard data and VPD pages. SPC-4 r37 §6.6, §7.8.

use alloc::string::ToString;
use alloc::vec::Vec;

use scsi_proto::Sense;
use scsi_proto::inquiry::{self, AsymmetricAccess};
use scsi_proto::vpd::{self, BlockLimits, Designator, Rotation};

use super::media::{MAX_UNMAP_BYTES, MAX_UNMAP_DESCRIPTORS, MAX_WRITE_SAME_BYTES};
use super::{LogicalUnit, MAX_TRANSFER_BYTES};
use crate::command::Command;

/// OPTIMAL TRANSFER LENGTH, in bytes.
const OPTIMAL_TRANSFER_BYTES: u64 = 1 << 20;
/// The size of what backing stores really allocate, in bytes.
const ALLOCATION_BYTES: u64 = 4096;

impl LogicalUnit {
    pub(super) fn inquiry(&self, page: Option<u8>, command: &Command<'_>) -> Result<Vec<u8>, Sense> {
        let p = &self.properties;
        let Some(page) = page else {
            let tpgs = if command.pair.alua_enabled {
                AsymmetricAccess::Implicit
            } else {
                AsymmetricAccess::None
            };
            return Ok(inquiry::standard(tpgs, p.vendor, p.product, p.revision));
        };
        let data = match page {
            vpd::SUPPORTED_PAGES => vpd::supported_pages(self.vpd_pages()),
            vpd::UNIT_SERIAL_NUMBER => match &p.serial {
                Some(serial) => vpd::unit_serial_number(serial),
                None => vpd::unit_serial_number(&p.guid.to_string()),
            },
            vpd::DEVICE_IDENTIFICATION => vpd::device_identification(&[
                Designator::LogicalUnitNaa(p.guid.0),
                Designator::TargetPortName(&command.port.name),
                Designator::TargetPortGroup(command.port.node),
                Designator::RelativeTargetPort(command.port.relative_target_port),
            ]),
            vpd::EXTENDED_INQUIRY => vpd::extended_inquiry(),
            vpd::BLOCK_LIMITS => vpd::block_limits(&self.block_limits()),
            vpd::BLOCK_CHARACTERISTICS => vpd::block_characteristics(if p.rotational {
                Rotation::NotReported
            } else {
                Rotation::NonRotating
            }),
            vpd::LOGICAL_BLOCK_PROVISIONING if p.unmap => vpd::logical_block_provisioning(),
            _ => return Err(Sense::INVALID_FIELD_IN_CDB),
        };
        Ok(data)
    }

    const fn vpd_pages(&self) -> &'static [u8] {
        if self.properties.unmap {
            &[0x00, 0x80, 0x83, 0x86, 0xB0, 0xB1, 0xB2]
        } else {
            &[0x00, 0x80, 0x83, 0x86, 0xB0, 0xB1]
        }
    }

    /// The limits that `media` enforces. MAXIMUM COMPARE AND WRITE LENGTH 0: the command is not supported.
    fn block_limits(&self) -> BlockLimits {
        let blocks32 = |bytes: u64| u32::try_from(self.in_blocks(bytes)).unwrap_or(u32::MAX);
        let allocation = blocks32(ALLOCATION_BYTES).max(1);
        let unmap = |value: u32| if self.properties.unmap { value } else { 0 };
        BlockLimits {
            write_same_non_zero: true,
            max_compare_and_write: 0,
            optimal_granularity: u16::try_from(allocation).unwrap_or(1),
            max_transfer: blocks32(MAX_TRANSFER_BYTES.into()),
            optimal_transfer: blocks32(OPTIMAL_TRANSFER_BYTES),
            max_unmap_blocks: unmap(blocks32(MAX_UNMAP_BYTES)),
            max_unmap_descriptors: unmap(MAX_UNMAP_DESCRIPTORS),
            unmap_granularity: unmap(allocation),
            max_write_same: self.in_blocks(MAX_WRITE_SAME_BYTES),
        }
    }

    /// LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT: how many times a block doubles to the unit of allocation.
    pub(super) fn physical_exponent(&self) -> u8 {
        let ratio = self.in_blocks(ALLOCATION_BYTES).max(1);
        u8::try_from(ratio.ilog2()).unwrap_or(0)
    }
}
