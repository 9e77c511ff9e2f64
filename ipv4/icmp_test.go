package ipv4

import (
	"bytes"
	"errors"
	"testing"

	"github.com/xdpstack/xdpstack/internal/checksum"
)

// echoRequest returns a whole packet with options of the given bytes and an echo request with data.
func echoRequest(t testing.TB, options string, data []byte) []byte {
	t.Helper()
	o := unhex(t, options)
	b := make([]byte, MinHeaderLen+len(o)+ICMPHeaderLen+len(data))
	h := Header{TotalLen: uint16(len(b)), TTL: 3, Proto: ProtoICMP, TOS: 0x10, Src: Addr{192, 0, 2, 1}, Dst: Addr{192, 0, 2, 2}}
	h.Marshal(b)
	b[0] += byte(len(o) / 4)
	copy(b[MinHeaderLen:], o)
	fixChecksum(b)
	m := b[MinHeaderLen+len(o):]
	copy(m[ICMPHeaderLen:], data)
	(&ICMP{Type: ICMPEchoRequest, Rest: 0xbeef0007}).Marshal(m)
	return b
}

func TestEchoReply(t *testing.T) {
	for _, options := range []string{"", "94040000", "0101010194040000"} {
		for _, data := range [][]byte{nil, {1}, []byte("the quick brown fox"), bytes.Repeat([]byte{0xff}, 1400)} {
			b := echoRequest(t, options, data)
			b = append(b, 0xee, 0xee) // padding
			var h Header
			if err := Parse(b, &h); err != nil {
				t.Fatal(err)
			}
			var m ICMP
			if err := ParseICMP(h.Payload(b), &m); err != nil || m.Type != ICMPEchoRequest {
				t.Fatalf("request: %+v, %v", m, err)
			}
			r := EchoReply(b, &h, 77)
			if &r[0] != &b[h.HeaderLen-MinHeaderLen] {
				t.Fatal("reply does not begin where it is documented to")
			}
			var rh Header
			if err := Parse(r, &rh); err != nil {
				t.Fatalf("reply: %v", err)
			}
			want := Header{HeaderLen: 20, TOS: 0x10, TotalLen: uint16(28 + len(data)), ID: 77, TTL: DefaultTTL, Proto: ProtoICMP,
				Src: h.Dst, Dst: h.Src}
			if rh != want {
				t.Errorf("reply header %+v, want %+v", rh, want)
			}
			if err := ParseICMP(rh.Payload(r), &m); err != nil || m.Type != ICMPEchoReply || m.ID() != 0xbeef || m.Seq() != 7 {
				t.Errorf("reply: %+v, %v", m, err)
			}
			if !bytes.Equal(rh.Payload(r)[ICMPHeaderLen:], data) {
				t.Error("reply has other data than the request")
			}
		}
	}
}

func TestParseICMPRefuses(t *testing.T) {
	good := echoRequest(t, "", []byte("data"))[MinHeaderLen:]
	for n := range ICMPHeaderLen {
		if err := ParseICMP(good[:n], new(ICMP)); !errors.Is(err, ErrICMPShort) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for i := range good {
		good[i] ^= 0x10
		if err := ParseICMP(good, new(ICMP)); !errors.Is(err, ErrICMPChecksum) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		good[i] ^= 0x10
	}
	if (&ICMP{}).Marshal(make([]byte, ICMPHeaderLen-1)) != 0 {
		t.Error("Marshal fits into 7 bytes")
	}
}

func TestParseQuoted(t *testing.T) {
	// What a router would quote: a header and 8 bytes of a TCP segment.
	packet := with(t, 2, "05dc")
	transport := unhex(t, "d903 0050 11223344")
	quote := append(append([]byte(nil), packet[:20]...), transport...)
	var q Quoted
	if err := ParseQuoted(quote, &q); err != nil {
		t.Fatal(err)
	}
	if q.Src != (Addr{192, 0, 2, 1}) || q.Dst != (Addr{192, 0, 2, 2}) || q.Proto != ProtoTCP || q.TotalLen != 1500 ||
		q.SrcPort != 0xd903 || q.DstPort != 0x50 || q.Seq != 0x11223344 || !bytes.Equal(q.Transport[:], transport) {
		t.Errorf("got %+v", q)
	}
	for n := range quote {
		if err := ParseQuoted(quote[:n], &q); !errors.Is(err, ErrICMPQuote) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for name, edit := range map[string]func([]byte){
		"version":      func(b []byte) { b[0] = 0x65 },
		"IHL short":    func(b []byte) { b[0] = 0x44 },
		"IHL long":     func(b []byte) { b[0] = 0x46 },
		"total length": func(b []byte) { b[2], b[3] = 0, 27 },
	} {
		b := bytes.Clone(quote)
		edit(b)
		err := ParseQuoted(b, &q)
		if !errors.Is(err, ErrICMPQuote) {
			t.Errorf("%s: %v", name, err)
		}
		var s ICMPStats
		s.Count(err)
		if s.Quote != 1 {
			t.Errorf("%s: counters %+v", name, s)
		}
	}
}

func TestICMPDoesNotAllocate(t *testing.T) {
	b := echoRequest(t, "", []byte("data"))
	var h Header
	var m ICMP
	if n := testing.AllocsPerRun(100, func() {
		if err := Parse(b, &h); err != nil {
			t.Fatal(err)
		}
		if err := ParseICMP(h.Payload(b), &m); err != nil {
			t.Fatal(err)
		}
		EchoReply(b, &h, 1)
		h.Payload(b)[0] = byte(ICMPEchoRequest) // a request again
		h.Payload(b)[2], h.Payload(b)[3] = 0, 0
		sum := checksum.Finish(checksum.Sum(h.Payload(b), 0))
		h.Payload(b)[2], h.Payload(b)[3] = byte(sum>>8), byte(sum)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
