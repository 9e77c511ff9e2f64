package afxdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// sink is an address that nobody has: the kernel on the other side neither answers nor reports what is sent there.
var sink = netip.MustParseAddr("10.77.0.99")

const testPort = 4242 // of all test packets, so that the quiet wire's few other frames are told apart

// udpFrame writes an Ethernet frame with a UDP packet of number n, length bytes in all, and returns it.
func udpFrame(b []byte, dst, src [6]byte, to, from netip.Addr, n uint32, length int) []byte {
	b = b[:length]
	copy(b, dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	ip := b[14:]
	copy(ip, []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0})
	binary.BigEndian.PutUint16(ip[2:], uint16(length-14))
	f4, t4 := from.As4(), to.As4()
	copy(ip[12:], f4[:])
	copy(ip[16:], t4[:])
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	udp := ip[20:]
	binary.BigEndian.PutUint16(udp[0:], testPort)
	binary.BigEndian.PutUint16(udp[2:], testPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(length-34))
	udp[6], udp[7] = 0, 0 // no checksum
	binary.BigEndian.PutUint32(udp[8:], n)
	for i := 12; i < len(udp); i++ {
		udp[i] = byte(uint32(i) + n)
	}
	return b
}

// number returns the number of a test packet, or false for a frame that is none or is damaged.
func number(b []byte) (n uint32, ok bool) {
	if len(b) < 46 || binary.BigEndian.Uint16(b[12:]) != 0x0800 || b[14] != 0x45 || b[23] != 17 ||
		binary.BigEndian.Uint16(b[34:]) != testPort {
		return 0, false
	}
	udp := b[34:]
	n = binary.BigEndian.Uint32(udp[8:])
	for i := 12; i < len(udp); i++ {
		if udp[i] != byte(uint32(i)+n) {
			return 0, false
		}
	}
	return n, true
}

// rig is a laboratory with an open interface at its stack side.
type rig struct {
	t     *testing.T
	lab   *netlab.Lab
	iface *Interface
	peer  *packetSocket
	buf   [70000]byte
	batch [64]frame.Desc
}

func newRig(t *testing.T, cfg netlab.Config, opt Options) *rig {
	t.Helper()
	cfg.Name = "afxdp"
	r := &rig{t: t, lab: labFor(t, cfg)}
	r.open(opt)
	t.Cleanup(func() { r.close() })
	r.peer = newPacketSocket(t, r.lab.Kernel)
	return r
}

// patience is what times are multiplied with in which something is to happen: cards are tested in an emulator.
func patience() time.Duration {
	if _, cards, _ := netlab.CardsOfEnvironment(); cards {
		return 5
	}
	return 1
}

func (r *rig) open(opt Options) {
	r.t.Helper()
	iface, err := openSide(r.lab.Stack, opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.iface = iface
}

func (r *rig) close() {
	r.t.Helper()
	if r.iface == nil {
		return
	}
	for _, q := range r.iface.Queues() {
		if err := q.Pool().Check(); err != nil {
			r.t.Error(err)
		}
	}
	if err := r.iface.Close(); err != nil {
		r.t.Error(err)
	}
	r.iface = nil
}

// openSide opens a side's interface with its address steered to the queues, and waits for the link, which a card loses meanwhile.
func openSide(side *netlab.Side, opt Options) (iface *Interface, err error) {
	err = side.Do(func() error {
		iface, err = Open(side.Interface, opt, bpf.Config{Mode: bpf.OwnAddress})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := iface.Program().AddAddress(side.Address.Addr()); err != nil {
		return nil, errors.Join(err, iface.Close())
	}
	if err := side.WaitCarrier(); err != nil {
		return nil, errors.Join(err, iface.Close())
	}
	return iface, nil
}

func (r *rig) queue() Queue { return r.iface.Queues()[0] }

// toStack builds packet n from the kernel's side to the stack's.
func (r *rig) toStack(n uint32, length int) []byte {
	return udpFrame(r.buf[:], r.lab.Stack.MAC, r.lab.Kernel.MAC, r.lab.Stack.Address.Addr(), sink, n, length)
}

// transmit queues packet n in a frame of its own; false when there is no frame or no room.
func (r *rig) transmit(q Queue, n uint32, length int) bool {
	r.t.Helper()
	if q.Room() == 0 {
		return false
	}
	p := q.Pool()
	f := p.Alloc()
	if f == frame.None {
		return false
	}
	udpFrame(p.Chunk(f), r.lab.Kernel.MAC, r.lab.Stack.MAC, sink, r.lab.Stack.Address.Addr(), n, length)
	if got := q.Transmit([]frame.Desc{{Frame: f, Len: uint32(length)}}); got != 1 {
		r.t.Fatalf("Transmit took %d packets with room for one", got)
	}
	p.Release(f)
	return true
}

// receive calls f with each test packet until it has had want of them or nothing came for a while; f may keep the frame by
// returning true.
func (r *rig) receive(q Queue, want int, f func(n uint32, d frame.Desc) (keep bool)) (got int) {
	r.t.Helper()
	for idle := 0; got < want && idle < 20*int(patience()); {
		n := q.Receive(r.batch[:])
		for _, d := range r.batch[:n] {
			b := q.Pool().Bytes(d)
			if m := q.Pool().Meta(d.Frame); m.Off != d.Off || m.Len != d.Len {
				r.t.Fatalf("the record says %d+%d, the descriptor %+v", m.Off, m.Len, d)
			}
			seq, ok := number(b)
			keep := false
			if ok {
				got++
				keep = f(seq, d)
			}
			if !keep {
				q.Pool().Release(d.Frame)
			}
		}
		q.Recycle()
		if n > 0 {
			idle = 0
			continue
		}
		idle++
		if err := q.Wait(10 * time.Millisecond); err != nil {
			r.t.Fatalf("Wait: %v", err)
		}
	}
	return got
}

// drain flushes and recycles until the TX ring is empty: with zero-copy the device goes on when it has room for completions, and is told.
func (r *rig) drain(q Queue) {
	r.t.Helper()
	s := q.Stats()
	for end := time.Now().Add(3 * time.Second * patience()); s.Completions != s.TxPackets+s.TxFragments; time.Sleep(time.Millisecond) {
		if err := q.Flush(); err != nil {
			r.t.Fatal(err)
		}
		q.Recycle()
		if time.Now().After(end) {
			r.t.Fatalf("of %d packets only %d completed: %+v", s.TxPackets, s.Completions, q.Pool().Account())
		}
	}
}

// forget receives all that is there and lets go of it. It returns how many frames it was.
func (r *rig) forget(q Queue) (frames int) {
	for {
		n := q.Receive(r.batch[:])
		for _, d := range r.batch[:n] {
			q.Pool().Release(d.Frame)
		}
		q.Recycle()
		if frames += n; n == 0 {
			return frames
		}
	}
}

// settle recycles until the kernel has completed all that was transmitted.
func (r *rig) settle(q Queue) {
	r.t.Helper()
	for end := time.Now().Add(3 * time.Second * patience()); ; time.Sleep(time.Millisecond) {
		q.Recycle()
		s := q.Stats()
		if s.Completions == s.TxPackets+s.TxFragments && q.Pool().Account().TX == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("of %d packets only %d completed: %+v", s.TxPackets, s.Completions, q.Pool().Account())
		}
	}
}

// allBack checks that no frame is held or lost when a test is at its end.
func (r *rig) allBack(q Queue) {
	r.t.Helper()
	r.settle(q)
	if err := q.Pool().Check(); err != nil {
		r.t.Error(err)
	}
	if a := q.Pool().Account(); a.Held != 0 || a.TX != 0 || a.Free+a.Fill != q.Pool().Size() {
		r.t.Errorf("frames are missing: %+v of %d", a, q.Pool().Size())
	}
}

// packetSocket is an AF_PACKET socket on a side's interface.
type packetSocket struct {
	t  *testing.T
	fd int
}

func newPacketSocket(t *testing.T, side *netlab.Side) *packetSocket {
	t.Helper()
	p := &packetSocket{t: t}
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}) // network order
	err := side.Do(func() (err error) {
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all)); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
		_ = unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: side.Index})
	})
	if err != nil {
		t.Fatalf("AF_PACKET socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(p.fd) })
	return p
}

func (p *packetSocket) send(b []byte) {
	p.t.Helper()
	for range 1000 {
		err := unix.Send(p.fd, b, 0)
		if err == nil {
			return
		}
		if err != unix.ENOBUFS && err != unix.EAGAIN {
			p.t.Fatalf("AF_PACKET send: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	p.t.Fatal("AF_PACKET send does not get through")
}

// receive returns the numbers of the test packets that came in, until want have come or nothing comes for a while.
func (p *packetSocket) receive(want int) (got []uint32) {
	p.t.Helper()
	buf := make([]byte, 70000)
	for len(got) < want {
		n, err := unix.Read(p.fd, buf)
		if err == unix.EAGAIN {
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 300*int(patience()))
			if err != nil && err != unix.EINTR || err == nil && ready == 0 {
				break
			}
			continue
		}
		if err == unix.ENETDOWN { // reported once after the link was down
			continue
		}
		if err != nil {
			p.t.Fatalf("AF_PACKET read: %v", err)
		}
		if seq, ok := number(buf[:n]); ok {
			got = append(got, seq)
		}
	}
	return got
}

func TestTestPackets(t *testing.T) {
	var a, b [2048]byte
	one := udpFrame(a[:], [6]byte{1}, [6]byte{2}, sink, sink, 7, 200)
	if n, ok := number(one); !ok || n != 7 {
		t.Fatalf("number = %d, %v", n, ok)
	}
	two := udpFrame(b[:], [6]byte{1}, [6]byte{2}, sink, sink, 7, 200)
	if !bytes.Equal(one, two) {
		t.Error("the same packet twice is not the same")
	}
	one[100] ^= 1
	if _, ok := number(one); ok {
		t.Error("damage is not seen")
	}
}
