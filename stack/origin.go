package stack

// origin is where connections come from: a listener, or a call that connects. Connections name it by a number rather than point to its
// handler, which most of them share.
type origin struct {
	handler  Handler   // of its connections, nil if each has a TCPConn
	listener *listener // nil: they are outgoing
	users    uint32    // connections, and the listener for as long as it listens
	next     uint32    // the next that is not in use
}

// origins are the origins of a shard's connections. The first stands for outgoing connections that have a TCPConn.
type origins struct {
	list []origin
	free uint32 // the first that is not in use, 0: none
}

func (o *origins) init() { o.list = []origin{{users: 1}} }

func (o *origins) at(i uint32) *origin { return &o.list[i] }

// add makes an origin, with one user.
func (o *origins) add(h Handler, l *listener) uint32 {
	i := o.free
	if i == 0 {
		i = uint32(len(o.list))
		o.list = append(o.list, origin{})
	} else {
		o.free = o.list[i].next
	}
	o.list[i] = origin{handler: h, listener: l, users: 1}
	return i
}

func (o *origins) use(i uint32) { o.list[i].users++ }

// leave takes a user away. With the last one the origin goes.
func (o *origins) leave(i uint32) {
	p := &o.list[i]
	if p.users--; p.users == 0 {
		*p = origin{next: o.free}
		o.free = i
	}
}

// handler returns the connection's handler.
func (c *Conn) handler() Handler {
	if c.is(connKeeps) {
		return c.context.(*TCPConn)
	}
	return c.shard.origins.at(c.origin).handler
}

// taken tells the connection's listener, once, that the application has it or that it is gone.
func (c *Conn) taken() {
	if c.is(connWaiting) {
		c.flags &^= connWaiting
		c.shard.origins.at(c.origin).listener.tcp.Taken()
	}
}
