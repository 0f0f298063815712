//! Headers an initiator sends.

use super::{Bits, Flag, Octets, U8, U16, U32, headers};

headers! {
    /// NOP-Out. RFC 7143 §11.18.
    NopOut, opcode 0x00, fixed 0x80 {
        /// I: to be taken at once, outside the CmdSN order.
        immediate: bool = Flag(0, 6),
        /// The LUN of the NOP-In this answers.
        lun: [u8; 8] = Octets::<8>(8),
        /// [`RESERVED_TAG`](super::RESERVED_TAG) when no answer is wanted.
        initiator_task_tag: u32 = U32(16),
        /// Tag of the NOP-In this answers.
        target_transfer_tag: u32 = U32(20),
        /// CmdSN.
        cmd_sn: u32 = U32(24),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
    }

    /// SCSI Command. RFC 7143 §11.3.
    ScsiCommand, opcode 0x01, fixed 0x00 {
        /// I: to be taken at once, outside the CmdSN order.
        immediate: bool = Flag(0, 6),
        /// F: no unsolicited Data-Out follows.
        finished: bool = Flag(1, 7),
        /// R: data to the initiator is expected.
        read: bool = Flag(1, 6),
        /// W: data from the initiator is expected.
        write: bool = Flag(1, 5),
        /// Task attribute, 0 to 4.
        attribute: u8 = Bits(1, 0, 0x07),
        /// Logical unit number.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// Expected data transfer length, bytes.
        expected_data_transfer_length: u32 = U32(20),
        /// CmdSN.
        cmd_sn: u32 = U32(24),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
        /// First 16 bytes of the CDB.
        cdb: [u8; 16] = Octets::<16>(32),
    }

    /// Task Management Function Request. RFC 7143 §11.5.
    TaskManagementRequest, opcode 0x02, fixed 0x80 {
        /// I: to be taken at once, outside the CmdSN order.
        immediate: bool = Flag(0, 6),
        /// Function, 1 to 8.
        function: u8 = Bits(1, 0, 0x7F),
        /// Logical unit number.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// Tag of the task to abort or reassign.
        referenced_task_tag: u32 = U32(20),
        /// CmdSN.
        cmd_sn: u32 = U32(24),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
        /// CmdSN of the task to abort.
        ref_cmd_sn: u32 = U32(32),
        /// ExpDataSN, for TASK REASSIGN.
        exp_data_sn: u32 = U32(36),
    }

    /// Login Request. RFC 7143 §11.12.
    LoginRequest, opcode 0x03, fixed 0x00 {
        /// I: always set by an initiator that follows the standard.
        immediate: bool = Flag(0, 6),
        /// T: ready to leave the stage.
        transit: bool = Flag(1, 7),
        /// C: the text goes on in the next request.
        continued: bool = Flag(1, 6),
        /// CSG: 0 security, 1 operational.
        current_stage: u8 = Bits(1, 2, 0x03),
        /// NSG: 1 operational, 3 full feature; meaningful with `transit`.
        next_stage: u8 = Bits(1, 0, 0x03),
        /// Highest version supported.
        version_max: u8 = U8(2),
        /// Lowest version supported.
        version_min: u8 = U8(3),
        /// The initiator's half of the session identifier.
        isid: [u8; 6] = Octets::<6>(8),
        /// Target session identifying handle, 0 for a new session.
        tsih: u16 = U16(14),
        /// Initiator task tag, the same during one login.
        initiator_task_tag: u32 = U32(16),
        /// Connection identifier.
        cid: u16 = U16(20),
        /// CmdSN the session starts with.
        cmd_sn: u32 = U32(24),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
    }

    /// Text Request. RFC 7143 §11.10.
    TextRequest, opcode 0x04, fixed 0x00 {
        /// I: to be taken at once, outside the CmdSN order.
        immediate: bool = Flag(0, 6),
        /// F: the last request of the exchange.
        finished: bool = Flag(1, 7),
        /// C: the text goes on in the next request.
        continued: bool = Flag(1, 6),
        /// As given by the target in the response this goes on from.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// [`RESERVED_TAG`](super::RESERVED_TAG) in the first request of an exchange.
        target_transfer_tag: u32 = U32(20),
        /// CmdSN.
        cmd_sn: u32 = U32(24),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
    }

    /// SCSI Data-Out. RFC 7143 §11.7.
    DataOut, opcode 0x05, fixed 0x00 {
        /// F: the last piece of the sequence.
        finished: bool = Flag(1, 7),
        /// LUN of the R2T.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag of the command.
        initiator_task_tag: u32 = U32(16),
        /// Target transfer tag of the R2T; [`RESERVED_TAG`](super::RESERVED_TAG) for unsolicited data.
        target_transfer_tag: u32 = U32(20),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
        /// Number of this piece in its sequence, from 0.
        data_sn: u32 = U32(36),
        /// Place of the data in the whole data of the command, bytes.
        buffer_offset: u32 = U32(40),
    }

    /// Logout Request. RFC 7143 §11.14.
    LogoutRequest, opcode 0x06, fixed 0x80 {
        /// I: to be taken at once, outside the CmdSN order.
        immediate: bool = Flag(0, 6),
        /// 0 close the session, 1 close the connection, 2 remove the connection for recovery.
        reason: u8 = Bits(1, 0, 0x7F),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// Connection to close; not used with reason 0.
        cid: u16 = U16(20),
        /// CmdSN.
        cmd_sn: u32 = U32(24),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
    }

    /// SNACK Request. RFC 7143 §11.16. Never accepted at error recovery level 0.
    Snack, opcode 0x10, fixed 0x80 {
        /// 0 data or R2T, 1 status, 2 data acknowledgement, 3 R-data.
        kind: u8 = Bits(1, 0, 0x0F),
        /// LUN, for a data acknowledgement.
        lun: [u8; 8] = Octets::<8>(8),
        /// Initiator task tag.
        initiator_task_tag: u32 = U32(16),
        /// Target transfer tag or SNACK tag.
        target_transfer_tag: u32 = U32(20),
        /// ExpStatSN.
        exp_stat_sn: u32 = U32(28),
        /// First number asked for.
        begin_run: u32 = U32(40),
        /// How many, 0 for all.
        run_length: u32 = U32(44),
    }
}
