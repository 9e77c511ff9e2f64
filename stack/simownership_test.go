package stack_test

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
)

// A zero-copy network card reads a frame from the memory that it was written to, whenever it likes, and says later that it has. These are
// devices that take their time. The simulator compares each byte of a frame when it is completed with what it was when it was sent, and
// settle counts the frames.
var slowDevices = map[string]sim.Config{
	"late":                  {CompletionDelay: 700 * time.Millisecond},
	"for seconds":           {CompletionDelay: 5 * time.Second},
	"in any order":          {CompletionSpread: 2 * time.Second},
	"in bulk":               {CompletionPeriod: 3 * time.Second},
	"in bulk, small ring":   {CompletionPeriod: 300 * time.Millisecond, TxRing: 16},
	"any order, small ring": {CompletionSpread: 300 * time.Millisecond, TxRing: 32},
	"any order, few frames": {CompletionSpread: 600 * time.Millisecond, Frames: 128},
	"in bulk, few frames":   {CompletionPeriod: 300 * time.Millisecond, Frames: 128, TxRing: 64},
	"any order, small fill": {CompletionSpread: 300 * time.Millisecond, Frames: 256, FillRing: 16, RxRing: 16},
}

// forSlowDevices runs a test over each of them.
func forSlowDevices(t *testing.T, seeds uint64, test func(t *testing.T, seed uint64, dev sim.Config)) {
	for name, dev := range slowDevices {
		t.Run(name, func(t *testing.T) {
			forSeeds(t, seeds, func(t *testing.T, seed uint64) { test(t, seed, dev) })
		})
	}
}

// lossy is a path on which much is sent again while the device still has the frame.
var lossy = sim.Impairment{Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.05, Reorder: 0.02}

// TestSlowDeviceRetransmits has both ends send over a path that loses one packet of twenty. What is sent again before its frame is
// completed goes as a copy, so nobody sees a frame change.
func TestSlowDeviceRetransmits(t *testing.T) {
	forSlowDevices(t, 4, func(t *testing.T, seed uint64, dev sim.Config) {
		w := newWorld(t, seed, settings{link: lossy, clientDev: dev, serverDev: dev})
		exchange(w, seed, 60_000, 60_000, 4*time.Hour)
		r, err := w.client.Report()
		if err != nil {
			t.Fatal(err)
		}
		if r[0].Stats.TCP.Retransmits == 0 {
			t.Error("nothing was sent again")
		}
	})
}

// TestSlowDeviceSlowReader keeps received frames at both ends while what is sent stays with the device, up to all memory.
func TestSlowDeviceSlowReader(t *testing.T) {
	forSlowDevices(t, 2, func(t *testing.T, seed uint64, dev sim.Config) {
		w := newWorld(t, seed, settings{link: lossy, clientDev: dev, serverDev: dev})
		server, client := newEndpoint(seed+1, 60_000), newEndpoint(seed, 60_000)
		server.hold, client.hold = 1000, 1000
		w.serve(func() *endpoint { return server })
		w.connect(client)
		for range 8 {
			w.runFor(2 * time.Second)
			for _, e := range []*endpoint{server, client} {
				e.release()
				e.hold = 1000
			}
		}
		server.release()
		client.release()
		w.until(4*time.Hour, "the exchange is over", func() bool { return done(client, server) })
		checkExchange(t, client, server)
		w.settle()
	})
}

// TestSlowDeviceConnectionEnds closes and aborts connections in the middle of their data, of which the device has much. Their frames come
// back when it is done with them, and go to other connections meanwhile never.
func TestSlowDeviceConnectionEnds(t *testing.T) {
	forSlowDevices(t, 4, func(t *testing.T, seed uint64, dev sim.Config) {
		r := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t, seed, settings{link: lossy, clientDev: dev, serverDev: dev})
		var ends []*endpoint
		w.serve(func() *endpoint {
			ends = append(ends, newEndpoint(seed, 100_000))
			return ends[len(ends)-1]
		})
		for i := range 8 {
			ends = append(ends, w.connect(newEndpoint(uint64(i), 100_000)))
			w.runFor(time.Duration(r.IntN(300)) * time.Millisecond)
			switch old := ends[r.IntN(len(ends))]; {
			case old.conn == nil:
			case r.IntN(2) == 0:
				old.conn.Abort()
			default:
				old.conn.Close()
			}
		}
		for range 3 { // a late handshake may still bring a new connection
			for _, e := range ends {
				if e.conn != nil {
					e.conn.Abort()
				}
			}
			w.runFor(5 * time.Second)
		}
		w.settle()
	})
}

// TestSlowDeviceStackEnds closes a stack whose device has frames of many connections: all of them are back at once, for the kernel
// gives a closed socket's memory up, and the peers are told.
func TestSlowDeviceStackEnds(t *testing.T) {
	forSlowDevices(t, 2, func(t *testing.T, seed uint64, dev sim.Config) {
		w := newWorld(t, seed, settings{link: sim.Impairment{Delay: time.Millisecond}, clientDev: sim.Config{}, serverDev: dev})
		w.serve(func() *endpoint { return newEndpoint(seed, 1<<20) })
		var clients []*endpoint
		for i := range 5 {
			clients = append(clients, w.connect(newEndpoint(uint64(i), 10_000)))
		}
		w.until(time.Hour, "all are open", func() bool {
			for _, e := range clients {
				if e.received == 0 {
					return false
				}
			}
			return true
		})
		w.runFor(time.Duration(seed) * 100 * time.Millisecond)
		if a := w.server.dev.Pool().Account(); a.Held+a.TX == 0 {
			t.Error("the device has no frame of the server's")
		}
		if err := w.server.Close(); err != nil {
			t.Fatal(err)
		}
		if p := w.server.dev.Pool(); p.Check() != nil || p.Free() != p.Size() {
			t.Errorf("%v, %+v", p.Check(), p.Account())
		}
		if err := w.net.Err(); err != nil {
			t.Error(err)
		}
		w.net.RunFor(time.Hour, w.client.Shard(0))
		for _, e := range clients {
			// The ring of a slow device may have no room for the reset; then the peer finds out by its own timers.
			if e.closed && e.received < 1<<20 && !errors.Is(e.err, syscall.ECONNRESET) && !errors.Is(e.err, syscall.ETIMEDOUT) {
				t.Errorf("a client's error is %v", e.err)
			}
		}
	})
}

// TestFullRingIsShared has several connections send more than the device takes: each has its part of what room there is.
func TestFullRingIsShared(t *testing.T) {
	for _, dev := range []sim.Config{
		{CompletionSpread: 300 * time.Millisecond, TxRing: 32},
		{CompletionPeriod: 100 * time.Millisecond, TxRing: 16},
		{CompletionDelay: 50 * time.Millisecond, Frames: 128},
	} {
		w := newWorld(t, 1, settings{serverDev: dev})
		w.serve(func() *endpoint { return newEndpoint(1, 4<<20) })
		var clients []*endpoint
		for i := range 5 {
			clients = append(clients, w.connect(newEndpoint(uint64(i), 0)))
		}
		w.runFor(8 * time.Second)
		least, most := clients[0].received, 0
		for _, e := range clients {
			least, most = min(least, e.received), max(most, e.received)
		}
		if least == 0 || most > 4*least {
			t.Errorf("%+v: of connections that send the same the one has %d bytes through, another %d", dev, least, most)
		}
	}
}
