package web

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/stack"
)

// Connection is a connection as a list of the busiest ones shows it.
type Connection struct {
	Local   netip.AddrPort `json:"local"`
	Remote  netip.AddrPort `json:"remote"`
	State   string         `json:"state"`
	Queue   int            `json:"queue"`
	RTT     time.Duration  `json:"rtt"`    // smoothed, ns; 0: not measured
	Window  uint32         `json:"cwnd"`   // congestion window, bytes
	Resent  uint64         `json:"resent"` // segments sent again
	In, Out uint64         `json:"-"`      // payload bytes received, and sent and acknowledged, so far
	ID      uint32         `json:"-"`      // tells it from another with the same ends, later

	InRate  float64 `json:"in_rate"` // bytes of payload per second, since the look before
	OutRate float64 `json:"out_rate"`
}

// ConnectionsOf is a Config's Connections: the TCP connections of a stack.
func ConnectionsOf(s *stack.Stack) func(see func(Connection) bool) error {
	return func(see func(Connection) bool) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for c, err := range s.Connections(ctx, stack.ConnQuery{Kinds: stack.KindConn}) {
			if err != nil {
				return err
			}
			if !see(Connection{
				Local: c.Local, Remote: c.Remote, State: c.State.String(), Queue: c.Shard, ID: c.ID,
				RTT: c.Info.RTT, Window: c.Info.CWnd, Resent: uint64(c.Info.Resent), In: c.Info.BytesReceived, Out: c.Info.BytesAcked,
			}) {
				return nil
			}
		}
		return nil
	}
}

// Percentiles describe a distribution, in nanoseconds.
type Percentiles struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// maxSeen is how many connections a look takes: it bounds what looking costs, however many there are.
const maxSeen = 4096

// listing is one look at the connections, the busiest first.
type listing struct {
	conns []Connection
	rtt   *Percentiles // nil: no connection has measured any
	more  bool
}

type connKey struct {
	local, remote netip.AddrPort
	queue         int
	id            uint32
}

// rates remembers the look before. Only one goroutine at a time uses it.
type rates struct {
	at     time.Time
	before map[connKey][2]uint64
}

// list looks at the connections.
func (s *Site) list() (*listing, error) {
	l := &listing{}
	err := s.cfg.Connections(func(c Connection) bool {
		if len(l.conns) == maxSeen {
			l.more = true
			return false
		}
		l.conns = append(l.conns, c)
		return true
	})
	if err != nil {
		return nil, err
	}
	s.rates.apply(l.conns, time.Now())
	slices.SortFunc(l.conns, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(b.InRate+b.OutRate, a.InRate+a.OutRate), a.Remote.Compare(b.Remote), a.Local.Compare(b.Local))
	})
	l.rtt = percentiles(l.conns)
	return l, nil
}

// apply sets the rates of connections that were there at the look before.
func (r *rates) apply(conns []Connection, now time.Time) {
	over := now.Sub(r.at).Seconds()
	seen := make(map[connKey][2]uint64, len(conns))
	for i := range conns {
		c := &conns[i]
		key := connKey{c.Local, c.Remote, c.Queue, c.ID}
		if b, ok := r.before[key]; ok && c.In >= b[0] && c.Out >= b[1] && over > 0 {
			c.InRate, c.OutRate = float64(c.In-b[0])/over, float64(c.Out-b[1])/over
		}
		seen[key] = [2]uint64{c.In, c.Out}
	}
	r.at, r.before = now, seen
}

func percentiles(conns []Connection) *Percentiles {
	rtts := make([]time.Duration, 0, len(conns))
	for i := range conns {
		if conns[i].RTT > 0 {
			rtts = append(rtts, conns[i].RTT)
		}
	}
	n := len(rtts)
	if n == 0 {
		return nil
	}
	slices.Sort(rtts)
	at := func(percent int) time.Duration { return rtts[min((n*percent+99)/100, n)-1] }
	return &Percentiles{Count: n, P50: at(50), P90: at(90), P99: at(99), Max: rtts[n-1]}
}

// orders are what connections can be sorted by. What is compared is the more the higher it stands.
var orders = map[string]func(c *Connection) float64{
	"rate":   func(c *Connection) float64 { return c.InRate + c.OutRate },
	"in":     func(c *Connection) float64 { return c.InRate },
	"out":    func(c *Connection) float64 { return c.OutRate },
	"rtt":    func(c *Connection) float64 { return float64(c.RTT) },
	"resent": func(c *Connection) float64 { return float64(c.Resent) },
}

// Orders are the names of what connections can be sorted by, the usual first.
var Orders = []string{"rate", "in", "out", "rtt", "resent"}

// top returns the first n connections in an order whose text has all words of the filter.
func (l *listing) top(n int, order, filter string) []Connection {
	words := strings.Fields(strings.ToLower(filter))
	out := []Connection{}
	for i := range l.conns {
		if order == Orders[0] && len(out) == n {
			break // They are sorted so.
		}
		if l.conns[i].has(words) {
			out = append(out, l.conns[i])
		}
	}
	if by := orders[order]; order != Orders[0] {
		slices.SortStableFunc(out, func(a, b Connection) int { return cmp.Compare(by(&b), by(&a)) })
	}
	return out[:min(n, len(out))]
}

func (c *Connection) has(words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(c.Local.String() + " " + c.Remote.String() + " " + c.State)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
