package receive

import (
	"errors"
	"maps"
	"slices"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/metrics"
)

// Account says where every frame went that came to an interface, since it was begun.
type Account struct {
	iface  *afxdp.Interface
	before nic
}

// nic is what the kernel and the driver count of an interface.
type nic struct {
	link   netlink.LinkStatistics
	driver map[string]uint64
}

// Where is what an Account says.
type Where struct {
	Program bpf.Counters // of the XDP program: what came, by reason
	Queues  []Queue      // what became of what it redirected
	Link    Link         // what the kernel counts of the interface
	Driver  []Count      // what the driver counted in the meantime, by its own names; whatever of that is not 0
	Copying bool         // frames are copied to the sockets: see Queue.Drops
}

// Link is what the kernel counts of the interface itself.
type Link struct {
	Packets uint64 `json:"packets" help:"packets that the driver received"`
	Dropped uint64 `json:"dropped" help:"packets that the kernel or the driver dropped: no buffer, or nobody who wanted them"`
	Missed  uint64 `json:"missed" help:"packets that the card dropped because its ring was full"`
	Errors  uint64 `json:"errors" help:"bad packets"`
}

// Count is a counter with a name that others gave it.
type Count struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// NewAccount begins an account.
func NewAccount(iface *afxdp.Interface) *Account {
	return &Account{iface: iface, before: lookAt(iface.Info().Name)}
}

// lookAt reads the counters of an interface. There may be none, of one that has just gone.
func lookAt(name string) (n nic) {
	if l, err := netlink.LinkByName(name); err == nil && l.Attrs().Statistics != nil {
		n.link = *l.Attrs().Statistics
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return n
	}
	defer e.Close()
	n.driver, _ = e.Stats(name)
	return n
}

// Read reads all counters. While packets come they are of slightly different moments.
func (a *Account) Read(r *Receiver) (Where, error) {
	var w Where
	queues, err := r.Snapshot()
	program, err2 := a.iface.Program().Counters()
	w.Queues, w.Program = queues, program
	w.Copying = a.Copying()
	w.Link, w.Driver = lookAt(a.iface.Info().Name).since(&a.before)
	return w, errors.Join(err, err2)
}

// since returns what was counted after an earlier look. An interface that has gone, or begun anew, has counted nothing.
func (n nic) since(before *nic) (l Link, driver []Count) {
	grown := func(now, before uint64) uint64 { return now - min(before, now) }
	was := &before.link
	l = Link{
		Packets: grown(n.link.RxPackets, was.RxPackets), Dropped: grown(n.link.RxDropped, was.RxDropped),
		Missed: grown(n.link.RxMissedErrors, was.RxMissedErrors), Errors: grown(n.link.RxErrors, was.RxErrors),
	}
	for _, name := range slices.Sorted(maps.Keys(n.driver)) {
		if v := grown(n.driver[name], before.driver[name]); v != 0 {
			driver = append(driver, Count{name, v})
		}
	}
	return l, driver
}

// Copying reports whether frames are copied to the sockets.
func (a *Account) Copying() bool {
	q := a.iface.Queues()
	return len(q) > 0 && !q[0].Mode().ZeroCopy
}

// Quiet makes the program pass everything to the kernel, so that nothing more comes to the sockets. It is for Config.Quiet: what was
// redirected until then is counted, and an Account that is read afterwards has no loose end.
func (a *Account) Quiet() error {
	var all error
	for _, q := range a.iface.Queues() {
		all = errors.Join(all, a.iface.Program().ClearSocket(q.Index()))
	}
	return all
}

// Seen returns how many frames the program saw, redirected to sockets, and passed to the kernel.
func (w *Where) Seen() (seen, redirected, passed uint64) {
	metrics.Walk("", w.Program.Redirected, func(m metrics.Metric) { redirected += m.Value })
	metrics.Walk("", w.Program.Passed, func(m metrics.Metric) { passed += m.Value })
	return redirected + passed, redirected, passed
}

// Drops are the packets that the kernel dropped between the program and a socket's ring, by reason.
type Drops struct {
	RingFull uint64 `json:"rx_ring_full" help:"the RX ring was full: the receiver was too slow"`
	NoFrame  uint64 `json:"fill_ring_empty" help:"no frame was free to receive into: the receiver was too slow, or has too few"`
	Other    uint64 `json:"did_not_fit" help:"they did not fit into a frame, or the kernel had no memory"`
	Invalid  uint64 `json:"invalid" help:"their descriptors were impossible"`
}

// Sum returns all of them.
func (d Drops) Sum() uint64 { return d.RingFull + d.NoFrame + d.Other + d.Invalid }

// Drops returns what the kernel dropped of a queue. In copy mode it counts a packet for which the fill ring had no frame twice. With
// zero-copy it counts there how often the driver wanted frames in vain, long before there is a packet.
func (q *Queue) Drops(copying bool) Drops {
	d := Drops{RingFull: q.Kernel.RxRingFull, NoFrame: q.Kernel.FillRingEmpty, Other: q.Kernel.RxDropped, Invalid: q.Stats.RxInvalid}
	if copying {
		d.Other -= min(d.NoFrame, d.Other)
	} else {
		d.NoFrame = 0
	}
	return d
}

// Unexplained returns how many frames the program has redirected that were neither received nor dropped under a name. While packets
// come these are the ones in the rings; after the end of a receiver whose Quiet was the account's there are none. It is below 0 if the
// counters were read while packets came.
func (w *Where) Unexplained() int64 {
	_, redirected, _ := w.Seen()
	left := int64(redirected)
	for i := range w.Queues {
		left -= int64(w.Queues[i].Stats.RxPackets) + int64(w.Queues[i].Drops(w.Copying).Sum())
	}
	return left
}
