//go:build nic

package stack

import (
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// openOnCards opens a stack on a card; the kernel's TCP is on the other.
func openOnCards(t *testing.T, lab netlab.Config, cfg Config) (*Stack, *netlab.Lab) {
	t.Helper()
	l := netlab.ForCards(t, lab)
	return openInLab(t, l, cfg), l
}
