package ethernet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
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

func TestParse(t *testing.T) {
	const macs = "020000000001 020000000002"
	tests := []struct {
		name  string
		frame string
		off   int
		typ   Type
		vlans []uint16
		err   error
	}{
		{"plain", macs + "0800 45", 14, TypeIPv4, nil, nil},
		{"no payload", macs + "0806", 14, TypeARP, nil, nil},
		{"one tag", macs + "8100 2064 0800 45", 18, TypeIPv4, []uint16{0x64}, nil},
		{"two tags", macs + "88a8 0001 8100 0fff 86dd", 22, TypeIPv6, []uint16{1, 0xfff}, nil},
		{"three tags", macs + "88a8 0001 8100 0001 8100 0001 0800", 0, 0, nil, ErrTags},
		{"short", macs + "08", 0, 0, nil, ErrShort},
		{"empty", "", 0, 0, nil, ErrShort},
		{"tag cut", macs + "8100 0001 08", 0, 0, nil, ErrShort},
		{"802.3 length", macs + "0026 4242", 0, 0, nil, ErrLength},
		{"802.3 length in tag", macs + "8100 0001 0026", 0, 0, nil, ErrLength},
		{"group source", "020000000001 010000000002 0800", 0, 0, nil, ErrSource},
		{"broadcast source", "020000000001 ffffffffffff 0800", 0, 0, nil, ErrSource},
		{"zero source", "020000000001 000000000000 0800", 0, 0, nil, ErrSource},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.frame)
			h := Header{NumTags: 2}
			off, err := Parse(b, &h)
			if !errors.Is(err, tt.err) || off != tt.off {
				t.Fatalf("Parse = %d, %v; want %d, %v", off, err, tt.off, tt.err)
			}
			var s Stats
			s.Count(err)
			if counted := s != (Stats{}); counted != (err != nil) {
				t.Errorf("error %v, counters %+v", err, s)
			}
			if err != nil {
				return
			}
			if h.Type != tt.typ || int(h.NumTags) != len(tt.vlans) || h.Len() != off {
				t.Errorf("header %+v", h)
			}
			for i, v := range tt.vlans {
				if h.Tags[i].VLAN() != v {
					t.Errorf("tag %d has VLAN %d, want %d", i, h.Tags[i].VLAN(), v)
				}
			}
			out := make([]byte, MaxHeaderLen)
			if n := h.Marshal(out); !bytes.Equal(out[:n], b[:off]) {
				t.Errorf("Marshal gives %x, was %x", out[:n], b[:off])
			}
			for n := range off {
				if h.Marshal(out[:n]) != 0 {
					t.Errorf("Marshal fits into %d bytes", n)
				}
			}
		})
	}
}

func TestAddr(t *testing.T) {
	tests := []struct {
		addr                   Addr
		str                    string
		multicast, broad, zero bool
	}{
		{Addr{}, "00:00:00:00:00:00", false, false, true},
		{Addr{2, 0, 0x5e, 0x10, 0, 1}, "02:00:5e:10:00:01", false, false, false},
		{Addr{1, 0, 0x5e, 0, 0, 0xfb}, "01:00:5e:00:00:fb", true, false, false},
		{Broadcast, "ff:ff:ff:ff:ff:ff", true, true, false},
	}
	for _, tt := range tests {
		if b := tt.addr; tt.addr.Uint64() != uint64(b[0])<<40|uint64(b[1])<<32|uint64(b[2])<<24|uint64(b[3])<<16|uint64(b[4])<<8|uint64(b[5]) {
			t.Errorf("%v as a number is %#x", tt.addr, tt.addr.Uint64())
		}
		if tt.addr.String() != tt.str || tt.addr.IsMulticast() != tt.multicast || tt.addr.IsBroadcast() != tt.broad ||
			tt.addr.IsZero() != tt.zero {
			t.Errorf("%v: multicast %v, broadcast %v, zero %v", tt.addr, tt.addr.IsMulticast(), tt.addr.IsBroadcast(),
				tt.addr.IsZero())
		}
	}
}

func TestARP(t *testing.T) {
	const good = "0001 0800 06 04 0001 020000000001 c0000201 000000000000 c0000202"
	edit := func(off int, s string) string {
		b := unhex(t, good)
		copy(b[off:], unhex(t, s))
		return hex.EncodeToString(b)
	}
	tests := []struct {
		name, packet string
		err          error
	}{
		{"request", good, nil},
		{"padded", good + strings.Repeat("00", 18), nil},
		{"reply", edit(6, "0002"), nil},
		{"probe", edit(14, "00000000"), nil},
		{"short", good[:len(good)-2], ErrARPShort},
		{"hardware", edit(0, "0006"), ErrARPFormat},
		{"protocol", edit(2, "86dd"), ErrARPFormat},
		{"hardware length", edit(4, "08"), ErrARPFormat},
		{"protocol length", edit(5, "10"), ErrARPFormat},
		{"reverse request", edit(6, "0003"), ErrARPOp},
		{"group sender", edit(8, "01"), ErrARPSender},
		{"zero sender", edit(8, "000000000000"), ErrARPSender},
		{"group IP sender", edit(14, "e0"), ErrARPSender},
		{"broadcast IP sender", edit(14, "ffffffff"), ErrARPSender},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.packet)
			a, err := ParseARP(b)
			if !errors.Is(err, tt.err) {
				t.Fatalf("ParseARP: %v, want %v", err, tt.err)
			}
			var s Stats
			s.Count(err)
			if counted := s != (Stats{}); counted != (err != nil) {
				t.Errorf("error %v, counters %+v", err, s)
			}
			if err != nil {
				return
			}
			out := make([]byte, ARPLen)
			if n := a.Marshal(out); n != ARPLen || !bytes.Equal(out, b[:ARPLen]) {
				t.Errorf("Marshal gives %x, was %x", out, b[:ARPLen])
			}
			if a.Marshal(out[:ARPLen-1]) != 0 {
				t.Error("Marshal fits into 27 bytes")
			}
		})
	}
}

func TestARPKinds(t *testing.T) {
	us, them := [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2}
	mac := Addr{2, 0, 0, 0, 0, 1}
	tests := []struct {
		name                string
		arp                 ARP
		probe, announcement bool
		dst                 Addr
	}{
		{"request", ARP{Op: ARPRequest, SenderIP: us, TargetIP: them}, false, false, Broadcast},
		{"unicast poll", ARP{Op: ARPRequest, SenderIP: us, TargetIP: them, TargetMAC: mac}, false, false, mac},
		{"reply", ARP{Op: ARPReply, SenderIP: us, TargetIP: them, TargetMAC: mac}, false, false, mac},
		{"probe", ARP{Op: ARPRequest, TargetIP: them}, true, false, Broadcast},
		{"announcement", ARP{Op: ARPRequest, SenderIP: us, TargetIP: us}, false, true, Broadcast},
		{"gratuitous reply", ARP{Op: ARPReply, SenderIP: us, TargetIP: us}, false, true, Broadcast},
		{"all zero", ARP{Op: ARPRequest}, true, false, Broadcast},
	}
	for _, tt := range tests {
		if tt.arp.IsProbe() != tt.probe || tt.arp.IsAnnouncement() != tt.announcement || tt.arp.Destination() != tt.dst {
			t.Errorf("%s: probe %v, announcement %v, to %v", tt.name, tt.arp.IsProbe(), tt.arp.IsAnnouncement(),
				tt.arp.Destination())
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	frame := unhex(t, "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 c0000201 000000000000 c0000202")
	out := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		var h Header
		off, err := Parse(frame, &h)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseARP(frame[off:])
		if err != nil {
			t.Fatal(err)
		}
		a.Marshal(out[h.Marshal(out):])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
