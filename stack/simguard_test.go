package stack_test

import (
	"fmt"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/tcp"
)

// guard watches a world from inside while it runs, as the observer on the link does from outside: after each round every frame is
// accounted for, what the variables of connections say is possible, and something is going to happen as long as something is
// outstanding.
type guard struct {
	ends   []guarded
	before map[*endpoint]tcp.Info
	rounds int
	err    error
}

// guarded is an end of a connection and the host that it is on.
type guarded struct {
	*endpoint
	on *host
}

// checkEvery is after how many rounds the whole table of frames is walked.
const checkEvery = 4096

// round is called after each round.
func (g *guard) round(w *world) {
	g.rounds++
	if g.err != nil {
		return
	}
	for _, h := range []host{w.client, w.server} {
		p := h.dev.Pool()
		if a := p.Account(); a.Held < 0 || a.TX < 0 || a.Fill < 0 || a.Free+a.Held+a.TX+a.Fill != p.Size() {
			g.err = fmt.Errorf("%s: frames %+v", h.dev.Name(), a)
		}
		if g.rounds%checkEvery == 0 && g.err == nil {
			g.err = p.Check()
		}
	}
	if len(g.ends) > 4 && g.rounds%64 != 0 {
		return
	}
	for _, e := range g.ends {
		if e.conn != nil && g.err == nil {
			g.err = g.connection(e)
		}
	}
}

// connection returns what is impossible about a connection.
func (g *guard) connection(e guarded) error {
	i := e.conn.Info()
	prev := g.before[e.endpoint]
	g.before[e.endpoint] = i
	mss := uint32(i.SendMSS)
	switch {
	case i.State == tcp.StateClosed, i.State == tcp.StateSynSent: // The window does not govern what goes with a SYN.
	case i.Unacked < 0 || i.Unsent < 0 || int(i.InFlight) > i.Unacked:
		return fmt.Errorf("%+v: %d bytes are outstanding, %d unsent", i, i.Unacked, i.Unsent)
	case i.Unacked > 0 && e.on.Shard(0).Deadline() == clock.Never:
		return fmt.Errorf("%+v: %d bytes are outstanding and no timer runs", i, i.Unacked)
	case i.SACK && i.Recovery == "open" && prev.Recovery == "open" && i.InFlight > prev.InFlight &&
		i.InFlight > max(i.CWnd, prev.CWnd)+3*mss:
		// Limited transmit and a tail loss probe may go beyond the window (RFC 3042, RFC 8985 section 7.3). In a recovery the window
		// is what proportional rate reduction makes it, and without SACK what is in flight is a guess that changes when one ends.
		return fmt.Errorf("%+v: %d bytes are in flight, the congestion window is %d, was %d", i, i.InFlight, i.CWnd, prev.CWnd)
	case i.CWnd < mss:
		return fmt.Errorf("%+v: the congestion window is %d", i, i.CWnd)
	}
	return nil
}

// check reports what was found, and whether the stacks were busy doing nothing: each round has a packet or a timer as its cause.
func (g *guard) check(w *world) {
	w.t.Helper()
	if g.err != nil {
		w.t.Errorf("after %d rounds: %v", g.rounds, g.err)
	}
	packets, stalls := 0, 0
	for _, h := range []host{w.client, w.server} {
		st := h.dev.Stats()
		packets += int(st.Sent + st.Received)
		if r, err := h.Report(); err == nil {
			stalls += int(r[0].Stats.Tx.RingFull + r[0].Stats.Tx.PoolEmpty)
		}
	}
	// The device's completions are polled for, as is room for who waits for it, and TIME-WAIT and neighbours have timers by the second.
	if most := 1000 + 20*packets + stalls + 100*int(w.net.Now().Sub(sim.Start).Seconds()); g.rounds > most {
		w.t.Errorf("%d rounds for %d packets in %v", g.rounds, packets, w.net.Now().Sub(sim.Start))
	}
}
