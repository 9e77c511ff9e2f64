package ipv4

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/internal/checksum"
)

// unhex turns hexadecimal digits with spaces into bytes.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fixChecksum makes the header checksum of b right if b has a whole header.
func fixChecksum(b []byte) {
	if len(b) < MinHeaderLen {
		return
	}
	n := int(b[0]&15) * 4
	if n < MinHeaderLen || n > len(b) {
		return
	}
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], checksum.Finish(checksum.Sum(b[:n], 0)))
}

// A TCP packet from 192.0.2.1 to 192.0.2.2 with four bytes of payload, DF set.
const plain = "45 00 0018 1234 4000 40 06 0000 c0000201 c0000202 01020304"

// with returns plain with the bytes at off replaced, and a right checksum.
func with(t testing.TB, off int, s string) []byte {
	b := unhex(t, plain)
	copy(b[off:], unhex(t, s))
	fixChecksum(b)
	return b
}

// withOptions returns plain with options, whose length is a multiple of 4.
func withOptions(t testing.TB, s string) []byte {
	b := unhex(t, plain)
	o := unhex(t, s)
	p := append(append(append([]byte(nil), b[:20]...), o...), b[20:]...)
	p[0] = 0x45 + byte(len(o)/4)
	p[3] = byte(len(p))
	fixChecksum(p)
	return p
}

func TestParseRefuses(t *testing.T) {
	wrongSum := with(t, 0, "45")
	wrongSum[10] ^= 1
	ttlChanged := with(t, 0, "45")
	ttlChanged[8]--
	tests := []struct {
		name   string
		packet []byte
		err    error
	}{
		{"plain", with(t, 0, "45"), nil},
		{"padded", append(with(t, 0, "45"), make([]byte, 30)...), nil},
		{"no payload", with(t, 2, "0014"), nil},
		{"TTL 0", with(t, 8, "00"), nil},
		{"empty", nil, ErrShort},
		{"short", with(t, 0, "45")[:19], ErrShort},
		{"version 6", with(t, 0, "65"), ErrVersion},
		{"IHL 4", with(t, 0, "44"), ErrHeaderLen},
		{"IHL 0", with(t, 0, "40"), ErrHeaderLen},
		{"IHL beyond packet", with(t, 0, "4f"), ErrHeaderLen},
		{"total less than header", with(t, 2, "0013"), ErrTotalLen},
		{"total beyond packet", with(t, 2, "0019"), ErrTotalLen},
		{"checksum", wrongSum, ErrChecksum},
		{"field changed on the way", ttlChanged, ErrChecksum},
		{"fragment not of 8 bytes", with(t, 6, "2000"), ErrFragment},
		{"last fragment", with(t, 6, "0001"), nil},
		{"last fragment with DF", with(t, 6, "4001"), nil},
		{"last fragment beyond 65535", with(t, 6, "1fff"), ErrFragment},
		{"last fragment without payload", func() []byte {
			b := with(t, 6, "0001")
			b[3] = 20
			fixChecksum(b)
			return b
		}(), ErrFragment},
		{"source zero", with(t, 12, "00000000"), ErrSource},
		{"source loopback", with(t, 12, "7f000001"), ErrSource},
		{"source multicast", with(t, 12, "e0000001"), ErrSource},
		{"source reserved", with(t, 12, "f0000001"), ErrSource},
		{"source broadcast", with(t, 12, "ffffffff"), ErrSource},
		{"destination zero", with(t, 16, "00000000"), ErrDestination},
		{"destination loopback", with(t, 16, "7f000001"), ErrDestination},
		{"destination reserved", with(t, 16, "f0000001"), ErrDestination},
		{"destination multicast", with(t, 16, "e0000001"), nil},
		{"destination broadcast", with(t, 16, "ffffffff"), nil},
		{"same addresses", with(t, 16, "c0000201"), ErrSameAddress},
		{"options", withOptions(t, "94040000 01010100"), nil},
		{"end of options hides the rest", withOptions(t, "00830302"), nil},
		{"40 bytes of options", withOptions(t, strings.Repeat("01", 40)), nil},
		{"option cut", withOptions(t, "01010107"), ErrOptions},
		{"option too long", withOptions(t, "07050000"), ErrOptions},
		{"option length 0", withOptions(t, "07000000"), ErrOptions},
		{"option length 1", withOptions(t, "07010000"), ErrOptions},
		{"loose source route", withOptions(t, "83030400"), ErrSourceRoute},
		{"strict source route", withOptions(t, "01890304"), ErrSourceRoute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h Header
			err := Parse(tt.packet, &h)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Parse: %v, want %v", err, tt.err)
			}
			var s Stats
			s.Count(err)
			if counted := s != (Stats{}); counted != (err != nil) {
				t.Errorf("error %v, counters %+v", err, s)
			}
			want := tt.err
			if errors.Is(want, ErrChecksum) {
				want = nil
			}
			if err := ParseNoChecksum(tt.packet, &h); !errors.Is(err, want) {
				t.Errorf("ParseNoChecksum: %v, want %v", err, want)
			}
		})
	}
}

func TestParseFields(t *testing.T) {
	var h Header
	b := withOptions(t, "94040000")
	b[1] = 0xb9
	b[6], b[7] = 0x00, 0x02
	fixChecksum(b)
	if err := Parse(append(b, 0, 0, 0), &h); err != nil {
		t.Fatal(err)
	}
	want := Header{HeaderLen: 24, TOS: 0xb9, TotalLen: 28, ID: 0x1234, FragOffset: 16, TTL: 64, Proto: ProtoTCP,
		Src: Addr{192, 0, 2, 1}, Dst: Addr{192, 0, 2, 2}}
	if h != want {
		t.Errorf("got %+v, want %+v", h, want)
	}
	if got := h.Payload(append(b, 0, 0)); !bytes.Equal(got, []byte{1, 2, 3, 4}) || h.PayloadLen() != 4 {
		t.Errorf("payload %x of %d bytes", got, h.PayloadLen())
	}
	if !h.IsFragment() {
		t.Error("not a fragment")
	}
}

func TestMarshal(t *testing.T) {
	headers := []Header{
		{TotalLen: 20, TTL: 64, Proto: ProtoTCP, Src: Addr{192, 0, 2, 1}, Dst: Addr{192, 0, 2, 2}, DF: true},
		{TotalLen: 28, TTL: 1, Proto: ProtoUDP, Src: Addr{10, 0, 0, 1}, Dst: Addr{10, 0, 0, 2}, ID: 0xffff, TOS: 0xff, MF: true},
		{TotalLen: 24, Proto: ProtoICMP, Src: Addr{10, 0, 0, 1}, Dst: LimitedBroadcast, FragOffset: 0x7ff8},
	}
	for _, want := range headers {
		b := make([]byte, 64)
		if n := want.Marshal(b); n != MinHeaderLen {
			t.Fatalf("Marshal = %d", n)
		}
		var got Header
		if err := Parse(b, &got); err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		want.HeaderLen = MinHeaderLen
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if want.Marshal(b[:MinHeaderLen-1]) != 0 {
			t.Error("Marshal fits into 19 bytes")
		}
	}
}

func TestPseudoHeaderSum(t *testing.T) {
	for _, tt := range []struct {
		src, dst Addr
		proto    uint8
		length   int
	}{
		{Addr{192, 0, 2, 1}, Addr{192, 0, 2, 2}, ProtoTCP, 20},
		{LimitedBroadcast, LimitedBroadcast, 255, 65535},
		{Addr{}, Addr{}, 0, 0},
	} {
		p := append(append(tt.src[:], tt.dst[:]...), 0, tt.proto, byte(tt.length>>8), byte(tt.length))
		got, want := PseudoHeaderSum(tt.src, tt.dst, tt.proto, tt.length), checksum.Sum(p, 0)
		if got, want := checksum.Fold(got), checksum.Fold(want); got != want {
			t.Errorf("%+v: %#x, want %#x", tt, got, want)
		}
	}
}

func TestAddr(t *testing.T) {
	tests := []struct {
		s                                              string
		unspecified, loopback, multicast, limited, one bool
	}{
		{"0.0.0.0", true, false, false, false, false},
		{"0.1.2.3", false, false, false, false, false},
		{"127.0.0.1", false, true, false, false, false},
		{"192.0.2.1", false, false, false, false, true},
		{"223.255.255.255", false, false, false, false, true},
		{"224.0.0.1", false, false, true, false, false},
		{"239.255.255.255", false, false, true, false, false},
		{"240.0.0.1", false, false, false, false, false},
		{"255.255.255.255", false, false, false, true, false},
	}
	for _, tt := range tests {
		a, ok := AddrFrom(netip.MustParseAddr(tt.s))
		if !ok || a.String() != tt.s || a.Netip() != netip.MustParseAddr(tt.s) {
			t.Errorf("%s became %v, %v", tt.s, a, ok)
		}
		if a.IsUnspecified() != tt.unspecified || a.IsLoopback() != tt.loopback || a.IsMulticast() != tt.multicast ||
			a.IsLimitedBroadcast() != tt.limited || a.IsHost() != tt.one {
			t.Errorf("%s is misjudged", tt.s)
		}
	}
	if a, ok := AddrFrom(netip.MustParseAddr("::ffff:192.0.2.1")); !ok || a != (Addr{192, 0, 2, 1}) {
		t.Errorf("mapped address became %v, %v", a, ok)
	}
	for _, bad := range []netip.Addr{{}, netip.MustParseAddr("2001:db8::1")} {
		if _, ok := AddrFrom(bad); ok {
			t.Errorf("%v is IPv4", bad)
		}
	}
	if (Addr{1, 2, 3, 4}).Uint32() != 0x01020304 {
		t.Error("Uint32 is not in the order of the wire")
	}
}

func TestHeaderDoesNotAllocate(t *testing.T) {
	b := with(t, 0, "45")
	var h Header
	if n := testing.AllocsPerRun(100, func() {
		if err := Parse(b, &h); err != nil {
			t.Fatal(err)
		}
		h.Marshal(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
