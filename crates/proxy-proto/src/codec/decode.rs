//! Bytes to message, all checks done.

use super::wire::Reader;
use super::{Envelope, MAGIC, kind};
use crate::error::{DecodeError, Refusal};
use crate::limits::{
    HEADER_BYTES, MAX_BODY_BYTES, MAX_CDB_BYTES, MAX_DATA_BYTES, MAX_MESSAGE_BYTES, MAX_NAME_BYTES,
    MAX_SENSE_BYTES, MAX_TEXT_BYTES, MIN_DATA_BYTES, VERSION,
};
use crate::message::{
    AccessState, Hello, HelloStage, Limits, LuRecord, Message, PortRecord, ScsiCommand, TaskAttribute,
    TaskManagement, TaskManagementFunction,
};
use bytes::Bytes;

pub(super) fn envelope(bytes: Bytes) -> Result<Envelope, DecodeError> {
    let have = bytes.len();
    if have < HEADER_BYTES {
        return Err(DecodeError::Short {
            have,
            need: HEADER_BYTES,
        });
    }
    let mut r = Reader::new(&bytes, 0);
    if r.array::<4>()? != MAGIC {
        return Err(DecodeError::Magic);
    }
    let version = r.u16()?;
    let kind = r.u16()?;
    if version != VERSION && kind != kind::HELLO {
        return Err(DecodeError::Version(version));
    }
    let (boot_id, message_id, task) = (r.u64()?, r.u64()?, r.u64()?);
    let (body_length, data_length) = (r.u32()? as usize, r.u32()? as usize);
    if body_length > MAX_BODY_BYTES {
        return Err(DecodeError::TooBig {
            claimed: body_length as u64,
            limit: MAX_BODY_BYTES,
        });
    }
    if data_length > MAX_DATA_BYTES {
        return Err(DecodeError::TooBig {
            claimed: data_length as u64,
            limit: MAX_DATA_BYTES,
        });
    }
    let body_end = HEADER_BYTES.saturating_add(body_length);
    let need = body_end.saturating_add(data_length);
    if need > MAX_MESSAGE_BYTES {
        return Err(DecodeError::TooBig {
            claimed: need as u64,
            limit: MAX_MESSAGE_BYTES,
        });
    }
    match have.cmp(&need) {
        core::cmp::Ordering::Less => return Err(DecodeError::Short { have, need }),
        core::cmp::Ordering::Greater => return Err(DecodeError::Long { have, need }),
        core::cmp::Ordering::Equal => {}
    }
    let body = bytes.get(HEADER_BYTES..body_end).unwrap_or_default();
    let data = bytes.slice(body_end..need);
    if !data.is_empty() && !carries_data(kind) {
        return Err(DecodeError::UnexpectedData { kind });
    }
    let message = message(kind, task, &mut Reader::new(body, kind), data)?;
    Ok(Envelope {
        boot_id,
        message_id,
        message,
    })
}

fn carries_data(kind: u16) -> bool {
    matches!(
        kind,
        kind::SCSI_COMMAND | kind::DATA_IN | kind::DATA_OUT | kind::STATUS | kind::HAND_OVER
    )
}

fn message(kind: u16, task: u64, r: &mut Reader<'_>, data: Bytes) -> Result<Message, DecodeError> {
    Ok(match kind {
        kind::HELLO => Message::Hello(hello(r)?),
        kind::PING => Message::Ping,
        kind::PONG => Message::Pong {
            in_reply_to: r.u64()?,
        },
        kind::ACCEPTED => Message::Accepted {
            in_reply_to: r.u64()?,
        },
        kind::REFUSED => Message::Refused {
            in_reply_to: r.u64()?,
            task,
            code: Refusal::from_code(r.u16()?),
            epoch: r.u64()?,
        },
        kind::REGISTER_PORT => Message::RegisterPort {
            generation: r.u64()?,
            port: port(r)?,
        },
        kind::DEREGISTER_PORT => Message::DeregisterPort {
            name: r.string(MAX_NAME_BYTES, "name")?,
        },
        kind::REGISTER_LUN => Message::RegisterLun {
            generation: r.u64()?,
            lu: lu(r)?,
        },
        kind::DEREGISTER_LUN => Message::DeregisterLun {
            guid: r.array()?,
            epoch: r.u64()?,
        },
        kind::LUN_ACTIVE => Message::LunActive {
            guid: r.array()?,
            epoch: r.u64()?,
        },
        kind::INVENTORY_END => Message::InventoryEnd { generation: r.u64()? },
        kind::SCSI_COMMAND => Message::ScsiCommand(command(task, r, data)?),
        kind::DATA_IN => {
            let offset = r.u64()?;
            check_end(r, offset, &data)?;
            Message::DataIn {
                task: number(task, r)?,
                offset,
                data,
            }
        }
        kind::CREDIT => Message::Credit {
            task: number(task, r)?,
            bytes: r.u32()?,
        },
        kind::R2T => Message::R2t {
            task: number(task, r)?,
            offset: r.u64()?,
            length: r.u32()?,
        },
        kind::DATA_OUT => {
            let offset = r.u64()?;
            check_end(r, offset, &data)?;
            Message::DataOut {
                task: number(task, r)?,
                offset,
                data,
            }
        }
        kind::STATUS => {
            let (status, data_in_total, data_offset) = (r.u8()?, r.u64()?, r.u64()?);
            let sense = r.bytes(MAX_SENSE_BYTES, "sense")?.to_vec();
            if data_offset
                .checked_add(data.len() as u64)
                .is_none_or(|end| end > data_in_total)
            {
                return Err(r.bad("data_offset"));
            }
            Message::Status {
                task: number(task, r)?,
                status,
                sense,
                data_in_total,
                data_offset,
                data,
            }
        }
        kind::ABORT_TASK => Message::AbortTask {
            task: number(task, r)?,
        },
        kind::TASK_ABORTED => Message::TaskAborted {
            task: number(task, r)?,
        },
        kind::TASK_MANAGEMENT => Message::TaskManagement(task_management(task, r)?),
        kind::TASK_MANAGEMENT_DONE => Message::TaskManagementDone {
            task: number(task, r)?,
            response: r.u8()?,
        },
        kind::SESSION_DESTROY => Message::SessionDestroy { session: r.u64()? },
        kind::FAILOVER_REQUEST => Message::FailoverRequest {
            guid: r.array()?,
            token: r.u64()?,
        },
        kind::HAND_OVER => Message::HandOver {
            token: r.u64()?,
            lu: lu(r)?,
            state: data,
        },
        kind::HAND_OVER_DONE => {
            let (guid, epoch, code) = (r.array()?, r.u64()?, r.u16()?);
            Message::HandOverDone {
                guid,
                epoch,
                error: (code != 0).then(|| Refusal::from_code(code)),
            }
        }
        other => return Err(DecodeError::UnknownType(other)),
    })
}

/// A task id where one must be.
fn number(task: u64, r: &Reader<'_>) -> Result<u64, DecodeError> {
    if task == 0 { Err(r.bad("task")) } else { Ok(task) }
}

/// Data may not run past the end of 64 bits.
fn check_end(r: &Reader<'_>, offset: u64, data: &Bytes) -> Result<(), DecodeError> {
    offset
        .checked_add(data.len() as u64)
        .map(|_| ())
        .ok_or_else(|| r.bad("offset"))
}

fn hello(r: &mut Reader<'_>) -> Result<Hello, DecodeError> {
    let (min_version, max_version, node) = (r.u16()?, r.u16()?, r.u16()?);
    let stage = match r.u8()? {
        0 => HelloStage::Greeting,
        1 => HelloStage::Confirmed,
        2 => HelloStage::Up,
        _ => return Err(r.bad("stage")),
    };
    r.u8()?;
    let hello = Hello {
        min_version,
        max_version,
        node,
        stage,
        cluster: r.u64()?,
        boot_id: r.u64()?,
        peer_boot_id: r.u64()?,
        peer_first_message_id: r.u64()?,
        first_message_id: r.u64()?,
        features: r.u64()?,
        limits: Limits {
            max_data_bytes: r.u32()?,
            max_immediate_bytes: r.u32()?,
            max_tasks: r.u32()?,
        },
    };
    if hello.min_version > hello.max_version {
        return Err(r.bad("min_version"));
    }
    if hello.boot_id == 0 {
        return Err(r.bad("boot_id"));
    }
    let most = u32::try_from(MAX_DATA_BYTES).unwrap_or(u32::MAX);
    if !(MIN_DATA_BYTES..=most).contains(&hello.limits.max_data_bytes) {
        return Err(r.bad("max_data_bytes"));
    }
    if hello.limits.max_immediate_bytes > hello.limits.max_data_bytes {
        return Err(r.bad("max_immediate_bytes"));
    }
    Ok(hello)
}

fn port(r: &mut Reader<'_>) -> Result<PortRecord, DecodeError> {
    let (relative_target_port, node) = (r.u16()?, r.u16()?);
    let name = r.string(MAX_NAME_BYTES, "port name")?;
    if relative_target_port == 0 {
        return Err(r.bad("relative_target_port"));
    }
    if name.is_empty() {
        return Err(r.bad("port name"));
    }
    Ok(PortRecord {
        name,
        relative_target_port,
        node,
    })
}

fn lu(r: &mut Reader<'_>) -> Result<LuRecord, DecodeError> {
    let (guid, epoch) = (r.array()?, r.u64()?);
    let access = AccessState::from_number(r.u8()?).ok_or_else(|| r.bad("access"))?;
    let (vendor, product, revision) = (r.array()?, r.array()?, r.array()?);
    let (block_size, blocks, flags) = (r.u32()?, r.u64()?, r.u32()?);
    if !(512..=65_536).contains(&block_size) || !block_size.is_power_of_two() {
        return Err(r.bad("block_size"));
    }
    if blocks.checked_mul(u64::from(block_size)).is_none() {
        return Err(r.bad("blocks"));
    }
    let has_serial = r.bool("serial")?;
    let serial = r.string(MAX_TEXT_BYTES, "serial")?;
    let serial = has_serial.then_some(serial);
    let alias = r.string(MAX_TEXT_BYTES, "alias")?;
    let path = r.string(MAX_TEXT_BYTES, "path")?;
    Ok(LuRecord {
        guid,
        epoch,
        access,
        path,
        vendor,
        product,
        revision,
        serial,
        alias,
        block_size,
        blocks,
        flags,
    })
}

fn command(task: u64, r: &mut Reader<'_>, immediate: Bytes) -> Result<ScsiCommand, DecodeError> {
    let task = number(task, r)?;
    let (guid, lun, session) = (r.array()?, r.array()?, r.u64()?);
    let attribute = TaskAttribute::from_number(r.u8()?).ok_or_else(|| r.bad("attribute"))?;
    let (expected_in, expected_out, read_credit) = (r.u32()?, r.u32()?, r.u32()?);
    let cdb = r.bytes(MAX_CDB_BYTES, "cdb")?.to_vec();
    if cdb.len() < 6 {
        return Err(r.bad("cdb"));
    }
    if immediate.len() as u64 > u64::from(expected_out) {
        return Err(r.bad("immediate"));
    }
    let initiator = r.string(MAX_NAME_BYTES, "initiator")?;
    let port = port(r)?;
    Ok(ScsiCommand {
        task,
        guid,
        lun,
        initiator,
        port,
        session,
        cdb,
        attribute,
        expected_in,
        expected_out,
        read_credit,
        immediate,
    })
}

fn task_management(task: u64, r: &mut Reader<'_>) -> Result<TaskManagement, DecodeError> {
    let task = number(task, r)?;
    let function = TaskManagementFunction::from_number(r.u8()?).ok_or_else(|| r.bad("function"))?;
    let (guid, lun, session) = (r.array()?, r.array()?, r.u64()?);
    let initiator = r.string(MAX_NAME_BYTES, "initiator")?;
    Ok(TaskManagement {
        task,
        function,
        guid,
        lun,
        initiator,
        port: port(r)?,
        session,
    })
}
