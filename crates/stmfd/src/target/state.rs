//! What this node remembers across restarts, and how it is turned into the objects that serve.

use crate::clock;
use crate::config::Settings;
use std::path::PathBuf;
use stmf_core::{Guid, Lun, PairView, PortIdentity, Restored, Views};
use stmf_store::model::{Alua, Group, LogicalUnit, NodeState, Port, View};
use stmf_store::{LoadError, StateFile};

/// First relative target port identifier of each node.
const FIRST_PORT: [u16; 2] = [1, 256];

/// The state file and its content in force.
#[derive(Debug)]
pub(crate) struct Persistent {
    path: PathBuf,
    file: StateFile,
    kept: NodeState,
    name: String,
    default_node: u16,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("state folder {path}: {source}; make it writable for this user or give --state-dir")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(
        "state file {path} holds a view that contradicts the others ({reason}); restore an earlier generation"
    )]
    Views { path: PathBuf, reason: String },
    #[error("state folder {path} is in use by another stmfd; give each node its own --state-dir")]
    InUse { path: PathBuf },
}

impl Persistent {
    pub(crate) fn load(settings: &Settings) -> Result<Self, StateError> {
        let folder = &settings.state_dir;
        let failed = |source| StateError::Folder {
            path: folder.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = std::fs::File::create(folder.join("lock")).map_err(failed)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StateError::InUse { path: folder.clone() })?;
        // Held until the process ends, however it ends.
        std::mem::forget(lock);
        let path = folder.join("state");
        let (file, kept) = StateFile::load::<NodeState>(&path)?;
        let mut kept = kept.unwrap_or_default();
        if kept.host_id == 0 {
            kept.host_id = u32::try_from(clock::random_u64() >> 32).unwrap_or(1).max(1);
        }
        let mut persistent = Self {
            path,
            file,
            kept,
            name: settings.target_name.clone(),
            default_node: settings.node,
        };
        let before = persistent.kept.clone();
        persistent.number_port();
        if persistent.kept != before || persistent.file.generation() == 0 {
            persistent.save().map_err(failed)?;
        }
        Ok(persistent)
    }

    /// Identifies this node in GUIDs it makes.
    pub(crate) fn host_id(&self) -> u32 {
        self.kept.host_id
    }

    /// Whether ALUA is enabled, and the node number.
    pub(crate) fn alua(&self) -> Alua {
        self.kept.alua.unwrap_or(Alua {
            enabled: false,
            node: self.default_node,
        })
    }

    /// Logical units to bring up.
    pub(crate) fn logical_units(&self) -> Vec<LogicalUnit> {
        self.kept.logical_units.clone()
    }

    /// This node's target port.
    pub(crate) fn port(&self) -> PortIdentity {
        let node = self.alua().node;
        let kept = self
            .kept
            .ports
            .iter()
            .find(|port| port.name == self.name && node_of(port) == node);
        PortIdentity {
            name: self.name.clone(),
            relative_target_port: kept
                .map_or_else(|| FIRST_PORT[usize::from(node)], |port| port.relative_target_port),
            node,
        }
    }

    pub(crate) fn pair(&self, settings: &Settings) -> PairView {
        PairView {
            alua_enabled: self.alua().enabled,
            local_node: self.alua().node,
            channel_up: false,
            standby_io: settings.standby_io,
            local_ports: vec![self.port().relative_target_port],
            peer_ports: Vec::new(),
        }
    }

    /// Groups and view entries, checked as every change is.
    pub(crate) fn views(&self) -> Result<Views, StateError> {
        let contradicts = |reason: String| StateError::Views {
            path: self.path.clone(),
            reason,
        };
        let group = |group: &Group| (group.name.clone(), group.members.iter().cloned().collect());
        let mut stored = Restored {
            host_groups: self.kept.host_groups.iter().map(group).collect(),
            target_groups: self.kept.target_groups.iter().map(group).collect(),
            ..Restored::default()
        };
        for view in &self.kept.views {
            let guid: Guid = view
                .guid
                .parse()
                .map_err(|_| contradicts(format!("GUID {}", view.guid)))?;
            let lun = Lun::new(view.lun).ok_or_else(|| contradicts(format!("LUN {}", view.lun)))?;
            let (host_group, target_group) = (view.host_group.clone(), view.target_group.clone());
            stored.views.insert(
                (guid, view.index),
                stmf_core::View {
                    host_group,
                    target_group,
                    lun,
                },
            );
        }
        Views::restore(stored).map_err(|error| contradicts(error.to_string()))
    }

    /// Keeps a new ALUA setting.
    pub(crate) fn set_alua(&mut self, alua: Alua) -> std::io::Result<()> {
        self.change(|kept| kept.alua = Some(alua))?;
        self.number_port();
        self.save()
    }

    /// Keeps a logical unit, new or changed.
    pub(crate) fn put_logical_unit(&mut self, unit: LogicalUnit) -> std::io::Result<()> {
        self.change(|kept| {
            kept.logical_units.retain(|known| known.guid != unit.guid);
            kept.logical_units.push(unit);
            kept.logical_units.sort_by(|a, b| a.guid.cmp(&b.guid));
        })
    }

    /// Forgets a logical unit, with its views unless they are to be kept.
    pub(crate) fn remove_logical_unit(&mut self, guid: Guid, keep_views: bool) -> std::io::Result<()> {
        let guid = guid.to_string();
        self.change(|kept| {
            kept.logical_units.retain(|known| known.guid != guid);
            if !keep_views {
                kept.views.retain(|view| view.guid != guid);
            }
        })
    }

    /// Keeps groups and views as they are now.
    pub(crate) fn put_views(&mut self, views: &Views) -> std::io::Result<()> {
        let group = |(name, members): (&str, &stmf_core::Group)| Group {
            name: name.to_owned(),
            members: members.iter().cloned().collect(),
        };
        let host_groups = views.host_groups().map(group).collect();
        let target_groups = views.target_groups().map(group).collect();
        let entries = views.views().map(|(guid, index, view)| View {
            guid: guid.to_string(),
            index,
            host_group: view.host_group.clone(),
            target_group: view.target_group.clone(),
            lun: view.lun.number(),
        });
        let entries = entries.collect();
        self.change(|kept| {
            kept.host_groups = host_groups;
            kept.target_groups = target_groups;
            kept.views = entries;
        })
    }

    /// Numbers this node's port; a number once given stays.
    fn number_port(&mut self) {
        let node = self.alua().node;
        if self
            .kept
            .ports
            .iter()
            .any(|port| port.name == self.name && node_of(port) == node)
        {
            return;
        }
        let taken = |n: u16| self.kept.ports.iter().any(|port| port.relative_target_port == n);
        let first = FIRST_PORT[usize::from(node)];
        let number = (first..=u16::MAX).find(|n| !taken(*n)).unwrap_or(first);
        self.kept.ports.push(Port {
            name: self.name.clone(),
            relative_target_port: number,
        });
    }

    /// Changes the state; on failure to write, the old one stays in force.
    fn change(&mut self, change: impl FnOnce(&mut NodeState)) -> std::io::Result<()> {
        let before = self.kept.clone();
        change(&mut self.kept);
        if self.kept == before {
            return Ok(());
        }
        self.save().inspect_err(|_| self.kept = before.clone())
    }

    fn save(&mut self) -> std::io::Result<()> {
        self.file.save(&self.kept)
    }
}

fn node_of(port: &Port) -> u16 {
    u16::from(port.relative_target_port >= FIRST_PORT[1])
}
