package config

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/bytesize"
	"github.com/xdpstack/xdpstack/internal/proxy"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/stack"
)

// Config is what the file says. A field's tags are:
//
//	toml    the key
//	flag    the flag of serve that sets the same, and wins over the file
//	reload  "now": a change is taken over at run time; else it needs a restart. What a table has is for all in it that has no other.
//
// A zero field means the default that is given with it. Besides Go's own types, a field may have any with UnmarshalText.
type Config struct {
	Interface string            `toml:"interface" flag:"interface"`        // required
	Address   netip.Prefix      `toml:"address" flag:"address"`            // required, unless Shared
	Addresses []stack.AddrRange `toml:"addresses" flag:"addresses"`        // further ones; none
	Gateway   netip.Addr        `toml:"gateway" flag:"gateway"`            // none
	Shared    bool              `toml:"shared" flag:"shared"`              // the addresses are the kernel's; false
	DialPorts int               `toml:"dial-ports" flag:"dial-ports"`      // reserved for dialing, if Shared; 1024
	Crash     Crash             `toml:"crash" flag:"crash"`                // clean
	Shield    bpf.ShieldMode    `toml:"shield" flag:"shield" reload:"now"` // off; a stack that began with that has none

	AFXDP      AFXDP      `toml:"afxdp"`
	Shards     Shards     `toml:"shards"`
	Log        Log        `toml:"log"`
	Control    Control    `toml:"control"`
	Stop       Stop       `toml:"stop"`
	Web        Web        `toml:"web"`
	Privileges Privileges `toml:"privileges"`
	Filter     Filter     `toml:"filter" reload:"now"`
	Service    []Service  `toml:"service" reload:"now"`
}

// AFXDP says how packets get in and out.
type AFXDP struct {
	Driver     string           `toml:"driver" flag:"driver"`           // native
	Mode       afxdp.Mode       `toml:"mode" flag:"mode"`               // auto
	Attach     bpf.AttachMode   `toml:"attach" flag:"attach"`           // auto
	Frames     int              `toml:"frames" flag:"frames"`           // 16384
	RxRing     int              `toml:"rx-ring" flag:"rx-ring"`         // 2048
	TxRing     int              `toml:"tx-ring" flag:"tx-ring"`         // 2048
	BusyPoll   time.Duration    `toml:"busy-poll" flag:"busy-poll"`     // off
	TxChecksum afxdp.TxChecksum `toml:"tx-checksum" flag:"tx-checksum"` // auto
}

// Shards says how the queues are worked on.
type Shards struct {
	CPUs []int         `toml:"cpus" flag:"cpus"` // near the interrupt
	Spin time.Duration `toml:"spin" flag:"spin"` // 50 µs
}

// Log says what is logged, to the standard error.
type Log struct {
	Level slog.Level `toml:"level" flag:"log-level" reload:"now"` // info
	JSON  bool       `toml:"json" flag:"log-json"`                // false
}

// Control says where the process can be asked, and by whom.
type Control struct {
	Socket string `toml:"socket" flag:"socket"` // by PID in control.Dir
	Mode   Mode   `toml:"mode"`                 // 0600, with a group 0660
	Group  string `toml:"group"`                // none
}

// Web says where the dashboard, metrics and health are given over TCP.
type Web struct {
	Address  string `toml:"address" flag:"web"`        // nowhere
	Anyone   bool   `toml:"anyone" flag:"web-anyone"`  // only this host
	Profiles bool   `toml:"profiles" flag:"web-pprof"` // false
}

// Privileges says what the process keeps when everything is open.
type Privileges struct {
	User    string `toml:"user" flag:"user"`       // nobody
	Seccomp string `toml:"seccomp" flag:"seccomp"` // on
	Broker  string `toml:"broker" flag:"broker"`   // who opens the interface: a path; the process itself
}

// Filter says who is let in, before packets come to the stack: see filter.Settings.
type Filter struct {
	Deny     []string `toml:"deny"`      // prefixes and addresses; nobody
	Allow    []string `toml:"allow"`     // the same, even within denied ones
	SYNRate  string   `toml:"syn-rate"`  // SYNs of each source; off
	Rate     string   `toml:"rate"`      // packets of each source; off
	SYNBurst uint64   `toml:"syn-burst"` // how many may come at once; what the rate has in a second
	Burst    uint64   `toml:"burst"`     // the same for packets
}

// Stop says how the process ends.
type Stop struct {
	Drain Patience `toml:"drain" flag:"drain" reload:"now"` // 10 s
}

// Service is one of what is served.
type Service struct {
	Name    string         `toml:"name"`                                      // required: echo, discard, chargen, http or proxy
	Port    uint16         `toml:"port" flag:"port"`                          // the service's own
	Root    string         `toml:"root" flag:"root"`                          // http: a directory; default the built-in page
	Body    *bytesize.Size `toml:"body" flag:"body"`                          // http: made-up bodies of this size; default none
	Delay   service.Delay  `toml:"delay" flag:"delay" reload:"restart"`       // http: how long a request takes; no time
	NetHTTP bool           `toml:"net-http" flag:"net-http" reload:"restart"` // http: with Go's net/http
	To      []proxy.Target `toml:"to"`                                        // proxy: required: servers, which take turns
	Header  bool           `toml:"proxy-protocol"`                            // proxy: tell the server who the client is
	Timeout time.Duration  `toml:"timeout"`                                   // proxy: how long connecting may take; 5 s
	Idle    time.Duration  `toml:"idle"`                                      // proxy: connections on which nothing passes are reset; never
}
