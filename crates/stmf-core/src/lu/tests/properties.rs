//! Any command in any state: no panic, and every action keeps what [`Action`] promises.

use super::*;
use proptest::prelude::*;
use scsi_proto::cdb::Cdb;

fn access() -> impl Strategy<Value = AccessState> {
    (0u8..4).prop_map(|code| AccessState::from_code(code).unwrap())
}

fn standby_io() -> impl Strategy<Value = StandbyIo> {
    prop_oneof![
        Just(StandbyIo::Compat),
        Just(StandbyIo::Full),
        Just(StandbyIo::RejectReads)
    ]
}

/// Mostly commands of the table with small numbers in their fields, sometimes anything.
fn cdb() -> impl Strategy<Value = Vec<u8>> {
    let known = (
        0..opcode::TABLE.len(),
        prop::array::uniform15(prop_oneof![3 => Just(0u8), 1 => any::<u8>()]),
    )
        .prop_map(|(row, tail)| {
            let row = &opcode::TABLE[row];
            let mut cdb = Vec::from([row.opcode]);
            cdb.extend_from_slice(&tail);
            if let Some(action) = row.service_action {
                cdb[1] = (cdb[1] & 0xE0) | action;
            }
            cdb
        });
    prop_oneof![8 => known, 1 => proptest::collection::vec(any::<u8>(), 0..20)]
}

fn lu_properties() -> impl Strategy<Value = LuProperties> {
    let block_size = prop_oneof![Just(0u32), Just(512), Just(4096), Just(32768), any::<u32>()];
    let blocks = prop_oneof![0u64..100, Just(1 << 20), any::<u64>()];
    (block_size, blocks, any::<[bool; 4]>()).prop_map(|(block_size, blocks, flags)| LuProperties {
        block_size,
        blocks,
        write_protected: flags[0],
        write_cache: flags[1],
        rotational: flags[2],
        unmap: flags[3],
        ..properties()
    })
}

/// What must hold of an action, whatever the command was.
fn consistent(action: &Action, command: &Command<'_>, lu: &LogicalUnit) -> Result<(), TestCaseError> {
    match action {
        Action::Respond(response) => {
            let missing = response
                .transfer_length
                .is_none_or(|wanted| wanted > command.expected_data_out.into());
            prop_assert!(
                missing,
                "an overflow residual only where too little was announced"
            );

            prop_assert_eq!(
                response.sense.is_some(),
                response.status == Status::CheckCondition
            );
            if !response.data.is_empty() {
                prop_assert_eq!(response.status, Status::Good);
                let allocation = Cdb::parse(command.cdb).unwrap().allocation_length();
                let length = u64::try_from(response.data.len()).unwrap();
                prop_assert!(allocation.is_none_or(|allocation| length <= allocation));
            }
        }
        Action::Medium(op) => medium_in_range(op, lu)?,
        Action::DataOut { length, then } => {
            prop_assert!(*length > 0 && *length <= command.expected_data_out);
            prop_assert!(u64::from(*length) <= then.transfer_length());
        }
        Action::Proxy => {
            prop_assert_eq!(lu.access(), AccessState::Standby);
            prop_assert!(!command.through_proxy && command.pair.channel_up && command.pair.alua_enabled);
        }
        Action::Hold => prop_assert!(lu.access().in_transition() && !command.through_proxy),
    }
    Ok(())
}

fn medium_in_range(op: &MediumOp, lu: &LogicalUnit) -> Result<(), TestCaseError> {
    let block = u64::from(lu.properties().block_size.max(1));
    let capacity = u128::from(lu.properties().blocks) * u128::from(block);
    let check = |offset: u64, length: u64| -> Result<(), TestCaseError> {
        prop_assert!(length > 0 && offset.is_multiple_of(block) && length.is_multiple_of(block));
        prop_assert!(u128::from(offset) + u128::from(length) <= capacity);
        Ok(())
    };
    let changes = match op {
        MediumOp::Read { offset, length }
        | MediumOp::Verify { offset, length }
        | MediumOp::Compare { offset, length } => {
            prop_assert!(*length <= MAX_TRANSFER_BYTES);
            check(*offset, (*length).into())?;
            false
        }
        MediumOp::Write { offset, length, .. } | MediumOp::WriteVerify { offset, length, .. } => {
            prop_assert!(*length <= MAX_TRANSFER_BYTES);
            check(*offset, (*length).into())?;
            true
        }
        MediumOp::WriteSame {
            offset,
            length,
            block: data,
            ..
        } => {
            prop_assert_eq!(u64::try_from(data.len()).unwrap(), block);
            check(*offset, *length)?;
            true
        }
        MediumOp::Unmap(extents) => {
            prop_assert!(!extents.is_empty() && lu.properties().unmap);
            for extent in extents {
                check(extent.offset, extent.length)?;
            }
            true
        }
        MediumOp::Flush => false,
    };
    prop_assert!(!changes || !lu.properties().write_protected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_command_in_any_state_gets_a_consistent_action(
        lu_properties in lu_properties(),
        state in (access(), any::<bool>(), standby_io(), any::<[bool; 3]>()),
        expected_data_out in prop_oneof![0u32..5000, any::<u32>()],
        cdbs in proptest::collection::vec(cdb(), 1..12),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let (access, hold, standby_io, [channel_up, alua_enabled, through_proxy]) = state;
        let mut bench = Bench::new(lu_properties, AccessState::Active);
        bench.lu.set_access(access, hold);
        bench.pair.channel_up = channel_up;
        bench.pair.alua_enabled = alua_enabled;
        bench.pair.standby_io = standby_io;
        bench.through_proxy = through_proxy;
        bench.expected_data_out = expected_data_out;
        let (port, pair) = (bench.port.clone(), bench.pair.clone());
        for cdb in &cdbs {
            let command = bench.command(I1, cdb, &port, &pair);
            let action = bench.lu.execute(&command);
            consistent(&action, &command, &bench.lu)?;
            if let Action::DataOut { length, then } = action {
                let length = usize::try_from(length).unwrap();
                let data: Vec<u8> = if then.needs_contents() {
                    noise.iter().copied().chain(core::iter::repeat(0)).take(length).collect()
                } else {
                    Vec::new()
                };
                let next = bench.lu.resume(then, &data, &command);
                consistent(&next, &command, &bench.lu)?;
                let ends = matches!(next, Action::Respond(_) | Action::Medium(_));
                prop_assert!(ends, "data is collected once: {:?}", next);
            }
        }
    }
}
