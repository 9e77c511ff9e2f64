package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/rss"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// queueNAPIs asks what serves each receive queue.
func queueNAPIs(info *afxdp.Info) (all []afxdp.NAPI, err error) {
	for q := range info.RxQueues {
		n, err := afxdp.QueueNAPI(info.Index, q)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// polling is what running stacks on an interface tell about busy polling.
type polling struct {
	asked bool   // one of them was told to
	polls uint64 // that really happened
}

// observePolling asks the running stacks of this user.
func observePolling(name string) (p polling) {
	processes, _ := control.List() // without a directory of sockets there is none
	for _, process := range processes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		answer, err := control.Get(ctx, process.Path)
		cancel()
		var s snapshot.Snapshot
		if err != nil || json.Unmarshal(answer, &s) != nil {
			continue
		}
		if strings.HasPrefix(s.Device, name+" (") && strings.Contains(s.Device, "busy polling") {
			p.asked = true
			p.polls += s.Value("queue_busy_polls")
		}
	}
	return p
}

// judgeBusyPoll tells whether busy polling does anything, best by what a running stack has seen of it, else by what the driver says of its
// queues: the kernel takes the option of a socket in any case, and ignores it where no NAPI is bound to the queue.
func judgeBusyPoll(info *afxdp.Info, seen polling, all []afxdp.NAPI, err error) Finding {
	f := Finding{Subject: info.Name + " busy polling", Level: OK}
	bound := 0
	for _, n := range all {
		if n.ID != 0 {
			bound++
		}
	}
	switch {
	case seen.polls > 0:
		f.Fact = fmt.Sprintf("active: the stack that runs has polled %d times", seen.polls)
	case seen.asked:
		f.Level, f.Fact = Warn, "asked for by the stack that runs, and not active: no packet has told which NAPI it came by"
		f.Cure = "do without --busy-poll, unless no packets have come yet"
	case err != nil:
		f.Level, f.Fact = Note, "unknown: "+err.Error()
		f.Cure = "try --busy-poll 50us; queue_busy_polls of xdpstack stats counts what really happens"
	case bound == 0:
		f.Level, f.Fact = Note, "no effect: the driver binds no NAPI to its queues (or the kernel is older than 6.8 and does not tell)"
		f.Cure = "do without --busy-poll; queue_busy_polls of xdpstack stats would stay 0"
	case bound < info.RxQueues:
		f.Level, f.Fact = Note, fmt.Sprintf("possible on %d of %d queues: the driver binds a NAPI to those only", bound, info.RxQueues)
		f.Cure = "queue_busy_polls of xdpstack stats counts what really happens on each"
	default:
		f.Fact = "possible (--busy-poll): a NAPI is bound to each queue"
		if all[0].Settings {
			f.Fact += ", and its interrupts can be deferred apart from the others'"
		}
	}
	return f
}

// readHash asks how the interface spreads packets over its queues.
func readHash(info *afxdp.Info) (*rss.Table, error) {
	r, err := rss.Open(info.Name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Table()
}

func judgeHash(info *afxdp.Info, table *rss.Table, err error) Finding {
	f := Finding{Subject: info.Name + " hash", Level: OK}
	switch {
	case err != nil && info.RxQueues == 1:
		f.Fact = "does not matter with one queue"
	case err != nil:
		f.Level, f.Fact = Note, err.Error()
		f.Cure = "it works: segments of outgoing connections that come to another queue are copied to the right shard"
	default:
		f.Fact = fmt.Sprintf("Toeplitz, table of %d entries: answers to outgoing connections come to the shard that dialed",
			len(table.Queues()))
	}
	return f
}
