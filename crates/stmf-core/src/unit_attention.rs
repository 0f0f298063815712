//! Unit attentions: what a logical unit has to tell each I_T nexus once. SAM-5 r21 §5.14.

use scsi_proto::{AdditionalSense, Sense, SenseKey};

/// A condition to be told, in the order in which several are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum UnitAttention {
    /// 29/00: the first command of a nexus, or of a new owner.
    PowerOnOrReset,
    /// 29/03: another nexus reset the logical unit.
    BusDeviceReset,
    /// 2A/09: the capacity changed.
    CapacityChanged,
    /// 2A/01: another nexus, or the administrator, changed mode parameters.
    ModeParametersChanged,
    /// 2A/03: another nexus preempted the reservation.
    ReservationsPreempted,
    /// 2A/04: the reservation was released.
    ReservationsReleased,
    /// 2A/05: another nexus removed the registration.
    RegistrationsPreempted,
    /// 2A/06: the asymmetric access state changed.
    AccessStateChanged,
    /// 2F/00: another nexus aborted tasks of this one.
    CommandsCleared,
    /// 3F/03: INQUIRY data changed.
    InquiryDataChanged,
    /// 3F/0E: the LUN map of the session changed.
    ReportedLunsChanged,
}

impl UnitAttention {
    /// Every unit attention, first told first.
    pub const ALL: [Self; 11] = [
        Self::PowerOnOrReset,
        Self::BusDeviceReset,
        Self::CapacityChanged,
        Self::ModeParametersChanged,
        Self::ReservationsPreempted,
        Self::ReservationsReleased,
        Self::RegistrationsPreempted,
        Self::AccessStateChanged,
        Self::CommandsCleared,
        Self::InquiryDataChanged,
        Self::ReportedLunsChanged,
    ];

    /// Its additional sense code.
    #[must_use]
    pub const fn additional(self) -> AdditionalSense {
        match self {
            Self::PowerOnOrReset => AdditionalSense::POWER_ON_OR_RESET,
            Self::BusDeviceReset => AdditionalSense::BUS_DEVICE_RESET,
            Self::CapacityChanged => AdditionalSense::CAPACITY_DATA_CHANGED,
            Self::ModeParametersChanged => AdditionalSense::MODE_PARAMETERS_CHANGED,
            Self::ReservationsPreempted => AdditionalSense::RESERVATIONS_PREEMPTED,
            Self::ReservationsReleased => AdditionalSense::RESERVATIONS_RELEASED,
            Self::RegistrationsPreempted => AdditionalSense::REGISTRATIONS_PREEMPTED,
            Self::AccessStateChanged => AdditionalSense::ASYMMETRIC_ACCESS_STATE_CHANGED,
            Self::CommandsCleared => AdditionalSense::COMMANDS_CLEARED,
            Self::InquiryDataChanged => AdditionalSense::INQUIRY_DATA_CHANGED,
            Self::ReportedLunsChanged => AdditionalSense::REPORTED_LUNS_DATA_CHANGED,
        }
    }

    /// The sense data that tells it.
    #[must_use]
    pub const fn sense(self) -> Sense {
        Sense::new(SenseKey::UnitAttention, self.additional())
    }

    const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// The unit attentions one nexus has still to be told; each at most once, in a fixed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending(u16);

impl Pending {
    /// Nothing to tell.
    pub const NONE: Self = Self(0);

    /// Adds one; adding it twice is adding it once.
    pub const fn raise(&mut self, attention: UnitAttention) {
        self.0 |= attention.bit();
    }

    /// Forgets one; was it there?
    pub const fn clear(&mut self, attention: UnitAttention) -> bool {
        let was = self.contains(attention);
        self.0 &= !attention.bit();
        was
    }

    /// Is it there?
    #[must_use]
    pub const fn contains(&self, attention: UnitAttention) -> bool {
        self.0 & attention.bit() != 0
    }

    /// Takes out the one to tell next.
    pub fn take(&mut self) -> Option<UnitAttention> {
        let next = UnitAttention::ALL
            .into_iter()
            .find(|attention| self.contains(*attention))?;
        self.clear(next);
        Some(next)
    }

    /// Is there nothing to tell?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_telling_does_not_depend_on_the_order_of_raising() {
        let mut pending = Pending::NONE;
        for attention in UnitAttention::ALL.into_iter().rev() {
            pending.raise(attention);
            pending.raise(attention);
        }
        let told: std::vec::Vec<_> = core::iter::from_fn(|| pending.take()).collect();
        assert_eq!(told, UnitAttention::ALL);
        assert!(pending.is_empty());
    }

    #[test]
    fn power_on_comes_first_and_capacity_mode_access_luns_follow_in_this_order() {
        use UnitAttention as U;
        let order = [
            U::PowerOnOrReset,
            U::CapacityChanged,
            U::ModeParametersChanged,
            U::AccessStateChanged,
            U::ReportedLunsChanged,
        ];
        assert!(order.windows(2).all(|pair| pair[0] < pair[1]));
        let codes = order.map(|attention| (attention.additional().asc, attention.additional().ascq));
        assert_eq!(
            codes,
            [
                (0x29, 0x00),
                (0x2A, 0x09),
                (0x2A, 0x01),
                (0x2A, 0x06),
                (0x3F, 0x0E)
            ]
        );
    }
}
