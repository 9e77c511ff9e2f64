package corpus

import (
	"path/filepath"
	"testing"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// TestLayersAreReached makes frames of every layer, of which many are right as far as below it.
func TestLayersAreReached(t *testing.T) {
	ends := Ends{
		From: ethernet.Addr{2, 0, 0, 0, 0, 1}, To: ethernet.Addr{2, 0, 0, 0, 0, 2},
		FromIP: ipv4.Addr{10, 77, 0, 1}, ToIP: ipv4.Addr{10, 77, 0, 2}, Port: 7,
	}
	seeds, err := Read(filepath.Join("..", "..", "tcp", "testdata", "fuzz", "FuzzParse"))
	if err != nil || len(seeds) < 10 {
		t.Fatalf("%d seeds, %v", len(seeds), err)
	}
	for layer := Frame; layer <= Control; layer++ {
		f := New(seeds, layer, ends, 1)
		packets, segments := 0, 0
		for range 1000 {
			b := f.Next()
			if len(b) < ethernet.HeaderLen || len(b) > maxFrame {
				t.Fatalf("layer %d: a frame of %d bytes", layer, len(b))
			}
			var ip ipv4.Header
			if err := ipv4.Parse(b[ethernet.HeaderLen:], &ip); err != nil {
				continue
			}
			packets++
			p := b[ethernet.HeaderLen+ip.HeaderLen : ethernet.HeaderLen+int(ip.TotalLen)]
			var s tcp.Segment
			if ip.Proto == ipv4.ProtoTCP && tcp.Parse(p, &s) == nil {
				segments++
			}
		}
		if layer >= UDP && packets != 1000 || layer == Piece && packets < 300 || (layer == Stream || layer == Segment) && segments < 100 {
			t.Errorf("layer %d: %d packets and %d segments of 1000 are right", layer, packets, segments)
		}
	}
}

func TestReadErrors(t *testing.T) {
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("an empty directory has seeds")
	}
}
