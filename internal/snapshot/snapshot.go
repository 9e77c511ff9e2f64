// Package snapshot is what a running stack tells about itself: what it is, and all its counters with their meaning, in the form that
// goes over the control socket and that "xdpstack stats" shows.
package snapshot

import (
	"slices"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
)

// Snapshot is the state of a stack at one moment.
type Snapshot struct {
	Time        time.Time        `json:"time"`
	Address     string           `json:"address"`
	Addresses   []string         `json:"addresses,omitempty"` // the stack's own beside that, as ranges
	Interface   string           `json:"interface,omitempty"`
	Device      string           `json:"device"`           // the interface and how it is used
	Queues      []Queue          `json:"queues,omitempty"` // of the interface
	Shards      int              `json:"shards"`
	Connections int              `json:"connections"`
	HalfOpen    int              `json:"half_open"`
	TimeWait    int              `json:"time_wait"`
	Metrics     []metrics.Metric `json:"metrics"` // summed over the shards

	Shield string  `json:"shield,omitempty"` // when the XDP program answers SYNs: off, auto, always; empty: it cannot
	Filter *Filter `json:"filter,omitempty"` // nil: there is none

	Handshake metrics.Histogram `json:"handshake"` // round-trip times of handshakes, of all shards
}

// Filter says what is refused at present because of whom it comes from.
type Filter struct {
	Rules   bool `json:"rules"`   // there are some
	SYNs    Rate `json:"syns"`    // of each source
	Packets Rate `json:"packets"` // the same
}

// Rate is a limit; 0 a second: there is none.
type Rate struct {
	PerSecond uint64 `json:"per_second"`
	Burst     uint64 `json:"burst"`
}

// Queue says how frames pass between a queue and the stack, and what came of it on its shard.
type Queue struct {
	Number int    `json:"queue"`
	Mode   string `json:"mode"`             // "zero-copy" or "copy"
	Reason string `json:"reason,omitempty"` // why they are copied

	Checksums      string `json:"checksums"`                 // who computes those of what is sent: "device" or "stack"
	ChecksumReason string `json:"checksum_reason,omitempty"` // why the stack does, if the device was to

	Connections int `json:"connections"`

	Pressed  bool `json:"shield_pressed"`  // the shield answers SYNs on it, if it is to do so by itself
	Pressure int  `json:"shield_pressure"` // SYNs that led to nothing, lately; 512 are pressure

	CPU    int         `json:"cpu"` // that the queue's shard is bound to; -1: any
	Frames QueueFrames `json:"frames"`
	QueueCounters
}

// The values of Queue.Mode.
const (
	ZeroCopy = "zero-copy"
	Copy     = "copy"
)

func queues(i *afxdp.Interface) (all []Queue) {
	for _, q := range i.Queues() {
		mode := q.Mode()
		s := Queue{Number: q.Index(), Mode: ZeroCopy}
		if !mode.ZeroCopy {
			s.Mode, s.Reason = Copy, "asked for"
		}
		if mode.NoZeroCopy != nil {
			s.Reason = mode.NoZeroCopy.Error()
		}
		s.Checksums = "stack"
		if mode.TxChecksum {
			s.Checksums = "device"
		}
		if mode.NoTxChecksum != nil {
			s.ChecksumReason = mode.NoTxChecksum.Error()
		}
		all = append(all, s)
	}
	return all
}

// Copied returns on how many queues frames are copied, and why on the first of them.
func (s *Snapshot) Copied() (n int, reason string) {
	for _, q := range s.Queues {
		if q.Mode == ZeroCopy {
			continue
		}
		if n++; n == 1 {
			reason = q.Reason
		}
	}
	return n, reason
}

// Take asks the stack's shards.
func Take(s *stack.Stack, now time.Time) (Snapshot, error) {
	reports, err := s.Report()
	if err != nil {
		return Snapshot{}, err
	}
	snap := Snapshot{Time: now, Device: s.Describe(), Shards: len(reports)}
	if a := s.Address(); a.IsValid() { // a kernel whose addresses it shares may have none now
		snap.Address = a.String()
	}
	for _, r := range s.Addresses() {
		snap.Addresses = append(snap.Addresses, r.String())
	}
	if i := s.Interface(); i != nil {
		snap.Interface, snap.Queues = i.Info().Name, queues(i)
	}
	cpus := s.CPUs()
	c := counters{link: s.Link(), kernel: s.Shared()}
	for i, r := range reports {
		if i < len(snap.Queues) {
			snap.Queues[i].CPU = cpus[i]
			snap.Queues[i].count(&r)
		}
		snap.Connections += r.Connections
		snap.HalfOpen += r.HalfOpen
		snap.TimeWait += r.TimeWait
		c.shards = metrics.Add(c.shards, r.Stats)
		c.device = metrics.Add(c.device, r.Device)
	}
	if i := s.Interface(); i != nil {
		steered, err := i.Program().Counters()
		if err != nil {
			return Snapshot{}, err
		}
		c.steer = &steered
		if err := snap.defence(s, i.Program()); err != nil {
			return Snapshot{}, err
		}
	}
	snap.Handshake = c.shards.Handshake
	c.walk(func(m metrics.Metric) { snap.Metrics = append(snap.Metrics, m) })
	return snap, nil
}

// defence notes what the XDP program does for the stack's defence.
func (snap *Snapshot) defence(s *stack.Stack, p *bpf.Program) error {
	if p.Shield() != nil {
		snap.Shield = s.Shield().String()
	}
	if !p.Filtered() {
		return nil
	}
	f, err := p.FilterState()
	snap.Filter = &Filter{Rules: f.Rules, SYNs: Rate(f.Rates.SYNs), Packets: Rate(f.Rates.Packets)}
	return err
}

// counters are all that a snapshot has the metrics of.
type counters struct {
	shards stack.ShardStats
	device *stack.DeviceStats // nil: a device in memory
	link   stack.LinkStats
	kernel *stack.SharedStats // nil: the stack has addresses of its own
	steer  *bpf.Counters      // what the XDP program counts; nil: there is none
}

// walk calls add with each metric, under its name.
func (c *counters) walk(add func(metrics.Metric)) {
	metrics.Walk("", c.shards, add)
	metrics.Walk("", c.device, add)
	metrics.Walk("link", c.link, add)
	metrics.Walk("kernel", c.kernel, add)
	metrics.Walk("steer", c.steer, add)
}

// Names returns every metric that the snapshot of a stack can have, all of them zero.
func Names() (all []metrics.Metric) {
	c := counters{device: &stack.DeviceStats{}, kernel: &stack.SharedStats{}, steer: &bpf.Counters{}}
	c.walk(func(m metrics.Metric) { all = append(all, m) })
	return all
}

// Value returns a metric's value, 0 if there is none of that name.
func (s *Snapshot) Value(name string) uint64 {
	for _, m := range s.Metrics {
		if m.Name == name {
			return m.Value
		}
	}
	return 0
}

// Drops returns the metrics that count packets which went nowhere, those that are not zero.
func (s *Snapshot) Drops() []metrics.Metric {
	var out []metrics.Metric
	for _, m := range s.Metrics {
		if m.Value > 0 && IsDrop(m) {
			out = append(out, m)
		}
	}
	return out
}

// IsDrop reports whether a metric counts packets that went nowhere.
func IsDrop(m metrics.Metric) bool {
	return strings.HasPrefix(m.Name, "drop_") || strings.Contains(m.Help, "dropped")
}

// Since returns the counters' increase since an earlier snapshot of the same stack. Gauges keep their value.
func (s *Snapshot) Since(earlier *Snapshot) Snapshot {
	before := make(map[string]uint64, len(earlier.Metrics))
	for _, m := range earlier.Metrics {
		before[m.Name] = m.Value
	}
	out := *s
	out.Metrics = make([]metrics.Metric, len(s.Metrics))
	for i, m := range s.Metrics {
		if !m.Gauge && m.Value >= before[m.Name] { // a counter that fell is another process's: it starts at 0
			m.Value -= before[m.Name]
		}
		out.Metrics[i] = m
	}
	if s.Handshake.Count() >= earlier.Handshake.Count() {
		out.Handshake = metrics.Sub(s.Handshake, earlier.Handshake)
	}
	out.Queues = slices.Clone(s.Queues)
	for i := range min(len(out.Queues), len(earlier.Queues)) {
		out.Queues[i].since(&earlier.Queues[i].QueueCounters)
	}
	return out
}
