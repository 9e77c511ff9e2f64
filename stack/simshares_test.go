package stack_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// sharesFile records how flows with different congestion controls share a path.
const sharesFile = "testdata/shares.golden"

var updateShares = flag.Bool("sim.update-shares", false, "write "+sharesFile+" anew")

// sharesTolerance is by how much a share may differ from what is recorded, as a part of the rate.
const sharesTolerance = 0.1

// shareOf has two flows with these congestion controls share a path for so long after they have found their shares, and returns what
// each gets of its rate.
func shareOf(t *testing.T, p path, congestion [2]string, measured time.Duration) (shares [2]float64) {
	w, f := p.world(t, tcp.Config{})
	for _, name := range congestion {
		w.startWith(name)
		w.runFor(500 * time.Millisecond)
	}
	w.runFor(10 * time.Second)
	before := append([]int(nil), f.received...)
	w.runFor(measured)
	for i := range shares {
		shares[i] = float64(f.received[i]-before[i]) * 8 / measured.Seconds() / p.rate
	}
	return shares
}

// TestSharesOfCongestionControls compares how two flows share a path with what is recorded. That is no matter of right and wrong: BBR
// takes more than CUBIC where the queue is short, and less where it is long, as published. But a change of it should be seen.
// -sim.update-shares records it anew.
func TestSharesOfCongestionControls(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("minutes of virtual time are not short, and on one goroutine nothing can race")
	}
	const rate, rtt = 10e6, 40 * time.Millisecond // 33 packets
	var table strings.Builder
	table.WriteString("# Shares of a path of 10 Mbit/s and 40 ms, as parts of its rate, by the length of its queue in packets (33 is the path's product).\n")
	for _, congestion := range [][2]string{{"cubic", "newreno"}, {"bbr", "cubic"}, {"bbr", "newreno"}} {
		for _, queue := range []int{16, 33, 132} {
			s := shareOf(t, path{rate: rate, rtt: rtt, queue: queue}, congestion, 60*time.Second)
			fmt.Fprintf(&table, "%-7s %-7s %4d  %.2f %.2f\n", congestion[0], congestion[1], queue, s[0], s[1])
		}
	}
	if *updateShares {
		if err := os.WriteFile(sharesFile, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	recorded, err := os.ReadFile(sharesFile)
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Split(table.String(), "\n"), strings.Split(string(recorded), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d lines are recorded, there are %d", len(want), len(got))
	}
	for i := range got {
		if !sharesAlike(got[i], want[i]) {
			t.Errorf("%s, recorded is %s", got[i], want[i])
		}
	}
}

// sharesAlike reports whether two lines of the table say the same, within the tolerance.
func sharesAlike(a, b string) bool {
	var x, y struct {
		first, second string
		queue         int
		shares        [2]float64
	}
	const form = "%s %s %d %f %f"
	n, _ := fmt.Sscanf(a, form, &x.first, &x.second, &x.queue, &x.shares[0], &x.shares[1])
	m, _ := fmt.Sscanf(b, form, &y.first, &y.second, &y.queue, &y.shares[0], &y.shares[1])
	if n != 5 || m != 5 {
		return a == b
	}
	return x.first == y.first && x.second == y.second && x.queue == y.queue &&
		math.Abs(x.shares[0]-y.shares[0]) < sharesTolerance && math.Abs(x.shares[1]-y.shares[1]) < sharesTolerance
}
