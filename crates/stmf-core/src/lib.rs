//! The target framework as pure state machines: logical units, views, tasks, ALUA.
