//! Requests about logical units and their view entries.

use admin_proto::{CreateLu, Guid, LuDetails, LuSummary, ModifyLu, Reply, Request, View, ViewEntry};

use crate::{Client, ClientError, client::expect_reply};

impl Client {
    /// Creates a logical unit and returns its GUID.
    ///
    /// # Errors
    /// Every [`ClientError`]; `MissingPropertyValue` without a data file, and the codes about files, sizes and GUIDs.
    pub fn create_lu(&self, properties: CreateLu) -> Result<Guid, ClientError> {
        expect_reply!(self, Request::CreateLu(properties), Reply::Lu { guid } => guid)
    }

    /// Changes properties of a logical unit.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`, `AccessStateSet` unless this node is the active one.
    pub fn modify_lu(&self, changes: ModifyLu) -> Result<(), ClientError> {
        self.request(&Request::ModifyLu(changes)).map(drop)
    }

    /// Deletes a logical unit; its backing store stays, and its view entries if asked.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`, `Busy`.
    pub fn delete_lu(&self, guid: Guid, keep_views: bool) -> Result<(), ClientError> {
        self.request(&Request::DeleteLu { guid, keep_views }).map(drop)
    }

    /// Imports the logical unit whose metadata (or data with metadata inside) is at `path`; makes a standby one active.
    ///
    /// # Errors
    /// Every [`ClientError`]; `FileInUse` when it is active here already, with its GUID as the reply of the refusal.
    pub fn import_lu(&self, path: &str) -> Result<Guid, ClientError> {
        expect_reply!(self, Request::ImportLu { path: path.to_owned() }, Reply::Lu { guid } => guid)
    }

    /// Demotes an active logical unit; it stays in transition until the peer takes it.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`, `Busy`.
    pub fn lu_standby(&self, guid: Guid) -> Result<(), ClientError> {
        self.request(&Request::LuStandby { guid }).map(drop)
    }

    /// Makes this node the owner of a logical unit: handed over by the peer, or by force when the peer is out.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`, `AccessStateSet`, `Busy`.
    pub fn failover(&self, guid: Guid, force: bool) -> Result<(), ClientError> {
        self.request(&Request::Failover { guid, force }).map(drop)
    }

    /// Requests a logical unit online.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`, `Busy` during the opposite transition.
    pub fn online_lu(&self, guid: Guid) -> Result<(), ClientError> {
        self.request(&Request::OnlineLu { guid }).map(drop)
    }

    /// Requests a logical unit offline.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`, `Busy` during the opposite transition.
    pub fn offline_lu(&self, guid: Guid) -> Result<(), ClientError> {
        self.request(&Request::OfflineLu { guid }).map(drop)
    }

    /// Logical units that are registered or have view entries, sorted by GUID.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn list_lus(&self) -> Result<Vec<LuSummary>, ClientError> {
        expect_reply!(self, Request::ListLus {}, Reply::Lus { lus } => lus)
    }

    /// One logical unit with its properties.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`.
    pub fn lu_properties(&self, guid: Guid) -> Result<LuDetails, ClientError> {
        expect_reply!(self, Request::LuProperties { guid }, Reply::LuDetails(details) => details)
    }

    /// Adds a view entry and returns it with its index and LUN.
    ///
    /// # Errors
    /// Every [`ClientError`]; `LunInUse`, `ViewConflict`, `InvalidHostGroup`, `InvalidTargetGroup`.
    pub fn add_view(&self, guid: Guid, view: View) -> Result<ViewEntry, ClientError> {
        expect_reply!(self, Request::AddView { guid, view }, Reply::View(entry) => entry)
    }

    /// Removes a view entry.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`.
    pub fn remove_view(&self, guid: Guid, index: u32) -> Result<(), ClientError> {
        self.request(&Request::RemoveView { guid, index }).map(drop)
    }

    /// View entries of a logical unit, sorted by index; none for an unknown GUID.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn list_views(&self, guid: Guid) -> Result<Vec<ViewEntry>, ClientError> {
        expect_reply!(self, Request::ListViews { guid }, Reply::Views { views } => views)
    }

    /// Runs the rules for a view entry without adding it; returns it with the LUN it would get.
    ///
    /// # Errors
    /// As [`Client::add_view`], without `ViewConflict`.
    pub fn validate_view(&self, view: View) -> Result<ViewEntry, ClientError> {
        expect_reply!(self, Request::ValidateView { view }, Reply::View(entry) => entry)
    }
}
