//go:build nic

package afxdp

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safchain/ethtool"

	"github.com/xdpstack/xdpstack/internal/irq"
	"github.com/xdpstack/xdpstack/internal/netdev"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// receiveInterrupts counts those of a card's first receive queue. The card is in a network namespace, and sysfs need not be of that: its
// place on the bus tells.
func receiveInterrupts(t *testing.T, side *netlab.Side) func() int {
	t.Helper()
	var bus string
	err := side.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer tool.Close()
		bus, err = tool.BusInfo(side.Interface)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join("/sys/bus/pci/devices", bus, "msi_irqs"))
	if err != nil {
		t.Skipf("the card's interrupts are not known: %v", err)
	}
	counts := func() (all []irq.Interrupt, count map[int]int) {
		text, err := os.ReadFile("/proc/interrupts")
		if err != nil {
			t.Fatal(err)
		}
		count = map[int]int{}
		for line := range strings.Lines(string(text)) {
			number, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
			n, err := strconv.Atoi(number)
			if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == number }) {
				continue
			}
			fields := strings.Fields(rest)
			all = append(all, irq.Interrupt{Number: n, Name: fields[len(fields)-1]})
			for _, f := range fields {
				c, err := strconv.Atoi(f)
				if err != nil {
					break
				}
				count[n] += c
			}
		}
		return all, count
	}
	all, _ := counts()
	i, ok := irq.ForQueue(all, 0)
	if !ok {
		t.Fatalf("no interrupt of queue 0 among %v", all)
	}
	t.Logf("interrupt %v", i)
	return func() int {
		_, count := counts()
		return count[i.Number]
	}
}

// TestNICBusyPoll has packets come one at a time to a queue that is asked for them all the time: with busy polling fewer interrupts are
// needed, only the NAPI of that queue is changed, and that not for good. What is sent meanwhile goes out, also where transmission has a
// NAPI of its own.
func TestNICBusyPoll(t *testing.T) {
	lab := cardsFor(t, netlab.Config{Name: "afxdp"})
	peer := newPacketSocket(t, lab.Kernel)
	interrupts := receiveInterrupts(t, lab.Stack)
	before := napis(t, lab.Stack)
	for _, mode := range []Mode{ModeZeroCopy, ModeCopy} {
		t.Run(mode.String(), func(t *testing.T) {
			const packets = 100
			r := &rig{t: t, lab: lab, peer: peer}
			// The peer is slow in an emulated machine, so interrupts wait longer than they would for a real one.
			opt := Options{Mode: mode, GROFlush: 50 * time.Millisecond}
			unpolled := 0
			for _, polled := range []bool{false, true} {
				if polled {
					opt.BusyPoll = 50 * time.Microsecond
				}
				r.open(opt)
				q, count, start := r.queue(), interrupts(), time.Now()
				r.oneAtATime(q, packets)
				took := time.Since(start)
				count = interrupts() - count
				t.Logf("%v a packet, %d interrupts for %d packets, %d polls; %v", took/packets, count, packets, q.Stats().BusyPolls, q.Mode())
				m := q.Mode()
				if polled && !m.BusyPolling && mode == ModeCopy {
					t.Skip("this kernel polls zero-copy sockets only")
				}
				if m.BusyPolling != polled || m.NoDeferral != nil {
					t.Fatalf("mode %v, %v", m, m.NoDeferral)
				}
				if polled && 4*count > 3*unpolled { // of the emulated igb's, half may stay
					t.Errorf("%d interrupts for as many packets as took %d without polling", count, unpolled)
				}
				if !polled && count < packets/2 {
					t.Errorf("%d interrupts for %d packets that were not polled for: the test counts the wrong ones", count, packets)
				}
				unpolled = count
				r.checkNAPIs(before, polled, opt.GROFlush)
				r.sendAll(q, packets)
				r.close()
				r.checkNAPIs(before, false, 0)
			}
		})
	}
}

// oneAtATime has the peer send a packet when the one before has come.
func (r *rig) oneAtATime(q Queue, packets int) {
	r.t.Helper()
	for n := range uint32(packets) {
		r.peer.send(r.toStack(n, 100))
		came := false
		for end := time.Now().Add(5 * time.Second); !came; {
			if time.Now().After(end) {
				r.t.Fatalf("packet %d did not come", n)
			}
			for _, d := range r.batch[:q.Receive(r.batch[:])] {
				m, ok := number(q.Pool().Bytes(d))
				came = came || ok && m == n
				q.Pool().Release(d.Frame)
			}
			q.Recycle()
		}
	}
}

// sendAll has packets go out while the queue is polled.
func (r *rig) sendAll(q Queue, packets int) {
	r.t.Helper()
	for n := range uint32(packets) {
		if !r.transmit(q, n, 100) {
			r.t.Fatalf("no room for packet %d", n)
		}
		if err := q.Flush(); err != nil {
			r.t.Fatal(err)
		}
		q.Receive(r.batch[:])
		q.Recycle()
	}
	if got := r.peer.receive(packets); len(got) != packets {
		r.t.Errorf("%d packets of %d were sent", len(got), packets)
	}
	r.settle(q)
}

func napis(t *testing.T, side *netlab.Side) (pairs []netdev.Pair) {
	t.Helper()
	err := side.Do(func() (err error) {
		pairs, err = netdev.Pairs(side.Index)
		return err
	})
	if err != nil || len(pairs) == 0 || pairs[0].Receive.ID == 0 {
		t.Skipf("the driver does not tell which NAPI serves its queues: %v, %v", pairs, err)
	}
	return pairs
}

// checkNAPIs wants the settings that were before, but of the first receive queue the timer, if it is polled.
func (r *rig) checkNAPIs(before []netdev.Pair, polled bool, flush time.Duration) {
	r.t.Helper()
	for i, p := range napis(r.t, r.lab.Stack) {
		want := before[i].Receive.NAPISettings
		if polled && i == 0 {
			want.DeferHardIRQs, want.GROFlush = defaultBusyDefer, flush
		}
		if got := p.Receive.NAPISettings; got != want {
			r.t.Errorf("receive queue %d: %v, want %v (polled: %v)", i, got, want, polled)
		}
	}
}
