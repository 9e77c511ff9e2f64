// Package ours runs xdpstack as a side of the benchmarks: over a device in memory, and as a server over AF_XDP. Both use the
// handler API; nothing is set that a user would not set.
package ours
