package netdev

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
)

// The attributes of a NAPI.
const (
	napiIfindex    = 1
	napiID         = 2
	napiIRQ        = 3
	napiPID        = 4
	napiDefer      = 5
	napiFlush      = 6
	napiSuspend    = 7
	napiThreaded   = 8
	longestTimeout = math.MaxInt64
)

// NAPI is what polls queues of a device in the kernel. Interfaces that are down have none.
type NAPI struct {
	ID      uint32 `json:"id"`
	Ifindex int    `json:"ifindex"`
	IRQ     int    `json:"irq"` // number of the interrupt that starts it; Unknown if the driver does not say
	PID     int    `json:"pid"` // process id of its thread, Unknown if it has none
	NAPISettings
}

// NAPISettings are what can be set for each NAPI. One that is Unknown is not told by the kernel, or left as it is by SetNAPI.
// With the first two, who polls a queue can do so without interrupts: after so many rounds without a packet, the NAPI is left to
// a timer.
type NAPISettings struct {
	DeferHardIRQs int           `json:"defer-hard-irqs"`   // rounds without a packet before the interrupt is enabled again
	GROFlush      time.Duration `json:"gro-flush-timeout"` // what the timer is set to until then, in ns
	// IRQSuspend is how long interrupts stay off, in ns, while an application that prefers busy polling finds packets with epoll.
	IRQSuspend time.Duration `json:"irq-suspend-timeout"`
	Threaded   Threaded      `json:"threaded"`
}

// Unchanged are settings of which SetNAPI changes none: set those that should be.
func Unchanged() NAPISettings { return NAPISettings{Unknown, Unknown, Unknown, Unknown} }

// Threaded says where a NAPI runs.
type Threaded int

// Where it may run.
const (
	ThreadedDisabled Threaded = 0 // in softirq context
	ThreadedEnabled  Threaded = 1 // in a kernel thread of its own
	ThreadedBusyPoll Threaded = 2 // in one that polls all the time (6.19)
)

// String returns the kernel's name.
func (t Threaded) String() string {
	switch t {
	case Unknown:
		return "unknown"
	case ThreadedDisabled:
		return "disabled"
	case ThreadedEnabled:
		return "enabled"
	case ThreadedBusyPoll:
		return "busy-poll"
	}
	return fmt.Sprintf("mode %d", int(t))
}

// MarshalText gives the name.
func (t Threaded) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// NAPI asks about one NAPI, by the number that [Queue] gives or a socket has as SO_INCOMING_NAPI_ID.
func (c *Conn) NAPI(id uint32) (NAPI, error) {
	a, err := c.one(cmdNAPIGet, func(e *netlink.AttributeEncoder) { e.Uint32(napiID, id) })
	if err != nil {
		return NAPI{}, fmt.Errorf("netdev: NAPI %d: %w", id, err)
	}
	return readNAPI(a), nil
}

// NAPIs asks about all of an interface that have a number, which they need not have for a driver to use them.
func (c *Conn) NAPIs(ifindex int) ([]NAPI, error) {
	answers, err := c.get(cmdNAPIGet, netlink.Dump, func(e *netlink.AttributeEncoder) { e.Uint32(napiIfindex, uint32(ifindex)) })
	if err != nil {
		return nil, fmt.Errorf("netdev: NAPIs of interface %d: %w", ifindex, err)
	}
	var all []NAPI
	for _, a := range answers {
		all = append(all, readNAPI(a))
	}
	return all, nil
}

// SetNAPI changes settings of one NAPI; those that are Unknown it leaves as they are. A driver that keeps its queues' settings
// has them again when it makes the queues anew (Linux 6.13 and a driver that uses netif_napi_add_config); others go back to those
// of the interface.
func (c *Conn) SetNAPI(id uint32, s NAPISettings) error {
	_, err := c.execute(cmdNAPISet, netlink.Acknowledge, func(e *netlink.AttributeEncoder) {
		e.Uint32(napiID, id)
		if s.DeferHardIRQs != Unknown {
			e.Uint32(napiDefer, uint32(s.DeferHardIRQs))
		}
		if s.GROFlush != Unknown {
			e.Uint64(napiFlush, uint64(s.GROFlush))
		}
		if s.IRQSuspend != Unknown {
			e.Uint64(napiSuspend, uint64(s.IRQSuspend))
		}
		if s.Threaded != Unknown {
			e.Uint32(napiThreaded, uint32(s.Threaded))
		}
	})
	if err != nil {
		return fmt.Errorf("netdev: set NAPI %d to %v: %w", id, s, err)
	}
	return nil
}

func readNAPI(a attributes) NAPI {
	return NAPI{
		ID:      a[napiID].id(),
		Ifindex: int(a[napiIfindex].int(largestIfindex)),
		IRQ:     int(a[napiIRQ].int(math.MaxInt32)),
		PID:     int(a[napiPID].int(math.MaxInt32)),
		NAPISettings: NAPISettings{
			DeferHardIRQs: int(a[napiDefer].int(math.MaxInt32)),
			GROFlush:      time.Duration(a[napiFlush].int(longestTimeout)),
			IRQSuspend:    time.Duration(a[napiSuspend].int(longestTimeout)),
			Threaded:      Threaded(a[napiThreaded].int(math.MaxInt32)),
		},
	}
}

// String describes the settings that are known, with the kernel's names.
func (s NAPISettings) String() string {
	var all []string
	if s.DeferHardIRQs != Unknown {
		all = append(all, fmt.Sprintf("defer-hard-irqs %d", s.DeferHardIRQs))
	}
	if s.GROFlush != Unknown {
		all = append(all, fmt.Sprintf("gro-flush-timeout %v", s.GROFlush))
	}
	if s.IRQSuspend != Unknown {
		all = append(all, fmt.Sprintf("irq-suspend-timeout %v", s.IRQSuspend))
	}
	if s.Threaded != Unknown {
		all = append(all, fmt.Sprintf("threaded %v", s.Threaded))
	}
	if all == nil {
		return "no settings"
	}
	return strings.Join(all, ", ")
}

// String describes the NAPI.
func (n NAPI) String() string {
	s := fmt.Sprintf("NAPI %d", n.ID)
	if n.IRQ != Unknown {
		s += fmt.Sprintf(", irq %d", n.IRQ)
	}
	if n.PID != Unknown {
		s += fmt.Sprintf(", pid %d", n.PID)
	}
	return s + ", " + n.NAPISettings.String()
}
