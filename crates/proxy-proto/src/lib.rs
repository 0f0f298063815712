//! The protocol two nodes speak to serve each other's logical units. Pure.
