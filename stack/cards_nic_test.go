//go:build nic

package stack

import (
	"errors"
	"net"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// openOnCards opens a stack on a card; the kernel's TCP is on the other.
func openOnCards(t *testing.T, lab netlab.Config, cfg Config) (*Stack, *netlab.Lab) {
	t.Helper()
	l := netlab.ForCards(t, lab)
	cfg.Interface, cfg.Address = l.Stack.Interface, l.Stack.Address
	var s *Stack
	if err := l.Stack.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	if err := l.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	return s, l
}
