package stack

import (
	"net"
	"sync"
	"syscall"
)

// writeBuffer is how many bytes that Write has copied may wait for the shard to take them, of one connection. That is more than
// the buffers that applications write through have, and little beside the buffer that the shard takes them into.
const writeBuffer = 8192

// outbound is the way of payload from Write to the shard: a buffer, which the stack lends for as long as there is something in
// it, then what a Write waits with.
type outbound struct {
	side
	buffer  *[writeBuffer]byte // what was copied and not taken is buffer[first:last]; nil when there is nothing
	first   int
	last    int
	room    int      // bytes that Write may still copy: what the connection had room for
	waiting [][]byte // what a Write waits with: the caller's slices, which are his again when he holds mu
	offset  int      // bytes of the first of them that were taken
	taken   int      // bytes that were taken of them all
	shut    bool     // a FIN follows

	turn sync.Mutex // one writer at a time; guards one
	one  [1][]byte
}

// Write sends p (net.Conn). It returns when p may be used again: at once where it is short and there is room, else when the stack
// has taken all of it. As with every socket, that it returns does not mean that the peer has anything.
func (t *TCPConn) Write(p []byte) (int, error) {
	o := &t.out
	o.turn.Lock()
	defer o.turn.Unlock()
	o.one[0] = p
	n, err := t.write(o.one[:], len(p))
	o.one[0] = nil
	return n, err
}

// WriteBuffers sends slices in their order, with one message to the shard for all of them, and takes what was sent out of v, as
// [net.Buffers.WriteTo] does on the kernel's connections. That method itself does not know other packages' connections: on a
// TCPConn it calls Write for each slice.
func (t *TCPConn) WriteBuffers(v *net.Buffers) (int64, error) {
	o := &t.out
	o.turn.Lock()
	defer o.turn.Unlock()
	size := 0
	for _, b := range *v {
		size += len(b)
	}
	n, err := t.write(*v, size)
	for left := n; len(*v) > 0; *v = (*v)[1:] {
		first := &(*v)[0]
		if left < len(*first) {
			*first = (*first)[left:]
			break
		}
		left -= len(*first)
		*first = nil
	}
	return int64(n), err
}

// write sends slices of so many bytes together. The caller has the turn.
func (t *TCPConn) write(p [][]byte, size int) (int, error) {
	o := &t.out
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.obstacle()
	if err != nil || size == 0 {
		if err != nil {
			err = t.opError("write", err)
		}
		return 0, err
	}
	copied := t.copyIn(p, size)
	if !copied {
		o.waiting, o.offset, o.taken = p, 0, 0
	}
	o.mu.Unlock()
	asked := t.ask(askWrite) // It may wait for the shard, which must not wait for mu meanwhile.
	o.mu.Lock()
	if copied {
		return size, nil
	}
	if !asked {
		o.waiting, err = nil, net.ErrClosed
	}
	return t.awaitTaken(size, err)
}

// obstacle returns why nothing can be written any more, or nil. The caller holds mu.
func (o *outbound) obstacle() error {
	err := o.refusal()
	switch {
	case err != nil:
		return err
	case o.err == nil && o.shut:
		return syscall.EPIPE
	}
	return o.err
}

// copyIn copies all of what is written into the buffer, if there is room. The caller holds mu.
func (t *TCPConn) copyIn(p [][]byte, size int) bool {
	o := &t.out
	if o.last+size > writeBuffer || size > o.room {
		return false
	}
	if o.buffer == nil {
		o.buffer = t.shard.stack.lend()
	}
	for _, b := range p {
		o.last += copy(o.buffer[o.last:], b)
	}
	o.room -= size
	return true
}

// awaitTaken waits until the shard is done with the slices, and takes them back. The caller holds mu.
func (t *TCPConn) awaitTaken(size int, err error) (int, error) {
	o := &t.out
	for err == nil && o.taken < size {
		if err = o.obstacle(); err == nil {
			o.changed.Wait()
		}
	}
	o.waiting = nil
	if o.taken == size {
		return size, nil
	}
	return o.taken, t.opError("write", err)
}

// shutDown notes that a FIN follows. A Write that waits ends without what was not taken.
func (o *outbound) shutDown() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return net.ErrClosed
	}
	o.shut = true
	o.wakeAll()
	return nil
}

// lend returns a buffer for Write, to be given back with takeBack. Any goroutine may call them.
func (s *Stack) lend() *[writeBuffer]byte {
	if b, ok := s.writeBuffers.Get().(*[writeBuffer]byte); ok {
		return b
	}
	return new([writeBuffer]byte)
}

func (s *Stack) takeBack(b *[writeBuffer]byte) { s.writeBuffers.Put(b) }
