// Package config reads the configuration file of xdpstack serve, which is TOML (https://toml.io/en/v1.0.0).
//
//	file ─► Parse ─┐
//	               ├─► Document: Config, and where each key was set ─► Check ─► Daemon, Services
//	flags ─► Set ──┘
//
// A [Config] mirrors the file: the tags of its fields are the keys, the flags that win over them, and whether a change of them can be taken
// over while the process runs. So a new setting is a field here, and a flag of the same meaning in cmd/xdpstack.
//
// Reading is strict. A key that does not exist, a value of the wrong type and one that makes no sense are [Problems], all of which are
// reported, each with its line and column.
package config
