package udp

import (
	"bytes"
	"errors"
	"testing"

	"github.com/xdpstack/xdpstack/internal/checksum"
)

// A pseudo-header sum such as ipv4.PseudoHeaderSum gives for 192.0.2.1 to 192.0.2.2 and the length of d.
func pseudo(d []byte) uint32 {
	return checksum.Sum([]byte{192, 0, 2, 1, 192, 0, 2, 2, 0, 17, byte(len(d) >> 8), byte(len(d))}, 0)
}

// datagram builds a whole datagram with checksum.
func datagram(payload []byte) []byte {
	b := make([]byte, HeaderLen+len(payload))
	h := Header{SrcPort: 53000, DstPort: 53, Length: uint16(len(b))}
	h.Marshal(b)
	copy(b[HeaderLen:], payload)
	SetChecksum(b, pseudo(b))
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, payload := range [][]byte{{}, {7}, []byte("odd"), []byte("even"), bytes.Repeat([]byte{0xff}, 1472)} {
		b := datagram(payload)
		padded := append(bytes.Clone(b), 0xaa, 0xbb)
		var h Header
		if err := Parse(padded, &h); err != nil {
			t.Fatal(err)
		}
		if h.SrcPort != 53000 || h.DstPort != 53 || int(h.Length) != len(b) || h.Checksum == 0 {
			t.Errorf("header %+v", h)
		}
		if !bytes.Equal(h.Payload(padded), payload) {
			t.Errorf("payload %x, want %x", h.Payload(padded), payload)
		}
		if err := h.Verify(padded, pseudo(b)); err != nil {
			t.Errorf("%d bytes of payload: %v", len(payload), err)
		}
		for i := range b {
			padded[i] ^= 4
			if i < 6 || i > 7 { // the parsed checksum field is what counts, and it is not zero
				if err := h.Verify(padded, pseudo(b)); !errors.Is(err, ErrChecksum) {
					t.Errorf("byte %d flipped: %v", i, err)
				}
			}
			padded[i] ^= 4
		}
	}
}

func TestParseRefuses(t *testing.T) {
	edit := func(off int, v ...byte) []byte {
		b := datagram([]byte("data"))
		copy(b[off:], v)
		return b
	}
	tests := []struct {
		name string
		b    []byte
		err  error
	}{
		{"good", edit(0), nil},
		{"source port 0", edit(0, 0, 0), nil},
		{"length 8", edit(4, 0, 8), nil},
		{"empty", nil, ErrShort},
		{"7 bytes", edit(0)[:7], ErrShort},
		{"length 7", edit(4, 0, 7), ErrLength},
		{"length 0", edit(4, 0, 0), ErrLength},
		{"length beyond datagram", edit(4, 0, 13), ErrLength},
		{"destination port 0", edit(2, 0, 0), ErrPort},
	}
	for _, tt := range tests {
		err := Parse(tt.b, new(Header))
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		var s Stats
		s.Count(err)
		if counted := s != (Stats{}); counted != (err != nil) {
			t.Errorf("%s: error %v, counters %+v", tt.name, err, s)
		}
	}
}

func TestChecksumZero(t *testing.T) {
	// No checksum: anything is valid.
	b := datagram([]byte("data"))
	b[6], b[7] = 0, 0
	b[9] ^= 1
	var h Header
	if err := Parse(b, &h); err != nil {
		t.Fatal(err)
	}
	if err := h.Verify(b, pseudo(b)); err != nil {
		t.Errorf("datagram without checksum: %v", err)
	}
	// A checksum that comes out as zero goes out as 0xffff. Two bytes of payload make up for all other words.
	b = datagram([]byte{0, 0})
	rest := checksum.Fold(checksum.Sum(b[:6], pseudo(b)))
	b[8], b[9] = byte(^rest>>8), byte(^rest)
	SetChecksum(b, pseudo(b))
	if b[6] != 0xff || b[7] != 0xff {
		t.Errorf("checksum %x, want ffff", b[6:8])
	}
	if err := Parse(b, &h); err != nil {
		t.Fatal(err)
	}
	if err := h.Verify(b, pseudo(b)); err != nil {
		t.Errorf("checksum ffff: %v", err)
	}
}

func TestShortBuffers(t *testing.T) {
	for n := range HeaderLen {
		b := make([]byte, n)
		if (&Header{}).Marshal(b) != 0 {
			t.Errorf("Marshal fits into %d bytes", n)
		}
		SetChecksum(b, 0)
	}
}

func TestNoAllocation(t *testing.T) {
	b := datagram([]byte("some data"))
	sum := pseudo(b)
	var h Header
	if n := testing.AllocsPerRun(100, func() {
		if Parse(b, &h) != nil || h.Verify(b, sum) != nil {
			t.Fatal("refused")
		}
		h.Marshal(b)
		SetChecksum(b, sum)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
