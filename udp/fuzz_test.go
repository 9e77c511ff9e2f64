package udp

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzParse feeds arbitrary datagrams to Parse: what it accepts is within the datagram, comes out of Marshal as it went in, and
// verifies after SetChecksum.
func FuzzParse(f *testing.F) {
	f.Add(datagram(nil), uint32(0))
	f.Add(datagram([]byte("odd")), uint32(0xffff))
	f.Add(append(datagram([]byte("padded")), 0, 0), uint32(0x12345))
	f.Add([]byte{0, 1, 0, 0, 0, 8, 0, 0}, uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, pseudo uint32) {
		b = bytes.Clone(b) // the fuzzer keeps its own
		var h Header
		var s Stats
		if err := Parse(b, &h); err != nil {
			if s.Count(err); s == (Stats{}) {
				t.Fatalf("%v is not counted", err)
			}
			return
		}
		if int(h.Length) > len(b) || len(h.Payload(b)) != int(h.Length)-HeaderLen || h.DstPort == 0 {
			t.Fatalf("%d bytes parsed as %+v", len(b), h)
		}
		out := make([]byte, HeaderLen)
		if h.Marshal(out); !bytes.Equal(out, b[:HeaderLen]) {
			t.Fatalf("header %x became %x", b[:HeaderLen], out)
		}
		if err := h.Verify(b, pseudo); err != nil && !errors.Is(err, ErrChecksum) {
			t.Fatal(err)
		}
		b = b[:h.Length]
		SetChecksum(b, pseudo)
		if Parse(b, &h) != nil || h.Checksum == 0 || h.Verify(b, pseudo) != nil {
			t.Fatalf("%+v does not verify after SetChecksum", h)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	d := datagram([]byte("a few bytes"))
	sum := pseudo(d)
	var h Header
	b.ReportAllocs()
	for b.Loop() {
		if Parse(d, &h) != nil || h.Verify(d, sum) != nil {
			b.Fatal("refused")
		}
	}
}
