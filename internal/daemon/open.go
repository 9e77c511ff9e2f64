package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/xdpowner"
	"github.com/xdpstack/xdpstack/stack"
)

// open opens the stack.
func (d *Daemon) open(cfg stack.Config) (*stack.Stack, error) {
	told := cfg.LinkEvent
	cfg.LinkEvent = func(e stack.LinkEvent) {
		d.linkEvent(e)
		if told != nil {
			told(e)
		}
	}
	// So that the filter can be changed while the process runs, which costs a frame nothing before, and another process can take over.
	cfg.Filter, cfg.AFXDP.Transferable = true, cfg.AFXDP.Driver != afxdp.DriverAsavie
	h, err := d.takeover.begin()
	if err != nil {
		return nil, err
	}
	if h == nil {
		s, err := stack.Open(cfg)
		if errors.Is(err, bpf.ErrOccupied) {
			err = occupied(cfg.Interface, err)
		}
		return s, err
	}
	defer h.Close()
	return stack.Adopt(cfg, h)
}

// occupied adds to an error who has the interface.
func occupied(name string, err error) error {
	info, discoverErr := afxdp.Discover(name)
	if discoverErr != nil {
		return err
	}
	for _, owner := range xdpowner.Find(info.Program) {
		err = fmt.Errorf("%w; it is that of %v", err, owner)
	}
	return err
}

// linkEvent logs what happens to the interface.
func (d *Daemon) linkEvent(e stack.LinkEvent) {
	level := slog.LevelWarn
	if e.Kind == stack.LinkUp || e.Kind == stack.LinkAddresses && e.Err == nil && len(e.Addresses) > 0 {
		level = slog.LevelInfo
	}
	d.Log.Log(context.Background(), level, "link", "interface", e.Interface, "event", e.String())
}

// warn says what the stack runs without that it might have.
func (d *Daemon) warn() {
	iface := d.Stack.Interface()
	cpus := d.Stack.CPUs()
	for _, rule := range d.Stack.IgnoredRules() {
		d.Log.Warn("a policy rule (ip rule) is not followed: it looks at more than addresses and interfaces", "rule", rule)
	}
	if d.Stack.InVRF() {
		d.Log.Warn("the interface is in a VRF: its routes are followed, but ports are reserved outside of it, " +
			"and programs in it can have them too")
	}
	for i, q := range iface.Queues() {
		mode := q.Mode()
		d.Log.Debug("queue", "interface", iface.Info().Name, "queue", q.Index(), "cpu", cpus[i], "zero_copy", mode.ZeroCopy,
			"tx_checksum", mode.TxChecksum)
	}
	if why := iface.Program().Fallback(); why != nil {
		d.Log.Warn("generic XDP, which costs throughput", "because", why)
	}
	for _, q := range iface.Queues() {
		if why := q.Mode().NoZeroCopy; why != nil {
			d.Log.Warn("no zero-copy: frames are copied", "queue", q.Index(), "because", why)
			break // the others' reason is the same, most likely; stats counts them
		}
	}
	if why := iface.Queues()[0].Mode().NoMultiBuffer; why != nil {
		d.Log.Warn("packets are smaller than the interface's MTU allows", "mtu", d.Stack.MTU(), "because", why)
	}
	if why := iface.Queues()[0].Mode().NoTxChecksum; why != nil {
		d.Log.Warn("the stack computes checksums", "because", why)
	}
}
