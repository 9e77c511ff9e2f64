package afxdp

import (
	"errors"
	"os"
	"path/filepath"
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

// TestBusyPollRestores has two queues change the same settings: what was before is there again when both have ended, in whatever order, and
// a file that the kernel does not have is no error.
func TestBusyPollRestores(t *testing.T) {
	for _, firstEnds := range []int{0, 1} {
		path := filepath.Join(t.TempDir(), "gro_flush_timeout")
		if err := os.WriteFile(path, []byte("7\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		var p [2]busyPoll
		for i := range p {
			if err := errors.Join(p[i].write(path, "200000"), p[i].write(path+".missing", "1")); err != nil {
				t.Fatal(err)
			}
		}
		if b, _ := os.ReadFile(path); string(b) != "200000" {
			t.Errorf("the setting is %q", b)
		}
		for i := range p {
			if err := p[(i+firstEnds)%2].stop(); err != nil {
				t.Error(err)
			}
		}
		if b, _ := os.ReadFile(path); string(b) != "7" {
			t.Errorf("the setting is %q afterwards, want 7", b)
		}
		var gone busyPoll
		if err := gone.write(path, "1"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(path), os.Remove(filepath.Dir(path))); err != nil {
			t.Fatal(err)
		}
		if err := gone.stop(); err != nil {
			t.Errorf("the interface is gone: %v", err)
		}
	}
}
