//! Headers a target sends.

use super::{Bits, Flag, Octets, U8, U16, U32, headers};

headers! {
    /// NOP-In. RFC 7143 §11.19.
    NopIn, opcode 0x20, fixed 0x80 {
        /// LUN, with a ping.
        lun: [u8; 8] = Octets::<8>(8),
        /// Tag of the NOP-Out this answers; [`RESERVED_TAG`](super::RESERVED_TAG) for a ping.
        initiator_task_tag: u32 = U32(16),
        /// Tag to be returned; [`RESERVED_TAG`](super::RESERVED_TAG) when no answer is wanted.
        target_transfer_tag: u32 = U32(20),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
    }

    /// SCSI Response. RFC 7143 §11.4.
    ScsiResponse, opcode 0x21, fixed 0x80 {
        /// O: the command had more data than expected.
        overflow: bool = Flag(1, 2),
        /// U: the command had less data than expected.
        underflow: bool = Flag(1, 1),
        /// 0: the command is complete at the target; 1: target failure.
        response: u8 = U8(2),
        /// SCSI status.
        status: u8 = U8(3),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// SNACK tag, 0.
        snack_tag: u32 = U32(20),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
        /// How many Data-In or R2T PDUs were sent for the command.
        exp_data_sn: u32 = U32(36),
        /// Residual of the read part of a bidirectional command, 0.
        bidirectional_residual: u32 = U32(40),
        /// Residual count, bytes.
        residual: u32 = U32(44),
    }

    /// Task Management Function Response. RFC 7143 §11.6.
    TaskManagementResponse, opcode 0x22, fixed 0x80 {
        /// Response code.
        response: u8 = U8(2),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
    }

    /// Login Response. RFC 7143 §11.13.
    LoginResponse, opcode 0x23, fixed 0x00 {
        /// T: the stage is left.
        transit: bool = Flag(1, 7),
        /// C: the text goes on in the next response.
        continued: bool = Flag(1, 6),
        /// CSG: 0 security, 1 operational.
        current_stage: u8 = Bits(1, 2, 0x03),
        /// NSG: 1 operational, 3 full feature.
        next_stage: u8 = Bits(1, 0, 0x03),
        /// Highest version supported, 0.
        version_max: u8 = U8(2),
        /// Version in use, 0.
        version_active: u8 = U8(3),
        /// The initiator's half of the session identifier.
        isid: [u8; 6] = Octets::<6>(8),
        /// Target session identifying handle.
        tsih: u16 = U16(14),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
        /// Status class and status detail.
        status: [u8; 2] = Octets::<2>(36),
    }

    /// Text Response. RFC 7143 §11.11.
    TextResponse, opcode 0x24, fixed 0x00 {
        /// F: the last response of the exchange.
        finished: bool = Flag(1, 7),
        /// C: the text goes on in the next response.
        continued: bool = Flag(1, 6),
        /// To be returned with the transfer tag.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// Tag for the next request; [`RESERVED_TAG`](super::RESERVED_TAG) in the last response.
        target_transfer_tag: u32 = U32(20),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
    }

    /// SCSI Data-In. RFC 7143 §11.7.
    DataIn, opcode 0x25, fixed 0x00 {
        /// F: the last piece of a sequence.
        finished: bool = Flag(1, 7),
        /// A: acknowledge; never set at error recovery level 0.
        acknowledge: bool = Flag(1, 6),
        /// O, with `has_status`.
        overflow: bool = Flag(1, 2),
        /// U, with `has_status`.
        underflow: bool = Flag(1, 1),
        /// S: status, StatSN and residual count are valid and no SCSI Response follows.
        has_status: bool = Flag(1, 0),
        /// SCSI status.
        status: u8 = U8(3),
        /// LUN, with `acknowledge`.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// [`RESERVED_TAG`](super::RESERVED_TAG) without `acknowledge`.
        target_transfer_tag: u32 = U32(20),
        /// StatSN, with `has_status`.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
        /// Number of this piece in the command, from 0.
        data_sn: u32 = U32(36),
        /// Place of the data in the whole data of the command, bytes.
        buffer_offset: u32 = U32(40),
        /// Residual count, bytes, with `has_status`.
        residual: u32 = U32(44),
    }

    /// Logout Response. RFC 7143 §11.15.
    LogoutResponse, opcode 0x26, fixed 0x80 {
        /// 0 closed, 1 no such connection, 2 recovery not supported, 3 cleanup failed.
        response: u8 = U8(2),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
        /// Seconds to wait before coming back.
        time2wait: u16 = U16(40),
        /// Seconds for which tasks are kept after that.
        time2retain: u16 = U16(42),
    }

    /// Ready To Transfer. RFC 7143 §11.8.
    ReadyToTransfer, opcode 0x31, fixed 0x80 {
        /// LUN of the command.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag of the command.
        initiator_task_tag: u32 = U32(16),
        /// Tag for the Data-Out PDUs.
        target_transfer_tag: u32 = U32(20),
        /// StatSN, not advanced.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
        /// Number of this R2T in the command, from 0.
        r2t_sn: u32 = U32(36),
        /// First byte wanted.
        buffer_offset: u32 = U32(40),
        /// Bytes wanted.
        desired_data_transfer_length: u32 = U32(44),
    }

    /// Asynchronous Message. RFC 7143 §11.9.
    AsyncMessage, opcode 0x32, fixed 0x80 {
        /// LUN, for SCSI events.
        lun: [u8; 8] = Octets::<8>(8),
        /// Always [`RESERVED_TAG`](super::RESERVED_TAG).
        initiator_task_tag: u32 = U32(16),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
        /// 0 SCSI, 1 logout wanted, 2 connection dropped, 3 session dropped, 4 negotiation wanted.
        event: u8 = U8(36),
        /// Vendor's code.
        vendor_code: u8 = U8(37),
        /// First parameter.
        parameter1: u16 = U16(38),
        /// Second parameter.
        parameter2: u16 = U16(40),
        /// Third parameter.
        parameter3: u16 = U16(42),
    }

    /// Reject. RFC 7143 §11.17.
    Reject, opcode 0x3F, fixed 0x80 {
        /// Reason.
        reason: u8 = U8(2),
        /// Always [`RESERVED_TAG`](super::RESERVED_TAG).
        initiator_task_tag: u32 = U32(16),
        /// StatSN.
        stat_sn: u32 = U32(24),
        /// ExpCmdSN.
        exp_cmd_sn: u32 = U32(28),
        /// MaxCmdSN.
        max_cmd_sn: u32 = U32(32),
        /// DataSN or R2TSN, with some reasons.
        data_sn: u32 = U32(36),
    }
}
