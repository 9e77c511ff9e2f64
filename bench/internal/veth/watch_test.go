package veth

import (
	"math"
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/watch"
)

func TestWhatLooksCost(t *testing.T) {
	stretch := func(requests, cpu float64, looks float64) (watch.Stretch, spent) {
		return watch.Stretch{
			Watched: looks > 0, Looks: looks, Seconds: 2, Received: requests * float64(len(app.KeepAlive)), Bytes: looks * 2048,
		}, spent{server: result.CPU{Process: cpu, Core: 2}}
	}
	var all []watch.Stretch
	var used []spent
	for _, s := range [][3]float64{{1000, 1, 0}, {900, 1, 20}, {900, 1, 20}, {1000, 1, 0}} { // of either order
		w, u := stretch(s[0], s[1], s[2])
		all, used = append(all, w), append(used, u)
	}
	run := weigh(all, used)
	// 900 requests would have taken 0.9 s, so 20 looks took 0.1 s: 5 ms each, which is 0.5 % of a CPU once a second.
	near := func(name string, got, want float64) {
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	near("the value", run.Value, 0.5)
	near(LookCPU, run.Extra[LookCPU], 5)
	near(ThroughputCost, run.Extra[ThroughputCost], 1) // 10 % for 10 looks a second
	near(LookBytes, run.Extra[LookBytes], 2)
	near(CalmRequests, run.Extra[CalmRequests], 500)
	near("seconds", run.Seconds, 8)
	near("processor time", run.Server.Core, 8)
}
