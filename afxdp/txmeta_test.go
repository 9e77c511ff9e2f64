package afxdp

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

const (
	udpStart = 34 // of a test packet's UDP header
	udpField = 6
)

// sumless writes test packet n with the sum of the pseudo-header where its checksum is to be, and returns its descriptor at off.
func (r *rig) sumless(q Queue, n uint32, off, length int) frame.Desc {
	r.t.Helper()
	f := q.Pool().Alloc()
	if f == frame.None {
		r.t.Fatal("no free frame")
	}
	b := udpFrame(q.Pool().Chunk(f)[off:], r.lab.Kernel.MAC, r.lab.Stack.MAC, sink, r.lab.Stack.Address.Addr(), n, length)
	pseudo := checksum.Sum(b[26:34], unix.IPPROTO_UDP+uint32(length-udpStart))
	binary.BigEndian.PutUint16(b[udpStart+udpField:], checksum.Fold(pseudo))
	return frame.Desc{Frame: f, Off: uint32(off), Len: uint32(length), Mark: frame.Mark{Ask: frame.AskSum(udpStart, udpField)}}
}

// readPacket returns the next test packet that comes in, nil if none does.
func (p *packetSocket) readPacket() []byte {
	p.t.Helper()
	buf := make([]byte, 70000)
	for {
		n, err := unix.Read(p.fd, buf)
		switch {
		case err == unix.EAGAIN:
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 500)
			if err == nil && ready == 0 {
				return nil
			}
		case err != nil:
			p.t.Fatalf("AF_PACKET read: %v", err)
		case n > udpStart+8 && binary.BigEndian.Uint16(buf[udpStart:]) == testPort:
			return buf[:n]
		}
	}
}

// sumIsRight reports whether the checksum of a UDP packet is there, and right.
func sumIsRight(b []byte) bool {
	pseudo := checksum.Sum(b[26:34], unix.IPPROTO_UDP+uint32(len(b)-udpStart))
	return binary.BigEndian.Uint16(b[udpStart+udpField:]) != 0 && checksum.Valid(checksum.Sum(b[udpStart:], pseudo))
}

// TestWhoComputes goes through what drivers can, what is wanted and how the socket is bound.
func TestWhoComputes(t *testing.T) {
	old, new := release{6, 12}, release{6, 19}
	for _, c := range []struct {
		driver       string
		tx           TransmitMetadata
		running      release
		want         TxChecksum
		mode         uint16
		sum, noSum   bool // of the device; and an error says why not
		time, noTime bool
	}{
		{"mlx5_core", TransmitChecksum | TransmitTimestamp, old, TxChecksumAuto, unix.XDP_ZEROCOPY, true, false, true, false},
		{"mlx5_core", TransmitChecksum | TransmitTimestamp, old, TxChecksumStack, unix.XDP_ZEROCOPY, false, false, true, false},
		{"mlx5_core", TransmitChecksum | TransmitTimestamp, old, TxChecksumAuto, unix.XDP_COPY, false, false, true, false},
		{"igc", TransmitTimestamp, old, TxChecksumDevice, unix.XDP_ZEROCOPY, false, true, true, false},
		{"igb", 0, old, TxChecksumAuto, unix.XDP_ZEROCOPY, false, false, false, true},
		{"igb", 0, old, TxChecksumDevice, unix.XDP_ZEROCOPY, false, true, false, true},
		{"igb", 0, old, TxChecksumDevice, unix.XDP_COPY, true, false, true, false},
		{"virtio_net", 0, old, TxChecksumDevice, unix.XDP_COPY, false, true, false, true},
		{"virtio_net", 0, old, TxChecksumAuto, unix.XDP_COPY, false, false, false, true},
		{"virtio_net", 0, new, TxChecksumDevice, unix.XDP_COPY, true, false, true, false},
	} {
		info := Info{Driver: c.driver, TxMetadata: c.tx}
		q := &native{can: info.canTransmit(c.running)}
		o := Options{TxChecksum: c.want, TxStamps: 1}
		q.settleChecksum(&o, c.mode)
		q.settleTimestamps(&o, c.mode)
		m := q.mode
		if m.TxChecksum != c.sum || errors.Is(m.NoTxChecksum, ErrNoTxChecksum) != c.noSum {
			t.Errorf("%+v: by the device %v: %v", c, m.TxChecksum, m.NoTxChecksum)
		}
		if m.TxTimestamps != c.time || errors.Is(m.NoTxTimestamps, ErrNoTxTimestamps) != c.noTime {
			t.Errorf("%+v: times %v: %v", c, m.TxTimestamps, m.NoTxTimestamps)
		}
	}
}

// TestChecksumByTheDevice sends packets whose checksums are left to the device, or to the kernel for it, and reads them at the
// other end, in one frame and in several.
func TestChecksumByTheDevice(t *testing.T) {
	for _, test := range []struct {
		name   string
		mtu    int
		length []int
	}{
		{"one frame", 1500, []int{60, 61, 999, 1514}},
		{"several frames", 9000, []int{60, 4001, 9014}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, netlab.Config{MTU: test.mtu}, Options{Mode: ModeCopy, TxChecksum: TxChecksumDevice})
			q := r.queue()
			if _, tx := q.ChecksumOffload(); !tx || !q.Mode().TxChecksum {
				if unix.EINVAL == errnoOf(q.Mode().NoTxChecksum) {
					t.Skipf("this kernel has no metadata: %v", q.Mode().NoTxChecksum)
				}
				t.Fatalf("the stack is to compute checksums: %+v", q.Mode())
			}
			if s := q.Mode().String(); !strings.Contains(s, "checksums by the device or the kernel") {
				t.Errorf("the mode is %q", s)
			}
			if test.mtu > 1500 && !q.Mode().MultiBuffer {
				t.Skipf("needs packets of several frames: %v", q.Mode().NoMultiBuffer)
			}
			for n, length := range test.length {
				r.sendPacket(q, r.split(q, r.sumless(q, uint32(n), int(txMetaLen), min(length, 2000)), length))
				b := r.peer.readPacket()
				if len(b) < length || !sumIsRight(b[:length]) {
					t.Errorf("packet %d of %d bytes arrived as %x", n, length, b[:min(len(b), 60)])
				}
			}
			r.allBack(q)
		})
	}
}

// split makes of a packet that fits a frame, and whose checksum is to be completed, one of length bytes in several frames.
func (r *rig) split(q Queue, d frame.Desc, length int) []frame.Desc {
	packet := []frame.Desc{d}
	if length == int(d.Len) {
		return packet
	}
	p := q.Pool()
	head := p.Bytes(d)
	binary.BigEndian.PutUint16(head[16:], uint16(length-14))
	head[24], head[25] = 0, 0
	binary.BigEndian.PutUint16(head[24:], checksum.Finish(checksum.Sum(head[14:34], 0)))
	binary.BigEndian.PutUint16(head[38:], uint16(length-udpStart))
	pseudo := checksum.Sum(head[26:34], unix.IPPROTO_UDP+uint32(length-udpStart))
	binary.BigEndian.PutUint16(head[udpStart+udpField:], checksum.Fold(pseudo))
	for left := length - int(d.Len); left > 0; {
		f, n := p.Alloc(), min(left, 2001)
		for i := range n {
			p.Chunk(f)[100+i] = byte(left ^ i)
		}
		packet[len(packet)-1].More = true
		packet = append(packet, frame.Desc{Frame: f, Off: 100, Len: uint32(n)})
		left -= n
	}
	return packet
}

// sendPacket sends a packet and gives its frames up.
func (r *rig) sendPacket(q Queue, packet []frame.Desc) {
	r.t.Helper()
	if n := q.Transmit(packet); n != len(packet) {
		r.t.Fatalf("Transmit took %d frames of %d", n, len(packet))
	}
	for _, d := range packet {
		q.Pool().Release(d.Frame)
	}
	if err := q.Flush(); err != nil {
		r.t.Fatal(err)
	}
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}

// TestChecksumThatCannotBe asks for checksums beyond the packet's end, without room for the metadata, and of a queue that does
// not do that: each packet is dropped and counted, and none holds up those behind it, as the kernel would let it.
func TestChecksumThatCannotBe(t *testing.T) {
	anything := map[string]func(d *frame.Desc){"anything": func(*frame.Desc) {}}
	for _, test := range []struct {
		name    string
		opt     Options
		changes map[string]func(d *frame.Desc)
	}{
		{"device", Options{TxChecksum: TxChecksumDevice}, map[string]func(d *frame.Desc){
			"field beyond the end":          func(d *frame.Desc) { d.Ask = frame.AskSum(udpStart, uint8(d.Len-udpStart-1)) },
			"start beyond the end":          func(d *frame.Desc) { d.Ask = frame.AskSum(255, 0) },
			"no room for the metadata":      func(d *frame.Desc) { d.Off = txMetaLen - 1 },
			"no room, and no checksum":      func(d *frame.Desc) { d.Off, d.Ask = 0, 0 },
			"several frames where one fits": func(d *frame.Desc) { d.More = true },
			"its time":                      func(d *frame.Desc) { d.Ask |= frame.AskStamp },
		}},
		{"stack", Options{TxChecksum: TxChecksumStack}, anything},
		{"auto in copy mode", Options{}, anything},
		{"asavie", Options{Driver: DriverAsavie}, anything},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.opt.Mode = ModeCopy
			if _, cards, _ := netlab.CardsOfEnvironment(); cards && test.name != "device" {
				t.Skip("what a queue refuses by itself depends on no card, and each takes seconds to open")
			}
			r := newRig(t, netlab.Config{}, test.opt)
			q := r.queue()
			number, before := uint32(0), *q.Stats()
			for what, change := range test.changes {
				d := r.sumless(q, 0, int(txMetaLen), 100)
				change(&d)
				r.sendPacket(q, []frame.Desc{d})
				if s := q.Stats(); s.TxMalformed != before.TxMalformed+1 || s.TxPackets != before.TxPackets {
					t.Errorf("%s: %+v", what, *s)
				}
				number++
				good := r.sumless(q, number, int(txMetaLen), 100)
				good.Ask = 0
				r.sendPacket(q, []frame.Desc{good})
				if b := r.peer.readPacket(); b == nil || binary.BigEndian.Uint32(b[udpStart+8:]) != number {
					t.Errorf("%s: the packet behind it did not arrive, but %x", what, b)
				}
				before = *q.Stats()
			}
			r.allBack(q)
		})
	}
}

// TestMetadataStaysWhileItIsSent sends packets with metadata at every distance and without, and checks that each has its own for
// as long as its frame is in transmission.
func TestMetadataStaysWhileItIsSent(t *testing.T) {
	r := newRig(t, netlab.Config{Qdisc: "pfifo"}, Options{Mode: ModeCopy, TxChecksum: TxChecksumDevice})
	q := r.queue()
	const packets = 200
	var batch []frame.Desc
	for n := range uint32(packets) {
		d := r.sumless(q, n, int(txMetaLen+8*(n%5)), 100+int(n))
		if n%3 == 0 {
			d.Ask = 0
			udp := q.Pool().Bytes(d)[udpStart:]
			udp[6], udp[7] = 0, 0
		}
		batch = append(batch, d)
	}
	if n := q.Transmit(batch); n != packets {
		t.Fatalf("took %d packets of %d", n, packets)
	}
	if err := q.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, d := range batch {
		want := txMetadata{flags: unix.XDP_TXMD_FLAGS_CHECKSUM, sumStart: udpStart, sumField: udpField}
		m := q.(*native).metadata(d.Frame, d.Off)
		if !q.Pool().InTransmission(d.Frame) || d.Ask != 0 && *m != want {
			t.Fatalf("%+v has the metadata %+v", d, *m)
		}
		q.Pool().Release(d.Frame)
	}
	for n := range packets {
		b := r.peer.readPacket()
		if b == nil || binary.BigEndian.Uint32(b[udpStart+8:]) != uint32(n) || n%3 != 0 && !sumIsRight(b) {
			t.Fatalf("packet %d arrived as %x", n, b)
		}
	}
	r.allBack(q)
}

// TestChecksumDoesNotAllocate sends packets with metadata and counts allocations.
func TestChecksumDoesNotAllocate(t *testing.T) {
	r := newRig(t, netlab.Config{}, Options{Mode: ModeCopy, TxChecksum: TxChecksumDevice})
	q := r.queue()
	if allocs := testing.AllocsPerRun(50, func() {
		for i := range 8 {
			r.batch[i] = r.sumless(q, 1, 64, 1000)
		}
		q.Transmit(r.batch[:8])
		for _, d := range r.batch[:8] {
			q.Pool().Release(d.Frame)
		}
		if err := q.Flush(); err != nil {
			t.Error(err)
		}
		q.Recycle()
		if err := q.Wait(0); err != nil {
			t.Error(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations per turn", allocs)
	}
	r.allBack(q)
}
