package stack

import (
	"context"
	"net"
	"net/netip"

	"github.com/xdpstack/xdpstack/internal/rss"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// The range of ephemeral ports: RFC 6056 section 3.2 asks for as large a one as possible; this is IANA's dynamic range and what
// Linux adds to it by default.
const (
	firstEphemeral = 32768
	numEphemeral   = 65536 - firstEphemeral
)

// Dial connects to an address over "tcp" or "udp" and returns a net.Conn.
func (s *Stack) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialContext is Dial with a context that bounds the connecting, as net.Dialer.DialContext has it. A host name is looked up with
// the system's resolver.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := Dialer{Stack: s}
	return d.DialContext(ctx, network, address)
}

func (s *Stack) dialTCP(ctx context.Context, remote netip.AddrPort, cfg *tcp.Config, from source) (*TCPConn, error) {
	t := newTCPConn(nil)
	t.opened = make(chan struct{})
	sh := s.dialFrom(remote, from)
	var err error
	if !sh.call(func(sh *Shard) { _, err = sh.connect(remote, t, cfg, from) }) {
		return nil, errClosed
	}
	if err != nil {
		return nil, err
	}
	select {
	case <-t.opened:
		if err := t.failure(); err != nil {
			return nil, err
		}
		return t, nil
	case <-ctx.Done():
		t.ask(askAbort)
		return nil, contextError(ctx)
	case <-sh.done:
		return nil, errClosed
	}
}

// Connect opens a connection that h handles on a shard. It returns once the SYN is queued; h.Opened or h.Closed tells the outcome.
// It must not be called on a shard.
func (s *Stack) Connect(remote netip.AddrPort, h Handler) error {
	d := Dialer{Stack: s}
	return d.Connect(remote, h)
}

// dialShard chooses the shard of the next outgoing connection, in turn.
func (s *Stack) dialShard() *Shard {
	return s.shards[int(s.dials.Add(1)-1)%len(s.shards)]
}

// Connect opens a connection that h handles on this shard, with the stack's TCP configuration; h.Opened or h.Closed tells the outcome.
// It may be called only there, as the methods of [Conn] are: by a handler that opens a connection for another, or one after another.
// Dialer.OpenOn chooses the local address too.
func (s *Shard) Connect(remote netip.AddrPort, h Handler) error {
	err := checkRemote(remote)
	if err == nil && s.stopping {
		err = errClosed
	}
	if err == nil {
		_, err = s.connect(remote, h, nil, s.stack.first())
	}
	if err != nil {
		return s.stack.opError("dial", "tcp", remote.String(), err)
	}
	return nil
}

// connect starts an active open on this shard. A nil cfg is the stack's.
func (s *Shard) connect(remote netip.AddrPort, h Handler, cfg *tcp.Config, from source) (*Conn, error) {
	if s.stopping {
		return nil, errClosed
	}
	if err := s.stack.Err(); err != nil {
		return nil, err
	}
	f := tcp.Flow{RemoteAddr: remote.Addr().As4(), RemotePort: remote.Port()}
	if err := s.checkHost(from.addr, f.RemoteAddr); err != nil {
		return nil, err
	}
	if from.addr.IsUnspecified() { // in shared-address mode
		from.addr = s.sourceTo(f.RemoteAddr)
	}
	if s.paths != nil && !s.owns(from.addr) {
		return nil, ErrNoAddress
	}
	hash, err := s.chooseFlow(&f, from)
	if err != nil {
		return nil, err
	}
	t, _ := h.(*TCPConn)
	origin := uint32(0)
	if t == nil {
		origin = s.origins.add(h, nil)
		defer s.origins.leave(origin) // The connection is its user, if there is one.
	}
	c := s.open(f, hash, origin, t)
	if c == nil {
		return nil, ErrTooManyConns
	}
	s.dialed = true
	c.tcp.Connect(s.core, f, cfg, s.now)
	s.schedule(c)
	return c, nil
}

// checkHost refuses an address that no connection can be opened to from this stack; from is zero if that is not chosen.
func (s *Shard) checkHost(from, ip ipv4.Addr) error {
	if _, ok := s.route(from, ip); !ok {
		return s.errNoRoute()
	}
	if s.isBroadcast(ip) {
		return ErrBroadcast
	}
	if s.owns(ip) {
		return ErrOwned
	}
	return nil
}

// choosePort gives the flow, which has its addresses, an ephemeral port that is free for its remote end: RFC 6056 section 3.3.3
// (algorithm 3), a keyed hash of both addresses and the remote port as the place to start and a counter to go on from there. Where it
// is known at which shard the answers arrive, it is one with which they come to this one; if none is free, one with which they come to
// any. It looks at so many ports, at most, each time.
func (s *Shard) choosePort(f *tcp.Flow, most int) (hash uint32, ok bool) {
	h := &s.stack.homes
	if d := s.stack.shared; d != nil {
		most = min(most, len(d.dialPorts))
	}
	table := h.current.Load()
	if hash, ok = s.findPort(f, table, true, most); !ok && h.first != nil && table != h.first {
		hash, ok = s.findPort(f, table, false, most)
	}
	return hash, ok
}

// findPort looks for a free port of this shard with which answers arrive at it, or else at any, by a table that may be nil.
func (s *Shard) findPort(f *tcp.Flow, table *rss.Table, here bool, most int) (hash uint32, ok bool) {
	h := &s.stack.homes
	offset := f.Hash(s.hashKey[1], s.hashKey[0])
	for range most {
		if d := s.stack.shared; d != nil {
			f.LocalPort = d.dialPorts[(offset+s.portSeq)%uint32(len(d.dialPorts))]
		} else {
			f.LocalPort = uint16(firstEphemeral + (offset+s.portSeq)%numEphemeral)
		}
		s.portSeq++
		if !s.stack.inLane(f.LocalPort) {
			continue
		}
		if h.owner(f) != s {
			continue // each shard has flows of its own, so that no two shards choose the same
		}
		if table != nil {
			if a := h.arrival(table, f); a == nil || here && a != s {
				continue
			}
		}
		if s.listenerAt(f.LocalAddr, f.LocalPort) != nil {
			continue
		}
		hash = f.Hash(s.hashKey[0], s.hashKey[1])
		if _, theirs := s.theirs[*f]; !theirs && s.flows.lookup(&s.conns, f, hash) == nil && !s.timeWait.Has(*f) {
			return hash, true
		}
	}
	return 0, false
}
