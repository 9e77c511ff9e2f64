package stack_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

var updateGolden = flag.Bool("sim.update", false, "write testdata/goodput.golden anew")

// cell is a kind of path in the matrix of goodputs.
type cell struct {
	loss  float64 // of the packets, in each direction
	burst bool    // data is lost four packets at a time
	delay time.Duration
	fault string
	rate  int64 // bits per second from the sender on; 0: no limit
}

const (
	matrixWindow  = 1 << 20 // bytes of both buffers
	matrixWarmUp  = 1 << 20 // bytes that are received before the measurement
	matrixBytes   = 3 << 20 // bytes that are measured
	matrixSeeds   = 3
	matrixSegment = 1448 // bytes of payload
	burstLength   = 4    // packets lost in a bad time, on average
)

// faults are what the columns of the table have besides losses.
var faults = []string{"none", "reorder", "duplicate", "corrupt", "ECN"}

// matrixRows returns the cells of the first column.
func matrixRows() []cell {
	var rows []cell
	for _, rate := range []int64{0, 20e6} {
		for _, delay := range []time.Duration{100 * time.Microsecond, 10 * time.Millisecond, 100 * time.Millisecond} {
			for _, loss := range []float64{0, 0.001, 0.01, 0.05} {
				rows = append(rows, cell{loss: loss, delay: delay, rate: rate})
				if loss != 0 {
					rows = append(rows, cell{loss: loss, burst: true, delay: delay, rate: rate})
				}
			}
		}
	}
	return rows
}

// name is what a row of the table begins with.
func (c cell) name() string {
	rate, kind := "unlimited", "random"
	if c.rate != 0 {
		rate = fmt.Sprintf("%d Mbit/s", c.rate/1e6)
	}
	if c.burst {
		kind = "bursts"
	}
	return fmt.Sprintf("| %-9s | %-5v | %-4s | %-6s |", rate, c.delay, fmt.Sprintf("%.3g%%", 100*c.loss), kind)
}

// impairment is the cell's path, in one direction.
func (c cell) impairment() sim.Impairment {
	imp := sim.Impairment{Delay: c.delay}
	if c.burst {
		imp.Burst.Leave = 1. / burstLength
		imp.Burst.Enter = c.loss * imp.Burst.Leave / (1 - c.loss)
	} else {
		imp.Loss = c.loss
	}
	switch c.fault {
	case "reorder":
		imp.Reorder = 0.02
	case "duplicate":
		imp.Duplicate = 0.02
	case "corrupt":
		imp.Corrupt = 0.005
	}
	return imp
}

// markAt is from how many waiting packets on the queue marks them, where it does.
func (c cell) markAt() int { return max(c.queue()/2, 20) }

// applies reports whether there is such a path: only a queue can mark.
func (c cell) applies() bool { return c.fault != "ECN" || c.rate != 0 }

// queue is how many packets may wait where the rate is limited: as many as are under way in a round trip, but some at least.
func (c cell) queue() int {
	return max(int(float64(c.rate)/8*2*c.delay.Seconds()/1514), 30)
}

// theoretical returns what a sender may be expected to bring through the cell's path, in bytes per second: goldenHeader says how. Reno's
// window is that of Mathis et al., "The macroscopic behavior of the TCP congestion avoidance algorithm".
func (c cell) theoretical() float64 {
	rtt := 2 * c.delay.Seconds()
	best := matrixWindow / rtt
	if c.rate != 0 {
		best = min(best, float64(c.rate)/8*matrixSegment/1514)
	}
	p := c.loss
	if c.burst {
		p /= burstLength
	}
	p += c.impairment().Corrupt
	if p == 0 {
		return best
	}
	const cubicC, beta = 0.4, 0.7
	reno := math.Sqrt(1.5 / p)
	cubic := math.Pow(cubicC*(3+beta)/(4*(1-beta)), 0.25) * math.Pow(rtt/p, 0.75)
	return min(best, max(reno, cubic)*matrixSegment/rtt)
}

// goodput measures, with a connection that has warmed up, what arrives in order, in bytes per second.
func (c cell) goodput(t *testing.T, seed uint64) float64 {
	t.Helper()
	cfg := tcp.Config{RecvBuffer: matrixWindow, SendBuffer: matrixWindow}
	imp, back := c.impairment(), c.impairment()
	if imp.Rate = c.rate; c.rate != 0 {
		imp.QueueLen = c.queue()
	}
	if c.fault == "ECN" {
		cfg.ECN, imp.MarkAt = tcp.ECNOn, c.markAt()
	}
	w := newWorld(t, seed, settings{link: c.impairment(), config: stack.Config{TCP: cfg}})
	defer w.close()
	if c.burst { // A bad time ends after so many packets: with few ACKs under way it would last for seconds.
		back.Burst, back.Loss = sim.Burst{}, c.loss
	}
	w.link.Impair(w.client.dev, imp)
	w.link.Impair(w.server.dev, back)
	f := &flows{}
	if _, err := w.server.Handle(":7", f); err != nil {
		t.Fatal(err)
	}
	w.start()
	received := func(n int) func() bool {
		return func() bool { return len(f.received) > 0 && f.received[0] >= n }
	}
	w.until(time.Hour, "the connection has warmed up", received(matrixWarmUp))
	start, before := w.net.Now(), f.received[0]
	w.until(6*time.Hour, "enough was received", received(matrixWarmUp+matrixBytes))
	goodput := float64(f.received[0]-before) / w.since(start).Seconds()
	w.checkNothingLost()
	return goodput
}

// checkNothingLost checks a world in the middle of things: what the observer saw, and that its end brings every frame back.
func (w *world) checkNothingLost() {
	w.t.Helper()
	w.guard.check(w)
	w.checkSeen()
	devices := []*sim.Device{w.client.dev, w.server.dev}
	w.close()
	for _, d := range devices {
		if p := d.Pool(); p.Check() != nil || p.Free() != p.Size() {
			w.t.Errorf("%s: %v, %+v", d.Name(), p.Check(), p.Account())
		}
	}
}

// share is the median over the seeds of the goodput as a share of the theoretical one.
func (c cell) share(t *testing.T) float64 {
	t.Helper()
	var shares []float64
	for seed := range uint64(matrixSeeds) {
		shares = append(shares, c.goodput(t, seed+1)/c.theoretical())
	}
	slices.Sort(shares)
	return shares[len(shares)/2]
}

const goldenHeader = `# Goodput over the paths of the simulator

One connection (CUBIC, the default) sends to a receiver that takes everything at once, both with buffers of 1 MiB. Measured are 3 MiB
of payload that arrive in order, after a first 1 MiB. A cell is that goodput as a share of the theoretical one, the median of 3 seeds.

Theoretical is the least of

- the rate of the link, without headers: 1448 bytes of payload in each frame of 1514;
- one window of 1 MiB in each round trip of twice the delay;
- with a share p of the packets lost, W segments in each round trip. W is the average window of CUBIC by RFC 9438 section 5.1, or of
  Reno, sqrt(1.5/p), whichever is more. Of losses that come in bursts, 4 on average, p counts the bursts. A corrupt packet is lost too.

Such a formula is about a long run. More than 1 means that 3 MiB ended before the losses that it assumes had their effect; less than
1 at many losses means timeouts, which it does not know.

Loss and delay are those of each direction, but ACKs are never lost in bursts. The limited rate has a queue of one round trip, of 30
packets at least. Faults beside the losses, of the packets in each direction: 2% held back by 1 ms and a quarter of the delay
(reorder), 2% doubled (duplicate), 0.5% with an inverted bit (corrupt). ECN: the queue marks from its half on, from 20 packets at least.

Written by: go test ./stack -run TestGoodputMatrix -sim.update

`

// tolerated is how much of a share a cell may lose before that is an error. Every change of an algorithm has it draw other numbers,
// and at many losses a single timeout more or less is much of three megabytes.
func tolerated(share float64) float64 { return max(0.1, share/4) }

// toleratedOnAverage is how much of the shares all cells may lose together, as a geometric mean: there luck evens out.
const toleratedOnAverage = 0.05

// TestGoodputMatrix has a connection bring data through every kind of path, watched like any other, and compares the goodput with the
// golden table. What got better is only told, so that the table is written anew.
func TestGoodputMatrix(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("hundreds of transfers on one goroutine")
	}
	const file = "testdata/goodput.golden"
	golden := readGolden(t, file)
	table, logs, compared := tableHead(), 0.0, 0
	for _, row := range matrixRows() {
		want := golden[row.name()]
		if len(want) != len(faults) && !*updateGolden {
			t.Errorf("%s is not in %s", row.name(), file)
			continue
		}
		table += row.name()
		for i, fault := range faults {
			row.fault = fault
			if !row.applies() {
				table += fmt.Sprintf(" %9s |", "-")
				continue
			}
			got := row.share(t)
			table += fmt.Sprintf(" %9.2f |", got)
			if *updateGolden {
				continue
			}
			if got < want[i]-tolerated(want[i]) {
				t.Errorf("%s %s: %.2f of the theoretical goodput, it was %.2f", row.name(), fault, got, want[i])
			}
			const floor = 0.05 // shares that are next to nothing are next to nothing on average
			logs += math.Log((got + floor) / (want[i] + floor))
			compared++
		}
		table += "\n"
	}
	if *updateGolden {
		if err := os.WriteFile(file, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	mean := math.Exp(logs / float64(max(compared, 1)))
	t.Logf("%.3f of the golden table's goodput on average\n%s", mean, table)
	if mean < 1-toleratedOnAverage {
		t.Errorf("%.3f of the golden table's goodput on average", mean)
	}
}

func tableHead() string {
	head := goldenHeader + fmt.Sprintf("| %-9s | %-5s | %-4s | %-6s |", "rate", "delay", "loss", "losses")
	line := "|-----------|-------|------|--------|"
	for _, f := range faults {
		head += fmt.Sprintf(" %9s |", f)
		line += "----------:|"
	}
	return head + "\n" + line + "\n"
}

// readGolden returns the table's shares by how the rows begin. A cell for which there is no path is 0.
func readGolden(t *testing.T, file string) map[string][]float64 {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !*updateGolden {
		t.Fatal(err)
	}
	rows := map[string][]float64{}
	for _, row := range matrixRows() {
		name := row.name()
		_, after, found := strings.Cut(string(b), "\n"+name)
		if !found {
			continue
		}
		line, _, _ := strings.Cut(after, "\n")
		for field := range strings.SplitSeq(strings.TrimSuffix(line, "|"), "|") {
			share, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
			if err != nil && strings.TrimSpace(field) != "-" {
				t.Fatalf("%s: %s: %v", file, line, err)
			}
			rows[name] = append(rows[name], share)
		}
	}
	return rows
}
