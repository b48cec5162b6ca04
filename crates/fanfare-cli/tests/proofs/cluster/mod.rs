//! Several hubs that share a log, and what may befall them and the servers that have it.

// Where a process runs, and on which port.
mod site;
// The servers that have the log.
mod broker;
// The hubs on it, and who of them is asked.
mod hubs;
mod rotation;
// Who publishes and who follows, and what that comes to.
mod load;

// Who hangs, when something does.
mod witnesses;

// Killed and started again.
mod kills;
// Restarted in good order, one after the other.
mod rolling;
// Cut off from each other.
mod network;
mod partition;
