//! MODE SENSE and MODE SELECT. SPC-4 r37 §6.11 to §6.14, §7.5.

use alloc::vec::Vec;

use scsi_proto::Sense;
use scsi_proto::cdb::{ModeForm, ModeSelect, ModeSense, PageControl};
use scsi_proto::mode::{self, ModeListError, ModePage, parse_mode_list};
use scsi_proto::sense::SenseFormat;

use super::media::collect_list;
use super::{LogicalUnit, LuEvent, LuProperties};
use crate::action::{Action, MediumOp, Response, Step};
use crate::command::{Command, NexusId};
use crate::unit_attention::UnitAttention;

/// The mode parameters that can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModeState {
    /// WCE, current value; the saved one is in the properties.
    pub(super) write_cache: bool,
    /// D_SENSE. Not saved: zero after a reset.
    descriptor_sense: bool,
}

impl ModeState {
    pub(super) const fn new(properties: &LuProperties) -> Self {
        Self {
            write_cache: properties.write_cache,
            descriptor_sense: false,
        }
    }

    pub(super) const fn sense_format(self) -> SenseFormat {
        if self.descriptor_sense {
            SenseFormat::Descriptor
        } else {
            SenseFormat::Fixed
        }
    }
}

/// The pages there are, in the order MODE SENSE returns all of them. None has a subpage.
const PAGES: [u8; 5] = [
    mode::FORMAT_DEVICE,
    mode::RIGID_DISK_GEOMETRY,
    mode::CACHING,
    mode::CONTROL,
    mode::INFORMATIONAL_EXCEPTIONS,
];

impl LogicalUnit {
    pub(super) fn mode_sense(&self, request: ModeSense) -> Result<Vec<u8>, Sense> {
        let ModeSense {
            form,
            control,
            page,
            subpage,
            allocation_length,
        } = request;
        if usize::from(allocation_length) < form.header_length() && allocation_length != 0 {
            return Err(Sense::INVALID_FIELD_IN_CDB);
        }
        let wanted: &[u8] = match (page, subpage) {
            (0x00, 0) => &[],
            (mode::ALL_PAGES, 0 | mode::ALL_SUBPAGES) => &PAGES,
            (page, 0 | mode::ALL_SUBPAGES) if PAGES.contains(&page) => &[page],
            _ => return Err(Sense::INVALID_FIELD_IN_CDB),
        };
        let pages: Vec<u8> = wanted
            .iter()
            .flat_map(|page| self.mode_page(*page, control))
            .collect();
        Ok(mode::parameter_data(
            form,
            self.properties.write_protected,
            &pages,
        ))
    }

    /// One page; nothing for a code that is not in [`PAGES`].
    fn mode_page(&self, code: u8, control: PageControl) -> Vec<u8> {
        let changeable = control == PageControl::Changeable;
        let saved = matches!(control, PageControl::Saved | PageControl::Default);
        let page = match code {
            mode::CACHING if changeable => return mode::caching(true).to_vec(),
            mode::CONTROL if changeable => return mode::control_changeable().to_vec(),
            mode::CACHING if saved => mode::caching(self.properties.write_cache).to_vec(),
            mode::CONTROL if saved => mode::control(false).to_vec(),
            mode::CACHING => mode::caching(self.mode.write_cache).to_vec(),
            mode::CONTROL => mode::control(self.mode.descriptor_sense).to_vec(),
            mode::FORMAT_DEVICE => mode::format_device(self.block_size()).to_vec(),
            mode::RIGID_DISK_GEOMETRY => mode::rigid_disk_geometry(self.properties.blocks).to_vec(),
            mode::INFORMATIONAL_EXCEPTIONS => mode::informational_exceptions().to_vec(),
            _ => Vec::new(),
        };
        if changeable {
            mode::nothing_changeable(&page)
        } else {
            page
        }
    }

    pub(super) fn start_mode_select(request: ModeSelect, command: &Command<'_>) -> Action {
        let step = Step::ModeSelect {
            form: request.form,
            save_pages: request.save_pages,
        };
        collect_list(request.parameter_list_length, step, command)
    }

    /// Takes over a parameter list: all of its pages or none.
    pub(super) fn mode_select(
        &mut self,
        form: ModeForm,
        save_pages: bool,
        list: &[u8],
        nexus: NexusId,
    ) -> Action {
        let pages = match parse_mode_list(form, list) {
            Ok(pages) => pages,
            Err(ModeListError::Length) => return Sense::PARAMETER_LIST_LENGTH_ERROR.into(),
            Err(ModeListError::Field) => return Sense::INVALID_FIELD_IN_PARAMETER_LIST.into(),
        };
        let mut new = self.mode;
        for page in &pages {
            if let Err(sense) = self.check_page(page, &mut new) {
                return sense.into();
            }
        }
        let old = core::mem::replace(&mut self.mode, new);
        let saves_cache = save_pages && pages.iter().any(|page| page.code == mode::CACHING);
        if saves_cache && self.properties.write_cache != new.write_cache {
            self.properties.write_cache = new.write_cache;
            self.keep(LuEvent::WriteCacheSaved(new.write_cache));
        }
        if old != new {
            self.raise_and_tell(UnitAttention::ModeParametersChanged, Some(nexus));
        }
        if old.write_cache && !new.write_cache {
            return Action::Medium(MediumOp::Flush); // what was acknowledged from the cache must not stay there
        }
        Response::good().into()
    }

    /// A page may repeat what is so; WCE and D_SENSE may differ, and nothing else.
    fn check_page(&self, page: &ModePage<'_>, new: &mut ModeState) -> Result<(), Sense> {
        if page.subpage != 0 || !PAGES.contains(&page.code) {
            return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST);
        }
        let current = self.mode_page(page.code, PageControl::Current);
        let mask = self.mode_page(page.code, PageControl::Changeable);
        let (Some(current), Some(mask)) = (current.get(2..), mask.get(2..)) else {
            return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST);
        };
        if page.body.len() != current.len() {
            return Err(Sense::PARAMETER_LIST_LENGTH_ERROR);
        }
        let forbidden = |((new, old), mask): ((&u8, &u8), &u8)| (new ^ old) & !mask != 0;
        if page.body.iter().zip(current).zip(mask).any(forbidden) {
            return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST);
        }
        let bit_2 = page.body.first().is_some_and(|byte| byte & 0x04 != 0);
        match page.code {
            mode::CACHING => new.write_cache = bit_2,
            mode::CONTROL => new.descriptor_sense = bit_2,
            _ => {}
        }
        Ok(())
    }
}
