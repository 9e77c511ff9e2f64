package scale_test

import (
	"os"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/scale"
)

// TestHoldPair holds connections between two stacks, in memory and over AF_XDP: all of them answer.
func TestHoldPair(t *testing.T) {
	const n, hold = 3000, 200 * time.Millisecond
	for name, open := range map[string]func(int) (*scale.Ends, error){"memory": scale.InMemory, "veth": scale.OverVeth} {
		t.Run(name, func(t *testing.T) {
			if name == "veth" && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			e, err := open(n)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			p, err := scale.HoldPair(e.Client, e.Server, 7, scale.PairConfig{Connections: n, Interval: hold / 2, Hold: hold}, nothing)
			if err != nil {
				t.Fatal(err)
			}
			if p.Connections != n || p.Asked < 2*n || p.Bytes < 100 {
				t.Errorf("%+v", p)
			}
			if l := p.Listed; l.Connections != n || l.Bytes < 500*n || l.Late == 0 {
				t.Errorf("listed: %+v", l)
			}
			t.Logf("%+v", p)
		})
	}
}
