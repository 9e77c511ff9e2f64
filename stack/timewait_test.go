package stack_test

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// TestTimeWaitOfDialedConnection has a new SYN not end the TIME-WAIT of a port on which nobody listens: it is answered like any other segment
// that does not belong there.
func TestTimeWaitOfDialedConnection(t *testing.T) {
	w := newWire(t, stack.Config{}, sim.Config{Name: "stack"})
	h := &watcher{}
	w.open(h)
	h.conn.Close()
	w.run(time.Millisecond)
	fin := w.next()
	a := ack(fin, 1001)
	a.Flags |= tcp.FlagFIN
	w.send(a)
	if last := w.next(); last.seg.Flags != tcp.FlagACK || last.seg.Ack != 1002 {
		t.Fatalf("the FIN is answered with %+v", last.seg)
	}
	s := a
	s.Flags, s.Seq, s.Ack, s.MSS = tcp.FlagSYN, 500_000, 0, 1460
	w.send(s)
	if p := w.next(); p.seg.Flags != tcp.FlagACK || p.seg.Seq != fin.seg.Seq+1 || p.seg.Ack != 1002 {
		t.Errorf("the SYN is answered with %v, sequence number %d, acknowledging %d", p.seg.Flags, p.seg.Seq, p.seg.Ack)
	}
	r, err := w.Report()
	if err != nil {
		t.Fatal(err)
	}
	if r[0].TimeWait != 1 || r[0].Stats.TCP.TimeWait.Reopened != 0 {
		t.Errorf("%d connections are in TIME-WAIT, %d were reopened", r[0].TimeWait, r[0].Stats.TCP.TimeWait.Reopened)
	}
}
