package doctor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netdev"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// polling is what running stacks on an interface tell about busy polling.
type polling struct {
	asked bool   // one of them was told to
	polls uint64 // that really happened
}

// observePolling looks at what the running stacks tell.
func observePolling(running []snapshot.Snapshot) (p polling) {
	for _, s := range running {
		if strings.Contains(s.Device, "busy polling") {
			p.asked = true
			p.polls += s.Value("queue_busy_polls")
		}
	}
	return p
}

// judgeBusyPoll tells whether busy polling does anything, best by what a running stack has seen of it, else by what the driver
// says of its queues: the kernel takes the option of a socket in any case, and ignores it where no NAPI is bound to the queue.
func judgeBusyPoll(info *afxdp.Info, seen polling, pairs []netdev.Pair, err error) Finding {
	f := Finding{Subject: info.Name + " busy polling", Level: OK}
	bound, shared := 0, 0
	for i := range pairs {
		if pairs[i].Receive.ID != 0 {
			bound++
		}
		if pairs[i].Shared() {
			shared++
		}
	}
	const count = "queue_busy_polls of xdpstack stats counts what really happens"
	switch {
	case seen.polls > 0:
		f.Fact = fmt.Sprintf("active: the stack that runs has polled %d times", seen.polls)
	case seen.asked:
		f.Level, f.Fact = Warn, "asked for by the stack that runs, and not active: its sockets have no NAPI"
		f.Cure = "do without --busy-poll, unless no packets have come yet"
	case errors.Is(err, netdev.ErrUnknown):
		f.Level, f.Fact, f.Cure = Note, "unknown: the kernel does not tell (Linux 6.8 would)", "try --busy-poll 50us; "+count
	case err != nil:
		f.Level, f.Fact, f.Cure = Note, "unknown: "+err.Error(), "try --busy-poll 50us; "+count
	case bound == 0 && !info.Up:
		f.Level, f.Fact, f.Cure = Note, "unknown while the interface is down", "bring it up and ask again"
	case bound == 0:
		f.Level, f.Fact = Note, "no effect: the driver does not tell which NAPI serves its queues"
		f.Cure = "do without --busy-poll; queue_busy_polls of xdpstack stats would stay 0"
	case bound < len(pairs):
		f.Level = Note
		f.Fact = fmt.Sprintf("possible on %d of %d queues: the driver binds a NAPI to those only", bound, len(pairs))
		f.Cure = count
	case shared < len(pairs):
		f.Fact = "possible (--busy-poll) for what is received; transmission has a NAPI of its own, which is woken by interrupts"
	default:
		f.Fact = "possible (--busy-poll): a NAPI is bound to each queue"
	}
	if f.Level == OK && len(pairs) > 0 && pairs[0].Receive.GROFlush != netdev.Unknown && seen.polls == 0 {
		f.Fact += "; interrupts can be deferred for each queue alone"
	}
	return f
}
