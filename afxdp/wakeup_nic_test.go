//go:build nic

package afxdp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestNICKicks sends as fast as it goes: the driver is woken when it has nothing left to do, not for every turn that finds its ring full.
func TestNICKicks(t *testing.T) {
	const frames, length = 5000, 60
	r := newRig(t, netlab.Config{}, Options{Mode: ModeZeroCopy})
	q := r.queue()
	flushes, sent := 0, 0
	for end := time.Now().Add(10 * time.Second * patience()); int(q.Stats().Completions) < frames; flushes++ {
		for ; sent < frames && r.transmit(q, uint32(sent), length); sent++ {
			if sent%32 == 31 {
				sent++
				break
			}
		}
		if err := q.Flush(); err != nil {
			t.Fatal(err)
		}
		if q.Recycle() == 0 && flushes%256 == 255 {
			time.Sleep(time.Millisecond) // an emulated card works on the same processors
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d frames sent; %+v", q.Stats().Completions, frames, *q.Stats())
		}
	}
	kicks := int(q.Stats().Kicks)
	t.Logf("%d frames, %d flushes, %d kicks", frames, flushes, kicks)
	if most := frames/32 + flushes/wakeupPatience + 1; kicks > most {
		t.Errorf("%d kicks for %d flushes, want %d at most", kicks, flushes, most)
	}
	r.allBack(q)
}
