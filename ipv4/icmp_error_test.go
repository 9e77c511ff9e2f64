package ipv4

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestMarshalError(t *testing.T) {
	packet := make([]byte, 1500)
	h := Header{TotalLen: 1500, TTL: 9, Proto: ProtoUDP, Src: Addr{192, 0, 2, 1}, Dst: Addr{192, 0, 2, 2}, HeaderLen: 20}
	h.Marshal(packet)
	copy(packet[20:], "\xd9\x03\x00\x35\x11\x22\x33\x44 and the rest")
	short := bytes.Clone(packet[:32])
	hs := h
	hs.TotalLen = 30 // the rest is padding
	hs.Marshal(short)
	tests := []struct {
		name   string
		m      ICMP
		packet []byte
		h      Header
		room   int
		want   int
	}{
		{"port unreachable", PortUnreachable(), packet, h, 2048, 576},
		{"protocol unreachable", ProtocolUnreachable(), packet, h, 2048, 576},
		{"fragmentation needed", FragNeeded(1400), packet, h, 100, 100},
		{"reassembly timeout", ReassemblyTimeout(), packet, h, 56, 56},
		{"no room", PortUnreachable(), packet, h, 55, 0},
		{"short packet", PortUnreachable(), short, hs, 2048, 58},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := make([]byte, tt.room)
			n := tt.m.MarshalError(b, tt.packet, &tt.h, 5)
			if n != tt.want {
				t.Fatalf("%d bytes, want %d", n, tt.want)
			}
			if n == 0 {
				return
			}
			var eh Header
			var m ICMP
			var q Quoted
			if err := Parse(b[:n], &eh); err != nil {
				t.Fatal(err)
			}
			if err := ParseICMP(eh.Payload(b), &m); err != nil {
				t.Fatal(err)
			}
			if err := ParseQuoted(eh.Payload(b)[ICMPHeaderLen:], &q); err != nil {
				t.Fatal(err)
			}
			if m != tt.m || !m.Type.IsError() || eh.Src != h.Dst || eh.Dst != h.Src || eh.ID != 5 {
				t.Errorf("message %+v in %+v", m, eh)
			}
			if q.Src != h.Src || q.Dst != h.Dst || q.TotalLen != tt.h.TotalLen || q.TTL != 9 {
				t.Errorf("quotes %+v", q)
			}
		})
	}
}

func TestReporterRules(t *testing.T) {
	plainUDP := Header{HeaderLen: 20, TotalLen: 28, Proto: ProtoUDP, Src: Addr{192, 0, 2, 9}, Dst: Addr{192, 0, 2, 2}}
	tests := []struct {
		name  string
		edit  func(*Header)
		first byte // of the payload
		group bool
		want  bool
	}{
		{"plain", func(*Header) {}, 0, false, true},
		{"first fragment", func(h *Header) { h.MF = true }, 0, false, true},
		{"later fragment", func(h *Header) { h.FragOffset = 8 }, 0, false, false},
		{"link broadcast", func(*Header) {}, 0, true, false},
		{"to broadcast", func(h *Header) { h.Dst = LimitedBroadcast }, 0, false, false},
		{"to subnet broadcast", func(h *Header) { h.Dst = Addr{192, 0, 2, 255} }, 0, false, false},
		{"to old subnet broadcast", func(h *Header) { h.Dst = Addr{192, 0, 2, 0} }, 0, false, false},
		{"to multicast", func(h *Header) { h.Dst = Addr{224, 0, 0, 251} }, 0, false, false},
		{"from zero", func(h *Header) { h.Src = Addr{} }, 0, false, false},
		{"from loopback", func(h *Header) { h.Src = Addr{127, 0, 0, 1} }, 0, false, false},
		{"from broadcast", func(h *Header) { h.Src = LimitedBroadcast }, 0, false, false},
		{"from subnet broadcast", func(h *Header) { h.Src = Addr{192, 0, 2, 255} }, 0, false, false},
		{"from multicast", func(h *Header) { h.Src = Addr{239, 1, 1, 1} }, 0, false, false},
		{"echo request", func(h *Header) { h.Proto = ProtoICMP }, 8, false, true},
		{"unreachable", func(h *Header) { h.Proto = ProtoICMP }, 3, false, false},
		{"redirect", func(h *Header) { h.Proto = ProtoICMP }, 5, false, false},
		{"time exceeded", func(h *Header) { h.Proto = ProtoICMP }, 11, false, false},
		{"parameter problem", func(h *Header) { h.Proto = ProtoICMP }, 12, false, false},
		{"empty ICMP", func(h *Header) { h.Proto, h.TotalLen = ProtoICMP, 20 }, 0, false, false},
	}
	for _, tt := range tests {
		r := NewReporter(ReporterConfig{Subnet: netip.MustParsePrefix("192.0.2.2/24")})
		h := plainUDP
		tt.edit(&h)
		b := make([]byte, 28)
		b[20] = tt.first
		if got := r.Allow(b, &h, tt.group, 1); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if sent, not := r.Stats.Sent == 1, r.Stats.Suppressed == 1; sent != tt.want || not == tt.want {
			t.Errorf("%s: counters %+v", tt.name, r.Stats)
		}
	}
}

func TestReporterWithoutBroadcastAddress(t *testing.T) {
	for _, subnet := range []string{"192.0.2.8/31", "192.0.2.8/32"} {
		r := NewReporter(ReporterConfig{Subnet: netip.MustParsePrefix(subnet)})
		h := Header{HeaderLen: 20, TotalLen: 20, Proto: ProtoUDP, Src: Addr{192, 0, 2, 9}, Dst: Addr{192, 0, 2, 8}}
		if !r.Allow(make([]byte, 20), &h, false, 1) {
			t.Errorf("%s has a broadcast address", subnet)
		}
	}
}

func TestReporterRate(t *testing.T) {
	r := NewReporter(ReporterConfig{Rate: 100, Burst: 5})
	h := Header{HeaderLen: 20, TotalLen: 20, Proto: ProtoUDP, Src: Addr{192, 0, 2, 9}, Dst: Addr{192, 0, 2, 2}}
	b := make([]byte, 20)
	now := clock.Time(time.Hour)
	if n := testing.AllocsPerRun(999, func() {
		r.Allow(b, &h, false, now)
		now = now.Add(time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if r.Stats.Sent < 100 || r.Stats.Sent > 106 || r.Stats.Limited != 1000-r.Stats.Sent {
		t.Errorf("in one second: %+v", r.Stats)
	}
}

func TestPathMTU(t *testing.T) {
	tests := []struct{ reported, length, want uint16 }{
		{1400, 1500, 1400},
		{68, 1500, 68},
		{67, 1500, 0},   // less than any link has
		{1500, 1500, 0}, // it fitted
		{9000, 1500, 0}, // would raise it
		{0, 1500, 1492}, // an old router: the next plateau
		{0, 1492, 1280},
		{0, 9001, 9000},
		{0, 65535, 32000},
		{0, 69, 68},
		{0, 68, 0},
		{0, 0, 0},
	}
	for _, tt := range tests {
		if got := PathMTU(tt.reported, tt.length); got != tt.want {
			t.Errorf("PathMTU(%d, %d) = %d, want %d", tt.reported, tt.length, got, tt.want)
		}
	}
}
