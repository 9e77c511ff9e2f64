package tcp

import (
	"encoding/binary"
	"math/bits"
	"testing"
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/clock"
)

var testFlow = Flow{
	LocalAddr: [4]byte{192, 0, 2, 1}, RemoteAddr: [4]byte{198, 51, 100, 7}, LocalPort: 80, RemotePort: 40000,
}

func TestFlow(t *testing.T) {
	if got := unsafe.Sizeof(Flow{}); got != 12 {
		t.Errorf("a flow takes %d bytes, want 12", got)
	}
	if got, want := testFlow.String(), "192.0.2.1:80->198.51.100.7:40000"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := testFlow.Reverse().String(), "198.51.100.7:40000->192.0.2.1:80"; got != want {
		t.Errorf("Reverse() = %q, want %q", got, want)
	}
	if testFlow.Reverse().Reverse() != testFlow {
		t.Error("Reverse is not its own inverse")
	}
}

func TestFlowHash(t *testing.T) {
	h := testFlow.Hash(1, 2)
	if testFlow.Hash(1, 2) != h {
		t.Error("the hash is not stable")
	}
	if testFlow.Hash(1, 3) == h || testFlow.Hash(2, 2) == h {
		t.Error("the hash does not depend on the whole key")
	}
	for i := range 4 {
		f := testFlow
		switch i {
		case 0:
			f.LocalAddr[3]++
		case 1:
			f.RemoteAddr[0]++
		case 2:
			f.LocalPort++
		case 3:
			f.RemotePort++
		}
		if f.Hash(1, 2) == h {
			t.Errorf("the hash does not depend on part %d of the flow", i)
		}
	}
}

// TestFlowHashSpreads has flows that differ in a counting port and address only, as one load generator's do.
func TestFlowHashSpreads(t *testing.T) {
	const buckets, flows = 1 << 10, 1 << 16
	var n [buckets]int
	f := testFlow
	for i := range flows {
		f.RemoteAddr[3], f.RemotePort = byte(i>>14), uint16(i)|1<<15
		n[f.Hash(3, 4)%buckets]++
	}
	for i, k := range n {
		if k > 2*flows/buckets || k < flows/buckets/3 {
			t.Errorf("bucket %d has %d flows, the mean is %d", i, k, flows/buckets)
		}
	}
}

// sipReference is SipHash-c-d as its paper has it, byte by byte.
func sipReference(c, d int, k0, k1 uint64, msg []byte) uint64 {
	v0, v1, v2, v3 := k0^sip0, k1^sip1, k0^sip2, k1^sip3
	rounds := func(n int) {
		for range n {
			v0 += v1
			v1 = bits.RotateLeft64(v1, 13) ^ v0
			v0 = bits.RotateLeft64(v0, 32)
			v2 += v3
			v3 = bits.RotateLeft64(v3, 16) ^ v2
			v0 += v3
			v3 = bits.RotateLeft64(v3, 21) ^ v0
			v2 += v1
			v1 = bits.RotateLeft64(v1, 17) ^ v2
			v2 = bits.RotateLeft64(v2, 32)
		}
	}
	compress := func(m uint64) {
		v3 ^= m
		rounds(c)
		v0 ^= m
	}
	last := uint64(len(msg)) << 56
	for ; len(msg) >= 8; msg = msg[8:] {
		compress(binary.LittleEndian.Uint64(msg))
	}
	for i, b := range msg {
		last |= uint64(b) << (8 * i)
	}
	compress(last)
	v2 ^= 0xff
	rounds(d)
	return v0 ^ v1 ^ v2 ^ v3
}

func TestSipHash(t *testing.T) {
	var msg [24]byte
	for i := range msg {
		msg[i] = byte(i)
	}
	// The test vector in appendix A of the SipHash paper.
	const k0, k1 = 0x0706050403020100, 0x0f0e0d0c0b0a0908
	if got := sipReference(2, 4, k0, k1, msg[:15]); got != 0xa129ca6149be45e5 {
		t.Fatalf("SipHash-2-4 of the paper's message is %#x", got)
	}
	a, b, c := binary.LittleEndian.Uint64(msg[:]), binary.LittleEndian.Uint64(msg[8:]), binary.LittleEndian.Uint64(msg[16:])
	if got, want := sip24(k0, k1, a, b, c), sipReference(2, 4, k0, k1, msg[:]); got != want {
		t.Errorf("sip24 = %#x, want %#x", got, want)
	}
	if got, want := sip13(k0, k1, a, b&(1<<32-1)), sipReference(1, 3, k0, k1, msg[:12]); got != want {
		t.Errorf("sip13 = %#x, want %#x", got, want)
	}
}

func TestISN(t *testing.T) {
	k := NewKeys([16]byte{1, 2, 3})
	now := clock.Time(5e9)
	first := k.ISN(testFlow, now)
	if got := k.ISN(testFlow, now.Add(4000)).Sub(first); got != 1 {
		t.Errorf("4 microseconds later the number is %d further, want 1", got)
	}
	if got := k.ISN(testFlow, now.Add(1e9)).Sub(first); got != 250_000 {
		t.Errorf("a second later the number is %d further, want 250000", got)
	}
	// Neither another flow's number nor the same flow's under another secret tells this one.
	other := testFlow
	other.RemotePort++
	if d := k.ISN(other, now).Sub(first); d > -1<<16 && d < 1<<16 {
		t.Errorf("the next flow's number differs by %d only", d)
	}
	k2 := NewKeys([16]byte{1, 2, 4})
	if d := k2.ISN(testFlow, now).Sub(first); d > -1<<16 && d < 1<<16 {
		t.Errorf("under another secret the number differs by %d only", d)
	}
	if k.TimestampOffset(testFlow) == k.TimestampOffset(other) {
		t.Error("two flows have the same timestamp offset")
	}
}

func BenchmarkFlowHash(b *testing.B) {
	f := testFlow
	var sum uint32
	for b.Loop() {
		f.RemotePort++
		sum += f.Hash(1, 2)
	}
	_ = sum
}
