package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// TestPoolTurns has very many connections find the pool used up: they look again one after the other, within a second.
func TestPoolTurns(t *testing.T) {
	k := &Core{}
	now := clock.Time(time.Hour)
	if at := k.poolTurn(now); at != now.Add(poolRetry) {
		t.Errorf("the first looks after %v", at.Sub(now))
	}
	last, most := clock.Time(0), 0
	for range 15_000 {
		at := k.poolTurn(now)
		if at < last {
			t.Fatalf("one looks after %v, before the one before it", at.Sub(now))
		}
		if last = at; at < now.Add(poolPatience) {
			most++
		}
	}
	if last != now.Add(poolRetry+15_000*poolSpacing) || most != 15_000 {
		t.Errorf("the last of 15,000 looks after %v", last.Sub(now))
	}
	for range 20_000 {
		last = k.poolTurn(now)
	}
	if last != now.Add(poolPatience) {
		t.Errorf("the last of 35,000 looks after %v", last.Sub(now))
	}
	if later := last.Add(time.Second); k.poolTurn(later) != later.Add(poolRetry) {
		t.Error("a wait is longer for what was before")
	}
}
