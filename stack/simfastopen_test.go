package stack_test

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

var fastOpenConfig = stack.Config{TCP: tcp.Config{FastOpen: tcp.FastOpenClient | tcp.FastOpenServer}}

// replies is a server that answers requests on connections of their own.
type replies struct {
	*world
	answer  int       // bytes
	patient bool      // answers when the request is complete rather than when it begins
	served  *endpoint // the last connection
}

func newReplies(w *world, answer int, patient bool) *replies {
	r := &replies{world: w, answer: answer, patient: patient}
	w.serve(func() *endpoint {
		r.served = newEndpoint(uint64(answer), answer)
		r.served.afterIn = r.patient
		return r.served
	})
	return r
}

// request has a request answered, and returns how long it took until the answer was there.
func (w *replies) request(seed uint64, size int) (took time.Duration) {
	w.t.Helper()
	w.served = nil
	start := w.net.Now()
	c := w.connect(newEndpoint(seed, size))
	w.until(10*time.Minute, "the answer is there", func() bool { return c.received == w.answer || c.closed })
	took = w.since(start)
	w.until(time.Hour, "the exchange is over", func() bool { return w.served != nil && done(c, w.served) })
	checkExchange(w.t, c, w.served)
	return took
}

// TestFastOpenSavesARoundTrip measures requests on connections of their own: the first, which gets the cookie, and one that uses it.
func TestFastOpenSavesARoundTrip(t *testing.T) {
	w := newReplies(newWorld(t, 1, settings{config: fastOpenConfig, link: sim.Impairment{Delay: 10 * time.Millisecond}}), 5000, false)
	first := w.request(1, 1000)
	second := w.request(2, 1000)
	if first < 40*time.Millisecond || first > 45*time.Millisecond || second < 20*time.Millisecond || second > 25*time.Millisecond {
		t.Errorf("the first exchange took %v, want two round trips of 20 ms; the second %v, want one", first, second)
	}
	w.settle()
}

// TestFastOpenUnderLoss has requests go with SYNs that are lost, doubled and overtaken: each is answered, once, whole.
func TestFastOpenUnderLoss(t *testing.T) {
	var total tcp.Stats
	forSeeds(t, 20, func(t *testing.T, seed uint64) {
		w := newReplies(newWorld(t, seed, settings{
			config: fastOpenConfig,
			link:   sim.Impairment{Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.05, Duplicate: 0.02},
		}), 4000, seed%2 == 0)
		for i := range uint64(12) {
			w.request(seed*100+i, 500+int(seed)*300)
		}
		w.settle()
		for _, h := range []host{w.client, w.server} {
			r, err := h.Report()
			if err != nil {
				t.Fatal(err)
			}
			st := r[0].Stats.TCP
			total.FastOpenSYNs += st.FastOpenSYNs
			total.FastOpenData += st.FastOpenData
			total.FastOpenFailed += st.FastOpenFailed
			total.Listen.FastOpens += st.Listen.FastOpens
		}
	})
	if total.FastOpenData == 0 || total.Listen.FastOpens < total.FastOpenData || total.FastOpenSYNs < total.FastOpenData {
		t.Errorf("SYNs with data %d, acknowledged %d, failed %d; taken by servers %d",
			total.FastOpenSYNs, total.FastOpenData, total.FastOpenFailed, total.Listen.FastOpens)
	}
}
