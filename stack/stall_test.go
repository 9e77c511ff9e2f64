package stack

import (
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
)

// stuckDevice is a device that at times takes and sends nothing, like one whose link is down or whose ring is full.
type stuckDevice struct {
	Device
	full, down atomic.Bool
}

func (d *stuckDevice) Room() int {
	if d.full.Load() {
		return 0
	}
	return d.Device.Room()
}

func (d *stuckDevice) Flush() error {
	if d.down.Load() {
		return errors.New("no link")
	}
	return d.Device.Flush()
}

// TestStalledShardSleeps has a connection wait for a device that takes nothing: the shard neither spins meanwhile nor misses the end of it.
func TestStalledShardSleeps(t *testing.T) {
	for name, c := range map[string]struct {
		down bool
		most uint64 // turns in a tenth of a second: after each timer that is due the shard polls for a while
	}{"full ring": {false, 4000}, "link down": {true, 2000}} {
		t.Run(name, func(t *testing.T) {
			da, db, err := sim.Pipe(sim.Config{})
			if err != nil {
				t.Fatal(err)
			}
			stuck := &stuckDevice{Device: da}
			a, err := New(Config{Address: prefixA}, stuck)
			if err != nil {
				t.Fatal(err)
			}
			a.Start()
			t.Cleanup(func() { closeChecked(t, a) })
			b, err := New(Config{Address: prefixB}, db)
			if err != nil {
				t.Fatal(err)
			}
			b.Start()
			t.Cleanup(func() { closeChecked(t, b) })
			if _, err := b.Handle(":7", &slowEcho{}); err != nil {
				t.Fatal(err)
			}
			conn, err := a.Dial("tcp", "10.1.0.2:7")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			stuck.down.Store(c.down)
			stuck.full.Store(true)
			const text = "waits for room"
			if _, err := conn.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			stats := func() ShardStats {
				r, err := a.Report()
				if err != nil {
					t.Fatal(err)
				}
				return r[0].Stats
			}
			eventually(t, "a stall", func() bool { return stats().Stalls > 0 })
			before, start := stats(), time.Now()
			time.Sleep(100 * time.Millisecond)
			steps := stats().Steps - before.Steps
			if most := c.most * uint64(1+time.Since(start)/(100*time.Millisecond)); steps > most {
				t.Errorf("%d turns in %v with nothing to be done", steps, time.Since(start))
			}
			stuck.full.Store(false)
			stuck.down.Store(false)
			got := make([]byte, len(text))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
