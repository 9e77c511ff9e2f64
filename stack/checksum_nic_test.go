//go:build nic

package stack

import (
	"errors"
	"testing"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestNICWithoutMetadataHasTheStackCompute asks for metadata with zero-copy, of drivers that ignore it without a word: the queue says that
// it cannot be, and the kernel at the other end takes what the stack sends, with the stack's checksums.
func TestNICWithoutMetadataHasTheStackCompute(t *testing.T) {
	l := netlab.ForCards(t, netlab.Config{})
	cfg := Config{Interface: l.Stack.Interface, Address: l.Stack.Address}
	cfg.AFXDP = afxdp.Options{Mode: afxdp.ModeZeroCopy, TxChecksum: afxdp.TxChecksumDevice, TxStamps: 16}
	var s *Stack
	if err := l.Stack.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	m := s.Interface().Queues()[0].Mode()
	if m.TxChecksum && m.TxTimestamps {
		t.Skipf("this driver has it: %v", m)
	}
	if !m.ZeroCopy || !errors.Is(m.NoTxChecksum, afxdp.ErrNoTxChecksum) || !errors.Is(m.NoTxTimestamps, afxdp.ErrNoTxTimestamps) {
		t.Errorf("%+v", m)
	}
	kernelTakes(t, s, l)
}
