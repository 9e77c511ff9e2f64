package ethernet

import (
	"bytes"
	"testing"
)

// FuzzParse feeds arbitrary frames to Parse and ParseARP: what they accept is within the frame, and comes out of Marshal as it
// went in.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"020000000001 020000000002 0800 45",
		"ffffffffffff 020000000002 0806 0001 0800 06 04 0001 020000000002 c0000202 000000000000 c0000201",
		"020000000001 020000000002 0806 0001 0800 06 04 0002 020000000002 c0000202 020000000001 c0000201",
		"020000000001 020000000002 88a8 0001 8100 0002 0806 0001 0800 06 04 0001 020000000002 00000000 000000000000 c0000201",
		"020000000001 020000000002 8100 0001 8100 0001 8100 0001 0800",
		"0180c2000000 020000000002 0026 424203",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		var s Stats
		off, err := Parse(b, &h)
		if err != nil {
			if s.Count(err); s == (Stats{}) {
				t.Fatalf("%v is not counted", err)
			}
			return
		}
		if off != h.Len() || off > len(b) {
			t.Fatalf("payload at %d of %d, header of %d bytes", off, len(b), h.Len())
		}
		out := make([]byte, MaxHeaderLen+ARPLen)
		if n := h.Marshal(out); !bytes.Equal(out[:n], b[:off]) {
			t.Fatalf("header %x became %x", b[:off], out[:n])
		}
		a, err := ParseARP(b[off:])
		if err != nil {
			if s.Count(err); s == (Stats{}) {
				t.Fatalf("%v is not counted", err)
			}
			return
		}
		if n := a.Marshal(out); !bytes.Equal(out[:n], b[off:off+ARPLen]) {
			t.Fatalf("packet %x became %x", b[off:off+ARPLen], out[:n])
		}
	})
}
