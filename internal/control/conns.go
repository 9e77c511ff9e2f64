package control

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// bounded is a listener that has no more than a number of connections. When another comes, the one that has asked for nothing for longest
// gives way, so that neither idle clients nor such as never finish a request keep others out. Where all are being answered, the new one is
// told so.
type bounded struct {
	net.Listener
	limit    int
	patience time.Duration // with a client that does not take what it is sent

	mu    sync.Mutex
	conns list.List // of *conn, the oldest first

	refused, evicted atomic.Uint64
}

// conn is a connection of the control socket.
type conn struct {
	net.Conn
	owner *bounded
	place *list.Element // nil: it is closed
	busy  atomic.Bool   // a request of it is being answered
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if mine := b.admit(c); mine != nil {
			return mine, nil
		}
		b.refused.Add(1)
		refuse(c)
	}
}

// admit counts a connection, or returns nil if there are too many.
func (b *bounded) admit(c net.Conn) *conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns.Len() >= b.limit && !b.evict() {
		return nil
	}
	mine := &conn{Conn: c, owner: b}
	mine.place = b.conns.PushBack(mine)
	return mine
}

// evict closes the oldest connection that is not being answered.
func (b *bounded) evict() bool {
	for e := b.conns.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); !c.busy.Load() {
			b.evicted.Add(1)
			b.remove(c)
			c.Conn.Close()
			return true
		}
	}
	return false
}

func (b *bounded) remove(c *conn) {
	if c.place != nil {
		b.conns.Remove(c.place)
		c.place = nil
	}
}

// Close is called by net/http, or whoever gives up.
func (c *conn) Close() error {
	c.owner.mu.Lock()
	c.owner.remove(c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// Write gives the client a time in which it has to take some of what it asked for.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.owner.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// refuse tells a client that there are too many. It may not wait: nobody else is accepted meanwhile.
func refuse(c net.Conn) {
	e := Error{http.StatusServiceUnavailable, "too many clients are being answered: try again, or end some"}
	answer := "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + string(e.json()) + "\n"
	_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
	_, _ = c.Read(make([]byte, 4096)) // with something unread the answer would be lost
	_, _ = c.Write([]byte(answer))
	c.Close()
}
