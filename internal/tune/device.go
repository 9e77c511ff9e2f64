package tune

import (
	"errors"
	"fmt"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// What is proposed for network cards.
const (
	wantedRing  = 4096 // slots: at 10 million packets a second that is 0.4 ms of them, as long as a shard may be kept from its CPU
	wantedUsecs = 20   // µs between two interrupts of a queue: about what a sleeping shard takes to wake up
)

const queuesName = "queues"

// withTool calls f with an ethtool handle, and takes an answer that the driver has no such thing for errLacks.
func withTool(f func(*ethtool.Ethtool) error) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("tune: ethtool: %w", err)
	}
	defer e.Close()
	err = f(e)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: the driver does not have it", errLacks)
	}
	return err
}

// queuesKnob is the number of queues. Some devices count those for both directions, some each direction, as veth does.
func (t *Tuner) queuesKnob() knob {
	get := func() (c ethtool.Channels, err error) {
		err = withTool(func(e *ethtool.Ethtool) (err error) { c, err = e.GetChannels(t.Interface); return err })
		return c, err
	}
	return knob{
		name: queuesName, why: "a shard for each, and as many CPUs for the rest of the program",
		read: func() (string, error) {
			c, err := get()
			if c.MaxCombined > 0 {
				return fmt.Sprintf("combined %d", c.CombinedCount), err
			}
			return fmt.Sprintf("rx %d tx %d", c.RxCount, c.TxCount), err
		},
		want: func(now string) (string, error) {
			c, err := get()
			n := uint32(max(len(t.usable)/2, 1))
			if t.Queues > 0 {
				n = uint32(t.Queues)
			}
			switch most := max(c.MaxCombined, min(c.MaxRx, c.MaxTx)); {
			case most == 0:
				return now, fmt.Errorf("%w: the driver has a fixed number", errLacks)
			case t.Queues > int(most):
				return now, fmt.Errorf("%d queues are asked for, and the device has at most %d", t.Queues, most)
			default:
				n = min(n, most)
			}
			if c.MaxCombined > 0 {
				return fmt.Sprintf("combined %d", n), err
			}
			return fmt.Sprintf("rx %d tx %d", n, n), err
		},
		write: func(value string) error {
			c, err := get()
			if err != nil {
				return err
			}
			if _, err := fmt.Sscanf(value, "combined %d", &c.CombinedCount); err != nil {
				if _, err := fmt.Sscanf(value, "rx %d tx %d", &c.RxCount, &c.TxCount); err != nil {
					return fmt.Errorf("%q is no number of queues", value)
				}
			}
			return withTool(func(e *ethtool.Ethtool) error { _, err := e.SetChannels(t.Interface, c); return err })
		},
	}
}

func (t *Tuner) ringsKnob() knob {
	get := func() (r ethtool.Ring, err error) {
		err = withTool(func(e *ethtool.Ethtool) (err error) { r, err = e.GetRing(t.Interface); return err })
		if err == nil && r.RxMaxPending == 0 && r.TxMaxPending == 0 {
			err = fmt.Errorf("%w: the device has no rings", errLacks)
		}
		return r, err
	}
	const format = "rx %d tx %d"
	return knob{
		name: "hardware rings", why: "a burst that does not fit is lost in the card",
		read: func() (string, error) {
			r, err := get()
			return fmt.Sprintf(format, r.RxPending, r.TxPending), err
		},
		want: func(string) (string, error) {
			r, err := get()
			better := func(now, most uint32) uint32 { return max(now, min(wantedRing, most)) }
			return fmt.Sprintf(format, better(r.RxPending, r.RxMaxPending), better(r.TxPending, r.TxMaxPending)), err
		},
		write: func(value string) error {
			r, err := get()
			if err != nil {
				return err
			}
			if _, err := fmt.Sscanf(value, format, &r.RxPending, &r.TxPending); err != nil {
				return fmt.Errorf("%q is no size of rings", value)
			}
			return withTool(func(e *ethtool.Ethtool) error { _, err := e.SetRing(t.Interface, r); return err })
		},
	}
}

func (t *Tuner) coalescingKnob() knob {
	get := func() (c ethtool.Coalesce, err error) {
		err = withTool(func(e *ethtool.Ethtool) (err error) { c, err = e.GetCoalesce(t.Interface); return err })
		return c, err
	}
	const format = "adaptive %d, %d us"
	return knob{
		name: "interrupt coalescing", why: "an interrupt for many packets under load, and none that is later than a wake-up",
		read: func() (string, error) {
			c, err := get()
			return fmt.Sprintf(format, c.UseAdaptiveRxCoalesce, c.RxCoalesceUsecs), err
		},
		want: func(string) (string, error) {
			c, err := get()
			if c.RxCoalesceUsecs == 0 && c.UseAdaptiveRxCoalesce == 0 && c.RxMaxCoalescedFrames <= 1 {
				return fmt.Sprintf(format, 0, 0), err // by frames or not at all: a driver without the timer refuses one
			}
			return fmt.Sprintf(format, 0, wantedUsecs), err
		},
		write: func(value string) error {
			c, err := get()
			if err != nil {
				return err
			}
			if _, err := fmt.Sscanf(value, format, &c.UseAdaptiveRxCoalesce, &c.RxCoalesceUsecs); err != nil {
				return fmt.Errorf("%q is no coalescing", value)
			}
			return withTool(func(e *ethtool.Ethtool) error { _, err := e.SetCoalesce(t.Interface, c); return err })
		},
	}
}

// lroKnob is large receive offload, which hides native XDP on some drivers.
func (t *Tuner) lroKnob() knob {
	const feature = "rx-lro"
	return knob{
		name: "large receive offload", why: "some drivers have no native XDP while it is on",
		read: func() (now string, err error) {
			err = withTool(func(e *ethtool.Ethtool) error {
				all, err := e.FeaturesWithState(t.Interface)
				now = onOff(all[feature].Active)
				if f, ok := all[feature]; err == nil && (!ok || !f.Available && !f.Active) {
					return fmt.Errorf("%w: the driver does not have it", errLacks)
				}
				return err
			})
			return now, err
		},
		want: func(string) (string, error) { return onOff(false), nil },
		write: func(value string) error {
			return withTool(func(e *ethtool.Ethtool) error {
				return e.Change(t.Interface, map[string]bool{feature: value == onOff(true)})
			})
		},
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
