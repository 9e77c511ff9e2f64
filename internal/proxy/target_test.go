package proxy

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct{ text, want, err string }{
		{text: "kernel:127.0.0.1:8080", want: "kernel:127.0.0.1:8080"},
		{text: "kernel:[::1]:8080", want: "kernel:[::1]:8080"},
		{text: "kernel:[::ffff:127.0.0.1]:80", want: "kernel:127.0.0.1:80"},
		{text: "kernel:/run/app.sock", want: "kernel:/run/app.sock"},
		{text: "stack:192.0.2.7:80", want: "stack:192.0.2.7:80"},
		{text: "", err: "want kernel:ADDR:PORT"},
		{text: "127.0.0.1:80", err: "want kernel:ADDR:PORT"},
		{text: "kernel:localhost:80", err: "ParseAddr"},
		{text: "kernel:127.0.0.1", err: "not an ip:port"},
		{text: "kernel:127.0.0.1:0", err: "no port 0"},
		{text: "kernel:0.0.0.0:80", err: "single host"},
		{text: "kernel:[fe80::1%eth0]:80", err: "zone"},
		{text: "kernel:/" + strings.Repeat("x", 200), err: "longer than"},
		{text: "stack:[::1]:80", err: "IPv4 only"},
		{text: "stack:224.0.0.1:80", err: "single host"},
	} {
		got, err := ParseTarget(c.text)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: %v, %v, want an error with %q", c.text, got, err, c.err)
		case c.err == "" && (err != nil || got.String() != c.want):
			t.Errorf("%q: %v, %v, want %s", c.text, got, err, c.want)
		}
	}
}

// FuzzParseTarget has what is understood be written as what is understood the same.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"kernel:127.0.0.1:8080", "kernel:/run/app.sock", "stack:192.0.2.7:80", "kernel:[::1]:1", "stack:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := ParseTarget(text)
		if err != nil {
			return
		}
		if again, err := ParseTarget(first.String()); err != nil || again != first {
			t.Errorf("%q is %v, and that is %v, %v", text, first, again, err)
		}
	})
}

func TestHeader(t *testing.T) {
	var b [headerLen]byte
	putHeader(&b, netip.MustParseAddrPort("192.0.2.2:4660"), netip.MustParseAddrPort("192.0.2.1:80"))
	want, _ := hex.DecodeString("0d0a0d0a000d0a515549540a" + "2111000c" + "c0000202" + "c0000201" + "1234" + "0050")
	if !bytes.Equal(b[:], want) {
		t.Errorf("got  %x\nwant %x", b, want)
	}
}
