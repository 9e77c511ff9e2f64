//go:build nic

package stack

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestCardLargeMTU has TCP go both ways in large packets: without a copy as long as one fits a frame and the driver's buffers, and else in
// several frames.
func TestCardLargeMTU(t *testing.T) {
	for _, mtu := range []int{3000, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			l := netlab.ForCards(t, netlab.Config{MTU: mtu, BothKernel: true})
			s := openBeside(t, l, Config{})
			m := s.Interface().Queues()[0].Mode()
			if large := mtu > 3814; s.MTU() != mtu || m.MultiBuffer != large || m.ZeroCopy == large || m.NoMultiBuffer != nil {
				t.Fatalf("MTU %d, %v, %v", s.MTU(), m, m.NoMultiBuffer)
			}
			ln, err := s.Listen("tcp", ":7")
			echoServer(t, ln, err)
			ln, err = l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
			echoServer(t, ln, err)
			text := strings.Repeat("in large packets ", 4<<10)
			c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			echoText(t, c, text)
			if c, err = s.Dial("tcp", addr(l.Kernel.Address, 7)); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			echoText(t, c, text)
			reports, err := s.Report()
			if err != nil {
				t.Fatal(err)
			}
			// Of the four directions two come in and two go out, each with acknowledgements of the other.
			q := reports[0].Device.Queue
			if full := len(text) * 2 / mtu; int(q.RxPackets) > 8*full+20 || int(q.TxPackets) > 8*full+20 || int(q.RxBytes) < 2*len(text) {
				t.Errorf("packets are small: %+v", q)
			}
			if large := mtu > 3814; large != (q.RxFragments > 0) || large != (q.TxFragments > 0) {
				t.Errorf("frames beyond the first of packets: %d received, %d sent", q.RxFragments, q.TxFragments)
			}
		})
	}
}
