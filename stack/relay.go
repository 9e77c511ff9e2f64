package stack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// relay is what a shard has in common with the same shard of another process, to which it has given its queue, or from which it has got
// it: packets go to and fro, as long as the old process has connections. It is a SOCK_SEQPACKET socket with many packets in a message.
//
//	new process, which has the queue                      old process
//	──────────────────────────────────────────────────────────────────────────────
//	a segment for which it has nothing    ─ segment ─►    its connection, handshake or TIME-WAIT
//	listener, or reset                    ◄─ returned ─   or nothing
//	TX ring                               ◄─ frame ────   what it sends
//	ICMP error, ARP answer                ─ error, ARP ─►
//
// Each direction is bounded by a buffer and the socket's. What is to be sent waits there, and holds the old process's connections back.
// What is received and finds no room is dropped and counted: TCP sends it again.
//
// The shard's goroutine uses all of it, but for the reader, which has buffers of its own and passes them on.
type relay struct {
	conn *net.UnixConn // to read
	fd   int           // to write, without waiting

	out   []byte // messages one behind the other, which the socket had no room for yet
	ends  []int  // of them, but the last, which is being filled
	taken []byte // the message that is being taken
	rest  []byte // what is left of it

	full chan []byte // read, and to be taken
	free chan []byte
	done chan struct{} // closed to end the reader
	gone atomic.Bool   // the other process has closed its end
}

// What a record is. It begins with this, a byte; flags follow in the upper two, and the length of what comes behind the header.
const (
	relaySegment  = iota + 1 // to the old process: a TCP segment, as it goes from shard to shard
	relayReturned            // to the new one: the same; it is not of the old one
	relayError               // to the old one: what an ICMP error says about a segment
	relayARP                 // to the old one: an ARP packet
	relayFrame               // to the new one: a packet for the wire
)

const (
	relayHeader  = 8
	relayMessage = 60 << 10  // bytes from which on another message is begun; one record may be longer
	relayLongest = 132 << 10 // a message's bytes, with the longest packet behind all that come before
	relayBuffer  = 1 << 20   // bytes that wait to be sent
	relayReads   = 4         // messages that wait to be taken
)

// RelayStats count what passes between a process that was replaced and the one that replaces it.
type RelayStats struct {
	ToOld     uint64 `help:"TCP segments given to the process that had the interface before, which may have their connections"`
	Returned  uint64 `help:"TCP segments that it has returned, because it has nothing for them"`
	Sent      uint64 `help:"packets of that process that were sent for it"`
	FromNew   uint64 `help:"TCP segments taken from the process that has the interface now"`
	ToNew     uint64 `help:"packets given to that process to be sent"`
	Dropped   uint64 `help:"packets between the two processes that found no room, or no frame"`
	Malformed uint64 `help:"messages between the two processes that make no sense"`
}

// newRelayPair makes the two ends of a relay.
func newRelayPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("stack: make a relay: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "relay"), os.NewFile(uintptr(fds[1]), "relay"), nil
}

// newRelay makes a relay of an end. The file stays the caller's.
func newRelay(f *os.File) (*relay, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("stack: open a relay: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%w: a relay is a %v socket", ErrHandover, c.LocalAddr().Network()), c.Close())
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stack: open a relay: %w", err), conn.Close())
	}
	r := &relay{
		conn: conn, fd: fd, out: make([]byte, 0, relayBuffer), ends: make([]int, 0, relayBuffer/relayMessage+1),
		full: make(chan []byte, relayReads), free: make(chan []byte, relayReads), done: make(chan struct{}),
	}
	for range relayReads {
		r.free <- make([]byte, relayLongest)
	}
	return r, nil
}

// read takes messages from the socket for a shard until one of both ends is closed.
func (r *relay) read(s *Shard) {
	for {
		var b []byte
		select {
		case b = <-r.free:
		case <-r.done:
			return
		}
		n, err := r.conn.Read(b[:relayLongest])
		if err != nil || n == 0 {
			r.gone.Store(true)
		} else {
			r.full <- b[:n]
		}
		s.passed.Store(true)
		s.wake()
		if err != nil || n == 0 {
			return
		}
	}
}

// close sends what it can and closes this end.
func (r *relay) close() {
	if r.fd < 0 {
		return
	}
	r.flush()
	close(r.done)
	_ = r.conn.Close()
	_ = unix.Close(r.fd)
	r.fd = -1
}

// append makes room for a record with n bytes, and returns them to be filled; nil: there is none.
func (r *relay) append(kind uint8, flags uint16, n int) []byte {
	at := len(r.out)
	if r.room() < n {
		return nil
	}
	begin := 0
	if len(r.ends) > 0 {
		begin = r.ends[len(r.ends)-1]
	}
	if at > begin && at-begin+relayHeader+n > relayMessage {
		r.ends = append(r.ends, at)
	}
	r.out = r.out[:at+relayHeader+n]
	h := r.out[at:]
	h[0], h[1] = kind, 0
	binary.NativeEndian.PutUint16(h[2:], flags)
	binary.NativeEndian.PutUint32(h[4:], uint32(n))
	return h[relayHeader:]
}

// room returns how many bytes the next record can have.
func (r *relay) room() int {
	if r.gone.Load() {
		return -1
	}
	return cap(r.out) - len(r.out) - relayHeader
}

// flush sends as many messages as the socket has room for.
func (r *relay) flush() {
	if len(r.out) == 0 {
		return
	}
	sent, messages := 0, 0
	for sent < len(r.out) {
		end := len(r.out)
		if messages < len(r.ends) {
			end = r.ends[messages]
		}
		err := unix.Send(r.fd, r.out[sent:end], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err == unix.EAGAIN || err == unix.ENOBUFS {
			break
		}
		if err != nil { // nobody will ever read it
			r.gone.Store(true)
			sent = len(r.out)
			break
		}
		sent = end
		messages++
	}
	if sent == 0 {
		return
	}
	n := copy(r.out, r.out[sent:])
	r.out = r.out[:n]
	if n == 0 {
		r.ends = r.ends[:0]
		return
	}
	left := copy(r.ends, r.ends[messages:])
	r.ends = r.ends[:left]
	for i := range r.ends {
		r.ends[i] -= sent
	}
}

// next returns the message's next record, without taking it. ok is false at the end, and at what is none, which ends the message.
func (r *relay) next() (kind uint8, body []byte, ok, bad bool) {
	if len(r.rest) == 0 {
		return 0, nil, false, false
	}
	if len(r.rest) < relayHeader {
		r.rest = nil
		return 0, nil, false, true
	}
	n := binary.NativeEndian.Uint32(r.rest[4:])
	if uint64(n) > uint64(len(r.rest)-relayHeader) {
		r.rest = nil
		return 0, nil, false, true
	}
	return r.rest[0], r.rest[relayHeader : relayHeader+n], true, false
}

// relayOn gives a segment that this process has nothing for to the one that may have: the one before, or the one after, which has given it.
// It reports false if it is for this one.
func (s *Shard) relayOn(g *segment, seg *tcp.Segment, l *listener) bool {
	if l != nil && l.tcp.HasHalfOpen(g.flow) {
		return false
	}
	if s.before != nil && !g.returned && !s.before.gone.Load() {
		opens := seg.Flags&(tcp.FlagSYN|tcp.FlagACK|tcp.FlagRST) == tcp.FlagSYN
		if _, theirs := s.halfOpen[g.flow]; !opens || l == nil || theirs {
			s.stats.Relay.ToOld++
			s.relayTo(s.before, relaySegment, g)
			return true
		}
	}
	if s.after != nil {
		s.relayTo(s.after, relayReturned, g)
		return true
	}
	return false
}

func (s *Shard) relayTo(r *relay, kind uint8, g *segment) {
	b := r.append(kind, 0, passedHeader+s.packetLen(g.frame))
	if b == nil {
		s.drop(g.frame, &s.stats.Relay.Dropped)
		return
	}
	s.putSegment(b, g)
	s.release(g.frame)
}

// relayError tells the process before of an ICMP error about a segment, which may be of its.
func (s *Shard) relayError(e *tcpError) {
	b := s.before.append(relayError, uint16(e.kind), relayErrorLen)
	if b == nil {
		s.stats.Relay.Dropped++
		return
	}
	putFlow(b, &e.flow)
	binary.NativeEndian.PutUint32(b[12:], uint32(e.seq))
	binary.NativeEndian.PutUint32(b[16:], e.mtu)
	b[20] = uint8(e.kind)
}

const relayErrorLen = 21

// relayARP tells the process before of an ARP answer.
func (s *Shard) relayARP(b []byte) {
	if to := s.before.append(relayARP, 0, len(b)); to != nil {
		copy(to, b)
	}
}

// takeRelayed takes what came from other processes.
func (s *Shard) takeRelayed() (worked bool) {
	if s.before != nil {
		worked = s.takeFrom(s.before)
		if s.before.gone.Load() && s.before.taken == nil && len(s.before.full) == 0 {
			s.before.close()
			s.before = nil
			if s.stack.predecessors.Add(-1) == 0 {
				go s.stack.alone()
			}
		}
	}
	if s.after != nil {
		worked = s.takeFrom(s.after) || worked
		if s.after.gone.Load() {
			s.stack.successorGone()
		}
	}
	return worked
}

func (s *Shard) takeFrom(r *relay) (worked bool) {
	for range relayReads {
		if r.taken == nil {
			select {
			case r.taken = <-r.full:
				r.rest = r.taken
			default:
				return worked
			}
		}
		worked = true
		if !s.takeMessage(r) {
			s.passed.Store(true) // there is more, for which there is no room at the moment
			return worked
		}
		r.free <- r.taken
		r.taken = nil
	}
	s.passed.Store(true)
	return worked
}

// takeMessage takes the records of a message. It reports false if it had to stop because the device has no room.
func (s *Shard) takeMessage(r *relay) bool {
	s.segments = s.segments[:0]
	for {
		kind, body, ok, bad := r.next()
		if bad {
			s.stats.Relay.Malformed++
		}
		if !ok {
			break
		}
		if kind == relayFrame && r == s.before && !s.roomFor(len(body)) {
			s.dispatch()
			return false
		}
		s.takeRecord(r, kind, body)
		r.rest = r.rest[relayHeader+len(body):]
		if len(s.segments) == cap(s.segments) {
			s.dispatch()
			s.segments = s.segments[:0]
		}
	}
	s.dispatch()
	return true
}

func (s *Shard) takeRecord(r *relay, kind uint8, b []byte) {
	n := len(s.segments)
	switch {
	case kind == relayFrame && r == s.before && len(b) >= ethernet.HeaderLen:
		s.sendFor(b)
	case kind == relayReturned && r == s.before && len(b) >= passedHeader+tcp.MinHeaderLen:
		s.stats.Relay.Returned++
		if s.takeOver(b); len(s.segments) > n {
			s.segments[n].returned = true
		}
	case kind == relaySegment && r == s.after && len(b) >= passedHeader+tcp.MinHeaderLen:
		s.stats.Relay.FromNew++
		s.takeOver(b)
	case kind == relayError && r == s.after && len(b) == relayErrorLen:
		s.shareError(tcpError{
			flow: getFlow(b), seq: tcp.Seq(binary.NativeEndian.Uint32(b[12:])), mtu: binary.NativeEndian.Uint32(b[16:]),
			kind: tcp.ICMPKind(b[20]),
		})
	case kind == relayARP && r == s.after:
		a, err := ethernet.ParseARP(b)
		if err != nil {
			s.stats.Relay.Malformed++
			return
		}
		s.neigh.Observe(&a, s.now) // the other process answers and defends
		for _, other := range s.stack.shards {
			if other != s && !other.offerARP(a) {
				s.stats.Drop.ARPShared++
			}
		}
	default:
		s.stats.Relay.Malformed++
	}
}

// roomFor reports whether a packet of n bytes can be sent now, or never.
func (s *Shard) roomFor(n int) bool {
	frames := 1 + (n-1)/(s.pool.ChunkSize()-headroom)
	if s.unable || len(s.txq)+frames <= s.dev.Room() {
		return true
	}
	s.transmit()
	return false
}

// sendFor sends a packet of the process before.
func (s *Shard) sendFor(b []byte) {
	if len(b) > s.mtu+ethernet.HeaderLen || s.unable {
		s.stats.Relay.Dropped++
		return
	}
	f := s.allocPacket(b)
	if f == frame.None {
		s.stats.Relay.Dropped++
		return
	}
	s.stats.Relay.Sent++
	s.makeRoom(1 + (len(b)-1)/(s.pool.ChunkSize()-headroom))
	for more := true; more; {
		m := s.pool.Meta(f)
		next := m.Next
		more = m.Flags&tcp.MetaMore != 0
		s.queueTX(frame.Desc{Frame: f, Off: m.Off, Len: m.Len, Mark: frame.Mark{More: more}})
		f = next
	}
}

// flowLen is what a flow takes in bytes, in a record.
const flowLen = 12

func putFlow(b []byte, f *tcp.Flow) {
	copy(b, f.LocalAddr[:])
	copy(b[4:], f.RemoteAddr[:])
	binary.NativeEndian.PutUint16(b[8:], f.LocalPort)
	binary.NativeEndian.PutUint16(b[10:], f.RemotePort)
}

func getFlow(b []byte) tcp.Flow {
	return tcp.Flow{
		LocalAddr: ipv4.Addr(b[:4]), RemoteAddr: ipv4.Addr(b[4:8]),
		LocalPort: binary.NativeEndian.Uint16(b[8:]), RemotePort: binary.NativeEndian.Uint16(b[10:]),
	}
}
