//! Message to bytes.

use super::wire::Writer;
use super::{MAGIC, kind};
use crate::limits::{
    HEADER_BYTES, MAX_CDB_BYTES, MAX_DATA_BYTES, MAX_NAME_BYTES, MAX_SENSE_BYTES, MAX_TEXT_BYTES, VERSION,
};
use crate::message::{Hello, LuRecord, Message, PortRecord, ScsiCommand, TaskManagement};
use alloc::vec::Vec;

/// Room that suffices for the body of every message without strings.
const SMALL_BODY: usize = 128;

fn header(out: &mut Vec<u8>, kind: u16, boot_id: u64, message_id: u64, task: u64) {
    Writer(out)
        .raw(&MAGIC)
        .u16(VERSION)
        .u16(kind)
        .u64(boot_id)
        .u64(message_id)
        .u64(task)
        .u32(0)
        .u32(0);
}

fn patch(out: &mut [u8], at: usize, value: usize) {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(at..at.saturating_add(4)) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

pub(super) fn data_in_frame(
    boot_id: u64,
    message_id: u64,
    task: u64,
    offset: u64,
    length: u32,
) -> (Vec<u8>, usize) {
    let length = (length as usize).min(MAX_DATA_BYTES);
    let mut out = Vec::with_capacity(HEADER_BYTES.saturating_add(8).saturating_add(length));
    header(&mut out, kind::DATA_IN, boot_id, message_id, task);
    Writer(&mut out).u64(offset);
    patch(&mut out, 32, 8);
    patch(&mut out, 36, length);
    let start = out.len();
    out.resize(start.saturating_add(length), 0);
    (out, start)
}

pub(super) fn message(message: &Message, boot_id: u64, message_id: u64) -> Vec<u8> {
    let (kind, task, data) = outline(message);
    let data = data.get(..data.len().min(MAX_DATA_BYTES)).unwrap_or_default();
    let mut out = Vec::with_capacity(HEADER_BYTES.saturating_add(SMALL_BODY).saturating_add(data.len()));
    header(&mut out, kind, boot_id, message_id, task);
    body(message, &mut Writer(&mut out));
    let body_length = out.len().saturating_sub(HEADER_BYTES);
    patch(&mut out, 32, body_length);
    patch(&mut out, 36, data.len());
    out.extend_from_slice(data);
    out
}

/// Type number, task id for the header, bulk data.
fn outline(message: &Message) -> (u16, u64, &[u8]) {
    match message {
        Message::Hello(_) => (kind::HELLO, 0, &[]),
        Message::Ping => (kind::PING, 0, &[]),
        Message::Pong { .. } => (kind::PONG, 0, &[]),
        Message::Accepted { .. } => (kind::ACCEPTED, 0, &[]),
        Message::Refused { task, .. } => (kind::REFUSED, *task, &[]),
        Message::RegisterPort { .. } => (kind::REGISTER_PORT, 0, &[]),
        Message::DeregisterPort { .. } => (kind::DEREGISTER_PORT, 0, &[]),
        Message::RegisterLun { .. } => (kind::REGISTER_LUN, 0, &[]),
        Message::DeregisterLun { .. } => (kind::DEREGISTER_LUN, 0, &[]),
        Message::LunActive { .. } => (kind::LUN_ACTIVE, 0, &[]),
        Message::InventoryEnd { .. } => (kind::INVENTORY_END, 0, &[]),
        Message::ScsiCommand(c) => (kind::SCSI_COMMAND, c.task, &c.immediate),
        Message::DataIn { task, data, .. } => (kind::DATA_IN, *task, data),
        Message::Credit { task, .. } => (kind::CREDIT, *task, &[]),
        Message::R2t { task, .. } => (kind::R2T, *task, &[]),
        Message::DataOut { task, data, .. } => (kind::DATA_OUT, *task, data),
        Message::Status { task, data, .. } => (kind::STATUS, *task, data),
        Message::AbortTask { task } => (kind::ABORT_TASK, *task, &[]),
        Message::TaskAborted { task } => (kind::TASK_ABORTED, *task, &[]),
        Message::TaskManagement(t) => (kind::TASK_MANAGEMENT, t.task, &[]),
        Message::TaskManagementDone { task, .. } => (kind::TASK_MANAGEMENT_DONE, *task, &[]),
        Message::SessionDestroy { .. } => (kind::SESSION_DESTROY, 0, &[]),
        Message::FailoverRequest { .. } => (kind::FAILOVER_REQUEST, 0, &[]),
        Message::HandOver { state, .. } => (kind::HAND_OVER, 0, state),
        Message::HandOverDone { .. } => (kind::HAND_OVER_DONE, 0, &[]),
    }
}

fn body(message: &Message, w: &mut Writer<'_>) {
    match message {
        Message::Ping | Message::AbortTask { .. } | Message::TaskAborted { .. } => {}
        Message::Hello(h) => hello(h, w),
        Message::Pong { in_reply_to } | Message::Accepted { in_reply_to } => {
            w.u64(*in_reply_to);
        }
        Message::Refused {
            in_reply_to,
            code,
            epoch,
            ..
        } => {
            w.u64(*in_reply_to).u16(code.code()).u64(*epoch);
        }
        Message::RegisterPort { generation, port: p } => {
            w.u64(*generation);
            port(p, w);
        }
        Message::DeregisterPort { name } => {
            w.string(name, MAX_NAME_BYTES);
        }
        Message::RegisterLun { generation, lu: l } => {
            w.u64(*generation);
            lu(l, w);
        }
        Message::DeregisterLun { guid, epoch } | Message::LunActive { guid, epoch } => {
            w.raw(guid).u64(*epoch);
        }
        Message::InventoryEnd { generation } => {
            w.u64(*generation);
        }
        Message::ScsiCommand(c) => command(c, w),
        Message::DataIn { offset, .. } | Message::DataOut { offset, .. } => {
            w.u64(*offset);
        }
        Message::Credit { bytes, .. } => {
            w.u32(*bytes);
        }
        Message::R2t { offset, length, .. } => {
            w.u64(*offset).u32(*length);
        }
        Message::Status {
            status,
            sense,
            data_in_total,
            data_offset,
            ..
        } => {
            w.u8(*status)
                .u64(*data_in_total)
                .u64(*data_offset)
                .bytes(sense, MAX_SENSE_BYTES);
        }
        Message::TaskManagement(t) => task_management(t, w),
        Message::TaskManagementDone { response, .. } => {
            w.u8(*response);
        }
        Message::SessionDestroy { session } => {
            w.u64(*session);
        }
        Message::FailoverRequest { guid, token } => {
            w.raw(guid).u64(*token);
        }
        Message::HandOver { token, lu: l, .. } => {
            w.u64(*token);
            lu(l, w);
        }
        Message::HandOverDone { guid, epoch, error } => {
            w.raw(guid).u64(*epoch).u16(error.map_or(0, crate::Refusal::code));
        }
    }
}

fn hello(h: &Hello, w: &mut Writer<'_>) {
    w.u16(h.min_version)
        .u16(h.max_version)
        .u16(h.node)
        .u8(h.stage as u8)
        .u8(0);
    w.u64(h.cluster)
        .u64(h.boot_id)
        .u64(h.peer_boot_id)
        .u64(h.peer_first_message_id)
        .u64(h.first_message_id);
    w.u64(h.features)
        .u32(h.limits.max_data_bytes)
        .u32(h.limits.max_immediate_bytes)
        .u32(h.limits.max_tasks);
}

fn port(p: &PortRecord, w: &mut Writer<'_>) {
    w.u16(p.relative_target_port)
        .u16(p.node)
        .string(&p.name, MAX_NAME_BYTES);
}

fn lu(l: &LuRecord, w: &mut Writer<'_>) {
    w.raw(&l.guid)
        .u64(l.epoch)
        .u8(l.access as u8)
        .raw(&l.vendor)
        .raw(&l.product)
        .raw(&l.revision);
    w.u32(l.block_size)
        .u64(l.blocks)
        .u32(l.flags)
        .u8(u8::from(l.serial.is_some()));
    w.string(l.serial.as_deref().unwrap_or_default(), MAX_TEXT_BYTES);
    w.string(&l.alias, MAX_TEXT_BYTES).string(&l.path, MAX_TEXT_BYTES);
}

fn command(c: &ScsiCommand, w: &mut Writer<'_>) {
    w.raw(&c.guid).raw(&c.lun).u64(c.session).u8(c.attribute as u8);
    w.u32(c.expected_in)
        .u32(c.expected_out)
        .u32(c.read_credit)
        .bytes(&c.cdb, MAX_CDB_BYTES);
    w.string(&c.initiator, MAX_NAME_BYTES);
    port(&c.port, w);
}

fn task_management(t: &TaskManagement, w: &mut Writer<'_>) {
    w.u8(t.function as u8)
        .raw(&t.guid)
        .raw(&t.lun)
        .u64(t.session)
        .string(&t.initiator, MAX_NAME_BYTES);
    port(&t.port, w);
}
