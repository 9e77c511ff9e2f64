package tcp

import (
	"testing"

	"github.com/xdpstack/xdpstack/frame"
)

// fuzzHeadrooms are the headrooms that fuzz targets run with: a segment fits a frame behind the one, and has four behind the other.
var fuzzHeadrooms = [...]uint32{headroom, chunkSize - 400}

// fuzzPools are pools that one execution of a fuzz target leaves to the next: to make one takes longer than an execution.
var fuzzPools [2]*frame.Pool

// newFuzzCore is newHarnessCore with a pool of 256 frames that is used again: the one or the other. A pool that an execution which
// failed has not given everything back to is replaced.
func newFuzzCore(t testing.TB, which int, headroom uint32, cfg Config) *Core {
	p := fuzzPools[which]
	if p == nil || p.Free() != p.Size() || p.Check() != nil {
		var err error
		if p, err = frame.NewPool(make([]byte, 256*chunkSize), chunkSize); err != nil {
			t.Fatal(err)
		}
		fuzzPools[which] = p
	}
	k, err := NewCore(p, headroom, deviceMSS, 4<<20, testSecret, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
