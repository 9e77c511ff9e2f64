package stack

import (
	"sync"
	"testing"

	"github.com/xdpstack/xdpstack/tcp"
)

// TestDirectoryHandshakes has shards that get the same SYN at the same moment agree on who answers it, and leave an accepted connection of
// another flow its entry.
func TestDirectoryHandshakes(t *testing.T) {
	const shards, flows = 4, 2000
	var d directory
	d.init([2]uint64{1, 2})
	for i := range flows {
		f := tcp.Flow{LocalPort: 7, RemoteAddr: [4]byte{10}, RemotePort: uint16(i)}
		var owners [shards]int
		var wg sync.WaitGroup
		for n := range shards {
			wg.Go(func() { owners[n] = d.putHandshake(&f, n) })
		}
		wg.Wait()
		for n, owner := range owners {
			if owner != owners[0] || owner != d.find(&f) {
				t.Fatalf("flow %d: shard %d is told that shard %d answers, shard 0 that %d does; it is %d", i, n, owner, owners[0], d.find(&f))
			}
		}
	}
	f := tcp.Flow{LocalPort: 7}
	e, hash := d.entry(&f)
	e.Store(^hash>>32<<32 | 3)
	if n := d.putHandshake(&f, 1); n != 1 || e.Load() != ^hash>>32<<32|3 {
		t.Errorf("shard %d is to answer; the entry is %x", n, e.Load())
	}
}
