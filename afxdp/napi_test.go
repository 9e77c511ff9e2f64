package afxdp

import (
	"encoding/binary"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestQueueNAPI asks for what veth does not tell, and for a queue that is not there: neither is an error, for the one who asks can do
// without.
func TestQueueNAPI(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{Queues: 2})
	for _, queue := range []int{0, 1, 7} {
		var n NAPI
		err := l.Stack.Do(func() (err error) {
			n, err = QueueNAPI(l.Stack.Index, queue)
			return err
		})
		if err != nil || n.ID != 0 || n.IRQ != -1 || n.Settings {
			t.Errorf("queue %d: %+v, %v; want nothing told", queue, n, err)
		}
	}
}

func TestAttribute(t *testing.T) {
	four, eight := make([]byte, 4), make([]byte, 8)
	binary.NativeEndian.PutUint32(four, 7)
	binary.NativeEndian.PutUint64(eight, 1<<40)
	for _, c := range []struct {
		value attribute
		small uint32
		large uint64
	}{{nil, 3, 0}, {[]byte{1}, 3, 0}, {four, 7, 7}, {eight, binary.NativeEndian.Uint32(eight), 1 << 40}} {
		if s, l := c.value.uint32(3), c.value.uint64(); s != c.small || len(c.value) > 1 && l != c.large {
			t.Errorf("% x: %d and %d, want %d and %d", []byte(c.value), s, l, c.small, c.large)
		}
	}
}
