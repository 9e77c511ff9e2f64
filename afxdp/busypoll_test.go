package afxdp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestBusyPollOnVeth asks for busy polling of a driver that ignores it: packets come all the same, no system call is made in vain, and the
// mode says so. Where a later veth tells its NAPI, the queue polls.
func TestBusyPollOnVeth(t *testing.T) {
	r := newRig(t, netlab.Config{}, Options{BusyPoll: 50 * time.Microsecond})
	q := r.queue()
	if m := q.Mode(); !m.BusyPoll || !strings.Contains(m.String(), "busy polling") {
		t.Errorf("the mode is %v", m)
	}
	const packets = 100
	for n := range uint32(packets) {
		r.peer.send(r.toStack(n, 100))
	}
	if got := r.receive(q, packets, func(uint32, frame.Desc) bool { return false }); got != packets {
		t.Errorf("%d packets of %d came", got, packets)
	}
	for range 10 * lookInterval {
		q.Receive(r.batch[:])
	}
	m, polls := q.Mode(), q.Stats().BusyPolls
	t.Logf("%v; %d polls", m, polls)
	if m.BusyPolling != (polls > 0) || !m.BusyPolling && !strings.Contains(m.String(), "without effect") {
		t.Errorf("%d polls, and the mode says %v", polls, m)
	}
	if n := testing.AllocsPerRun(2*lookInterval, func() { q.Receive(r.batch[:]) }); n != 0 {
		t.Errorf("%v allocations in an empty receive", n)
	}
}

func TestBusyPollOptions(t *testing.T) {
	for _, o := range []Options{
		{BusyPoll: -1}, {BusyPoll: 2 * time.Second}, {BusyPollBudget: -1}, {DeferHardIRQs: -1}, {GROFlush: -1}, {GROFlush: time.Minute}, {BusyPollBudget: 1 << 16},
		{BusyPoll: time.Microsecond, Driver: DriverAsavie},
	} {
		o = o.withDefaults(1500)
		if err := o.check(); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v, want ErrOptions", o, err)
		}
	}
}

// TestBusyPollStuck has kicks that move nothing: the driver is woken otherwise now and then, and not while something moves.
func TestBusyPollStuck(t *testing.T) {
	var p busyPoll
	woken := 0
	for range 3*stuckKicks + 1 { // the first one only learns the number
		if p.stuck(7) {
			woken++
		}
	}
	if woken != 3 {
		t.Errorf("woken %d times, want 3", woken)
	}
	for n := range 10 * stuckKicks {
		if p.stuck(1 + n%2) {
			t.Fatal("woken although frames are sent")
		}
	}
}
