//! What is typed on the command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Administers logical units, views, groups and target ports of the SCSI target framework.
#[derive(Debug, Parser)]
#[command(
    name = "stmfadm",
    version = "1.0",
    disable_help_flag = true,
    after_help = "Exit: 0 done, 1 or the number of failed operands otherwise, 2 wrong usage."
)]
pub struct Arguments {
    /// Control door of stmfd.
    #[arg(long, global = true, value_name = "PATH", env = "STMF_CONTROL", default_value = stmf_client::DEFAULT_CONTROL)]
    pub control: PathBuf,
    /// Print JSON.
    #[arg(short = 'j', long, global = true)]
    pub json: bool,
    /// Print help.
    #[arg(short = '?', long, global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a logical unit on a file or a block device.
    CreateLu(CreateLu),
    /// Change a logical unit.
    ModifyLu(ModifyLu),
    /// Import a logical unit, or make a standby one active on this node.
    ImportLu {
        /// Its metadata file, or the data file that holds the metadata.
        file: PathBuf,
    },
    /// Delete logical units; their backing stores stay.
    DeleteLu {
        /// Keep the view entries.
        #[arg(short, long)]
        keep_views: bool,
        /// Their GUIDs.
        #[arg(required = true, value_name = "GUID")]
        guids: Vec<String>,
    },
    /// List logical units.
    ListLu(List),
    /// Take a logical unit online.
    OnlineLu {
        /// Its GUID.
        guid: String,
    },
    /// Take a logical unit offline.
    OfflineLu {
        /// Its GUID.
        guid: String,
    },
    /// Demote active logical units, so that the peer can take them.
    StandbyLu {
        /// Their GUIDs.
        #[arg(required = true, value_name = "GUID")]
        guids: Vec<String>,
    },
    /// Make this node the owner of logical units.
    Failover(Failover),
    /// Create a host group.
    CreateHg {
        /// Its name.
        name: String,
    },
    /// Delete a host group.
    DeleteHg {
        /// Its name.
        name: String,
    },
    /// Add initiators to a host group.
    AddHgMember(Members),
    /// Remove initiators from a host group.
    RemoveHgMember(Members),
    /// List host groups.
    ListHg(List),
    /// Create a target group.
    CreateTg {
        /// Its name.
        name: String,
    },
    /// Delete a target group.
    DeleteTg {
        /// Its name.
        name: String,
    },
    /// Add target ports, which must be offline, to a target group.
    AddTgMember(Members),
    /// Remove target ports, which must be offline, from a target group.
    RemoveTgMember(Members),
    /// List target groups.
    ListTg(List),
    /// Show a logical unit to initiators.
    AddView(AddView),
    /// Remove view entries of a logical unit.
    RemoveView {
        /// GUID of the logical unit.
        #[arg(short, long, value_name = "GUID")]
        lu_name: String,
        /// Remove all of them.
        #[arg(short, long)]
        all: bool,
        /// Their numbers.
        #[arg(value_name = "ENTRY")]
        entries: Vec<String>,
    },
    /// List view entries of a logical unit.
    ListView {
        /// GUID of the logical unit.
        #[arg(short, long, value_name = "GUID")]
        lu_name: String,
        /// Only these numbers.
        #[arg(value_name = "ENTRY")]
        entries: Vec<String>,
    },
    /// List target ports.
    ListTarget(List),
    /// Take a target port online.
    OnlineTarget {
        /// Its name.
        name: String,
    },
    /// Take a target port offline; its sessions end.
    OfflineTarget {
        /// Its name.
        name: String,
    },
    /// Show the state of the service, of ALUA and of the channel to the peer.
    ListState,
    /// Enable or disable ALUA.
    SetAlua {
        /// Enable or disable.
        state: Switch,
        /// Number of this node; the present one if not given.
        #[arg(short, long, value_name = "0|1")]
        node: Option<u32>,
    },
    /// Show the proxy service and its channel.
    ListProxy {
        /// Show the counters too.
        #[arg(short, long)]
        verbose: bool,
    },
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    Enable,
    /// Off.
    Disable,
}

/// `create-lu`.
#[derive(Debug, Args)]
pub struct CreateLu {
    /// A property: alias, blk, guid, host-id, meta, mgmt-url, oui, pid, serial, vid, wcd, wp.
    #[arg(short = 'p', long = "lu-prop", value_name = "PROPERTY=VALUE")]
    pub properties: Vec<String>,
    /// Size in bytes, with k, m, g, t, p or e for powers of 1024; the size of the file if not given.
    #[arg(short, long, value_name = "SIZE")]
    pub size: Option<String>,
    /// The data file.
    pub file: PathBuf,
}

/// `modify-lu`.
#[derive(Debug, Args)]
pub struct ModifyLu {
    /// A property: alias, mgmt-url, wcd, wp.
    #[arg(short = 'p', long = "lu-prop", value_name = "PROPERTY=VALUE")]
    pub properties: Vec<String>,
    /// New size in bytes, with k, m, g, t, p or e for powers of 1024.
    #[arg(short, long, value_name = "SIZE")]
    pub size: Option<String>,
    /// The operand is the metadata or data file, not the GUID.
    #[arg(short, long)]
    pub file: bool,
    /// GUID or file of the logical unit.
    #[arg(value_name = "GUID|FILE")]
    pub lu: String,
}

/// The listing commands.
#[derive(Debug, Args)]
pub struct List {
    /// Show everything.
    #[arg(short, long)]
    pub verbose: bool,
    /// Only these.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Commands on members of a group.
#[derive(Debug, Args)]
pub struct Members {
    /// The group.
    #[arg(short, long, value_name = "GROUP")]
    pub group_name: String,
    /// Names: iqn., eui., naa. or wwn.
    #[arg(required = true, value_name = "NAME")]
    pub members: Vec<String>,
}

/// `add-view`.
#[derive(Debug, Args)]
pub struct AddView {
    /// Logical unit number, 0 to 16383; the lowest free one if not given.
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub lun: Option<String>,
    /// Only through the target ports of this group.
    #[arg(short, long, value_name = "GROUP")]
    pub target_group: Option<String>,
    /// Only to the initiators of this group.
    #[arg(short = 'h', long, value_name = "GROUP")]
    pub host_group: Option<String>,
    /// GUID of the logical unit.
    pub guid: String,
}

/// `failover`.
#[derive(Debug, Args)]
pub struct Failover {
    /// Take them without the peer, which must be known to be out.
    #[arg(long)]
    pub force: bool,
    /// All logical units that are not active on this node.
    #[arg(long, conflicts_with = "guids", required_unless_present = "guids")]
    pub all: bool,
    /// Their GUIDs.
    #[arg(value_name = "GUID")]
    pub guids: Vec<String>,
}
