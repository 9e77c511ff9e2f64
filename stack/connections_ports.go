package stack

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/xdpstack/xdpstack/tcp"
)

// listPorts is how many ports a shard is asked for in a turn.
const listPorts = listBudget / listConn

// ports finds the ports that are listened on and those of UDP. A listener is on every shard, and shown once.
func (l *lister) ports() error {
	if l.query.Kinds&KindListener != 0 {
		for at := range slices.Chunk(l.endpoints(&l.stack.tcpPorts), listPorts) {
			if err := l.listeners(at); err != nil {
				return err
			}
		}
	}
	if l.query.Kinds&KindUDP != 0 {
		for at := range slices.Chunk(l.endpoints(&l.stack.udpPorts), listPorts) {
			if err := l.sockets(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// endpoints returns the ports that are in use.
func (l *lister) endpoints(used *usedPorts) []endpoint {
	l.stack.mu.Lock()
	defer l.stack.mu.Unlock()
	at := make([]endpoint, 0, len(used.at))
	for e := range used.at {
		at = append(at, e)
	}
	return at
}

// listeners shows those at some endpoints, with what their parts on all shards have together.
func (l *lister) listeners(at []endpoint) error {
	all := make([]ConnInfo, len(at))
	for _, sh := range l.stack.shards {
		err := l.ask(sh, func(sh *Shard) {
			for i, e := range at {
				sh.listed(listConn)
				if ln := sh.listenerAt(e.addr, e.port); ln != nil {
					ln.describe(&all[i])
				}
			}
		})
		if err != nil {
			return err
		}
	}
	for i := range all {
		if all[i].Kind != 0 { // else it was closed meanwhile
			l.add(&all[i])
		}
	}
	return l.flush()
}

// describe adds a shard's part of a listener.
func (l *listener) describe(i *ConnInfo) {
	i.Kind, i.State, i.Local, i.Shard, i.Handler = KindListener, tcp.StateListen, l.at.addrPort(), -1, l.handles()
	i.HalfOpen += l.tcp.SynCount()
	if l.net != nil {
		i.RecvQueue, i.SendQueue = len(l.net.accepted), cap(l.net.accepted) // which all shards share
		return
	}
	i.RecvQueue += l.tcp.Waiting()
	i.SendQueue += l.tcp.Backlog()
}

// handles returns the type of what gets the connections.
func (l *listener) handles() string {
	if l.net != nil {
		return typeName(l.net)
	}
	return typeName(l.handler)
}

// sockets shows the UDP sockets at some endpoints. They are the same on all shards.
func (l *lister) sockets(at []endpoint) error {
	found := make([]*PacketSocket, len(at))
	err := l.ask(l.stack.shards[0], func(sh *Shard) {
		for i, e := range at {
			sh.listed(listConn)
			found[i] = sh.socketAt(e.addr, e.port)
		}
	})
	if err != nil {
		return err
	}
	for _, u := range found {
		if u == nil {
			continue // It was closed meanwhile.
		}
		i := ConnInfo{Kind: KindUDP, State: tcp.StateClosed, Local: u.at.addrPort(), Shard: -1, Handler: typeName(u.handler)}
		if c := u.conn; c != nil {
			if c.remote.IsValid() {
				i.State, i.Remote = tcp.StateEstablished, c.remote
			}
			i.RecvQueue = c.unread()
		}
		l.add(&i)
	}
	return l.flush()
}

// unread returns how many bytes wait for Read.
func (c *UDPConn) unread() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.n {
		n += len(c.queue[(c.head+i)%len(c.queue)].data)
	}
	return n
}

// addrPort returns the endpoint with the unspecified address if it is of all.
func (e endpoint) addrPort() netip.AddrPort { return netip.AddrPortFrom(e.addr.Netip(), e.port) }

// typeName returns the name of a handler's type.
func typeName(h any) string { return reflect.TypeOf(h).String() }
