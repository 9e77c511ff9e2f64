package stack_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// list returns what Connections shows.
func list(t *testing.T, s *stack.Stack, q stack.ConnQuery) (all []stack.ConnInfo) {
	t.Helper()
	for c, err := range s.Connections(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// TestConnectionsShowsWhatAConnectionIs compares what the two ends of a connection that loses packets say of it, in its life and after it.
func TestConnectionsShowsWhatAConnectionIs(t *testing.T) {
	w := newWorld(t, 7, settings{})
	w.link.Impair(w.client.dev, sim.Impairment{Delay: 20 * time.Millisecond, Loss: 0.02})
	server := newEndpoint(2, 0)
	server.afterIn = true
	w.serve(func() *endpoint { return server })
	client := w.connect(newEndpoint(1, 4<<20))
	w.until(time.Minute, "half of it has come", func() bool { return server.received > 2<<20 })

	c := list(t, w.client.Stack, stack.ConnQuery{TCPInfo: true})
	s := list(t, w.server.Stack, stack.ConnQuery{Kinds: stack.KindConn, TCPInfo: true})
	if len(c) != 1 || len(s) != 1 {
		t.Fatalf("%d and %d connections: %+v", len(c), len(s), c)
	}
	a, b := c[0], s[0]
	if a.Kind != stack.KindConn || a.State != tcp.StateEstablished || a.Remote != serverPort || b.Remote != a.Local || b.Local != a.Remote {
		t.Errorf("client: %v %v to %v; server: %v to %v", a.State, a.Local, a.Remote, b.Local, b.Remote)
	}
	if a.TCPInfo != client.conn.TCPInfo() || a.Info != client.conn.Info() {
		t.Errorf("%+v, want %+v", a.TCPInfo, client.conn.TCPInfo())
	}
	if a.SendQueue == 0 || a.SendQueue != a.Info.Unacked+a.Info.Unsent || a.SendFrames == 0 {
		t.Errorf("send queue %d in %d frames, %d not acknowledged, %d not sent", a.SendQueue, a.SendFrames, a.Info.Unacked, a.Info.Unsent)
	}
	if a.Timer != tcp.TimerRetransmit || a.Expires <= 0 || a.Expires > a.Info.RTO {
		t.Errorf("timer %v in %v, with an RTO of %v", a.Timer, a.Expires, a.Info.RTO)
	}
	if a.TCPInfo.TotalRetrans == 0 || a.Info.Resent != a.TCPInfo.TotalRetrans || a.Info.BytesAcked != a.TCPInfo.BytesAcked {
		t.Errorf("sent again %d and %d", a.Info.Resent, a.TCPInfo.TotalRetrans)
	}
	if b.TCPInfo.BytesReceived < a.TCPInfo.BytesAcked || b.TCPInfo.BytesReceived != uint64(server.received) {
		t.Errorf("%d bytes received, %d acknowledged", b.TCPInfo.BytesReceived, a.TCPInfo.BytesAcked)
	}
	if a.Handler != "*stack_test.connecting" || b.Handler != "*stack_test.accepting" {
		t.Errorf("handlers %s and %s", a.Handler, b.Handler)
	}

	w.until(time.Minute, "the exchange is over", func() bool { return done(client, server) })
	all := append(list(t, w.client.Stack, stack.ConnQuery{Kinds: stack.KindConn | stack.KindTimeWait}),
		list(t, w.server.Stack, stack.ConnQuery{Kinds: stack.KindConn | stack.KindTimeWait})...)
	if len(all) != 1 || all[0].Kind != stack.KindTimeWait || all[0].State != tcp.StateTimeWait || all[0].Timer != tcp.TimerTimeWait ||
		all[0].Expires <= 0 || all[0].Expires > time.Minute {
		t.Errorf("after the end: %+v", all)
	}
	w.settle()
}

// TestConnectionsShowsPorts has listeners and UDP sockets, with what waits in them.
func TestConnectionsShowsPorts(t *testing.T) {
	w := newWire(t, stack.Config{Backlog: 5}, sim.Config{})
	if _, err := w.Listen("tcp", ":80"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ListenPacket("udp", ":53"); err != nil {
		t.Fatal(err)
	}
	for port := range uint16(3) {
		s := syn(80, 100)
		s.srcPort += port
		w.send(s)
	}
	w.run(time.Millisecond)
	for _, q := range []struct {
		kinds stack.ConnKinds
		state tcp.State
		n     int
	}{{stack.KindListener, tcp.StateListen, 1}, {stack.KindHalfOpen, tcp.StateSynReceived, 3}, {stack.KindUDP, tcp.StateClosed, 1},
		{stack.KindTimeWait, 0, 0}, {stack.KindConn, 0, 0}, {0, 0, 5}} {
		all := list(t, w.Stack, stack.ConnQuery{Kinds: q.kinds})
		if len(all) != q.n || q.kinds != 0 && q.n > 0 && (all[0].State != q.state || all[0].Kind != q.kinds) {
			t.Errorf("kinds %b: %d: %+v", q.kinds, len(all), all)
		}
	}
	l := list(t, w.Stack, stack.ConnQuery{Kinds: stack.KindListener})[0]
	if l.HalfOpen != 3 || l.RecvQueue != 0 || l.SendQueue != 5 || l.Local != netip.MustParseAddrPort("0.0.0.0:80") || l.Shard != -1 {
		t.Errorf("listener: %+v", l)
	}
	h := list(t, w.Stack, stack.ConnQuery{Kinds: stack.KindHalfOpen, Filter: func(c *stack.ConnInfo) bool { return c.Remote.Port() == 4001 }})
	if len(h) != 1 || h[0].Local.Port() != 80 || h[0].Timer != tcp.TimerRetransmit || h[0].Expires <= 0 || h[0].Retries != 0 {
		t.Errorf("half open: %+v", h)
	}
}

func TestConnectionsEndsWithItsContextAndTheStack(t *testing.T) {
	w := newWorld(t, 1, settings{})
	w.serve(func() *endpoint { return newEndpoint(2, 0) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []error
	for _, err := range w.server.Connections(ctx, stack.ConnQuery{}) {
		cancel()
		got = append(got, err)
	}
	if len(got) != 2 || got[0] != nil || !errors.Is(got[1], context.Canceled) {
		t.Errorf("%v", got)
	}
	for range w.server.Connections(t.Context(), stack.ConnQuery{}) {
		break // without anything being asked for again
	}
}
