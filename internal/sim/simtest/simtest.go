// Package simtest makes stacks for tests, joined in memory and running.
package simtest

import (
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// Pair makes two stacks with an address each, joined by a pipe without loss. The caller closes them.
func Pair(t testing.TB, first, second string) (a, b *stack.Stack) {
	t.Helper()
	left, right, err := sim.Pipe(sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	open := func(address string, d *sim.Device) *stack.Stack {
		s, err := stack.New(stack.Config{Address: netip.MustParsePrefix(address), NoProbe: true}, d)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		return s
	}
	return open(first, left), open(second, right)
}
