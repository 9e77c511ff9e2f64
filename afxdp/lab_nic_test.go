//go:build nic

package afxdp

import (
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// cardsFor is labFor for tests that make no sense on veth.
func cardsFor(t testing.TB, cfg netlab.Config) *netlab.Lab {
	t.Helper()
	if _, ok, _ := netlab.CardsOfEnvironment(); !ok {
		return netlab.ForCards(t, cfg) // which says what is missing
	}
	return labFor(t, cfg)
}
