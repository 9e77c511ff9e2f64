package afxdp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestUMEMNode has memory come from a node that is there, from none, and from one that is not: it is usable in any case.
func TestUMEMNode(t *testing.T) {
	numa := prefer(nil, 0) == 0 // an empty range is no error on a kernel with NUMA
	for _, c := range []struct{ node, want int }{{-1, -1}, {0, 0}, {1023, -1}, {1 << 20, -1}} {
		if c.node == 0 && !numa {
			c.want = -1
		}
		for _, huge := range []HugePages{HugePagesNever, HugePagesAuto} {
			u, err := newUMEM(place{name: "test"}, &Options{Frames: 1024, FrameSize: 2048, HugePages: huge}, c.node)
			if err != nil {
				t.Fatal(err)
			}
			if u.node != c.want {
				t.Errorf("asked for node %d, got %d, want %d", c.node, u.node, c.want)
			}
			for i := 0; i < len(u.frames); i += unix.Getpagesize() {
				u.frames[i] = 1
			}
			if err := u.close(); err != nil {
				t.Error(err)
			}
		}
	}
}
