//! Backing stores of logical units: files and block devices.
