package stack_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"
)

var soakTime = flag.Duration("sim.soak", 0, "run tests of many seeds for so long, with seeds from the clock; 0: with seeds 1 to n")

// soak runs a test with seeds that nobody had before, until it fails, its time is over, or somebody interrupts it, which is no failure.
func soak(t *testing.T, test func(t *testing.T, seed uint64)) {
	const every = 10 * time.Second
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *soakTime)
	defer cancel()
	first := uint64(time.Now().UnixMicro())
	seed, start, told := first, time.Now(), time.Now()
	tell := func() {
		told = time.Now()
		fmt.Printf("%6v: %d seeds from %d on, %.0f per second\n", told.Sub(start).Round(time.Second), seed-first, first,
			float64(seed-first)/told.Sub(start).Seconds())
	}
	fmt.Printf("%v of seeds from %d on\n", *soakTime, first)
	for ctx.Err() == nil && !t.Failed() {
		t.Run(fmt.Sprintf("seeds=%d-%d", seed, seed+seedBlock-1), func(t *testing.T) {
			for range seedBlock {
				replayable(t, seed, test)
				seed++
				if t.Failed() || ctx.Err() != nil {
					return
				}
			}
		})
		if time.Since(told) >= every {
			tell()
		}
	}
	tell()
}
