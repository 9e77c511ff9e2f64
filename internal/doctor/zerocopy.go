package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/copycount"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// runningStacks asks the running stacks of this user that are on an interface what they do.
func runningStacks(name string) (all []snapshot.Snapshot) {
	processes, _ := control.List() // without a directory of sockets there is none
	for _, process := range processes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		var s snapshot.Snapshot
		err := control.Client{Path: process.Path}.Get(ctx, "/stats", &s)
		cancel()
		if err == nil && s.Interface == name {
			all = append(all, s)
		}
	}
	return all
}

// judgeZeroCopy tells whether frames pass without a copy: what the stacks that run on the interface got, else what can be known
// beforehand.
func judgeZeroCopy(info *afxdp.Info, running []snapshot.Snapshot) Finding {
	f := Finding{Subject: info.Name + " zero-copy", Level: OK}
	obstacle := info.ZeroCopyObstacle(afxdp.Options{})
	queues, copied, why := 0, 0, ""
	for _, s := range running {
		n, reason := s.Copied()
		queues += len(s.Queues)
		if copied += n; why == "" {
			why = reason
		}
	}
	switch {
	case queues > 0 && copied == 0:
		f.Fact = fmt.Sprintf("in use on all %d queues of the stack that runs", queues)
		if queues == 1 {
			f.Fact = "in use by the stack that runs"
		}
	case queues > 0 && obstacle != nil:
		f.Level, f.Fact, f.Cure = Note, "not in use by the stack that runs: "+why, obstacle.Cure
	case queues > 0:
		f.Level, f.Fact = Warn, fmt.Sprintf("not in use on %d of %d queues of the stack that runs: %s", copied, queues, why)
		f.Cure = "nothing is known that keeps it from zero-copy now: start it again, with --mode zero-copy to insist"
	case obstacle != nil:
		f.Level, f.Fact, f.Cure = Note, "not possible, frames are copied: "+obstacle.Reason, obstacle.Cure
	case info.XDPUnknown != nil:
		f.Level, f.Fact, f.Cure = Note, "unknown: "+info.XDPUnknown.Error(), "try --mode zero-copy"
	default:
		f.Fact = "supported by the driver" + zeroCopyFrames(info)
	}
	return f
}

// Copies counts for a while how many packets the kernel copies, and judges by that whether those of the stacks on an interface
// are among them.
func Copies(name string, during time.Duration) Finding {
	counter, err := copycount.Open()
	if err != nil {
		return judgeCopies(name, during, 0, copycount.Counts{}, err)
	}
	defer counter.Close()
	before := moved(name)
	time.Sleep(during)
	after := moved(name)
	counts, err := counter.Read()
	return judgeCopies(name, during, after-min(before, after), counts, err)
}

// moved returns how many packets the running stacks on an interface have received and sent.
func moved(name string) (packets uint64) {
	for _, s := range runningStacks(name) {
		packets += s.Value("queue_rx_packets") + s.Value("queue_tx_packets")
	}
	return packets
}

func judgeCopies(name string, during time.Duration, packets uint64, counts copycount.Counts, err error) Finding {
	f := Finding{Subject: name + " copies", Level: OK}
	switch {
	case err != nil:
		f.Level, f.Fact, f.Cure = Note, "not counted: "+err.Error(), "run as root, on a kernel with CONFIG_KPROBES and CONFIG_BPF_EVENTS"
	case packets == 0:
		f.Level, f.Fact = Note, fmt.Sprintf("no stack on %s has moved a packet in %v", name, during)
		f.Cure = "send something to a stack that runs, and look again"
	case counts.Copies() == 0 && counts.Missed == 0:
		f.Fact = fmt.Sprintf("none of the %d packets that passed in %v was copied by the kernel", packets, during)
	default:
		f.Level = Note
		f.Fact = fmt.Sprintf("the stacks on %s moved %d packets in %v; of all AF_XDP sockets of this machine %v", name, packets, during,
			counts)
		f.Cure = "see the finding about zero-copy"
	}
	return f
}
