//go:build nic

package stack

import (
	"errors"
	"testing"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/copycount"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestStackComputesWithoutMetadata asks for metadata with zero-copy, of drivers that ignore it without a word: the queue
// says that it cannot be, and the kernel at the other end takes what the stack sends, with the stack's checksums.
func TestStackComputesWithoutMetadata(t *testing.T) {
	cfg := Config{AFXDP: afxdp.Options{Mode: afxdp.ModeZeroCopy, TxChecksum: afxdp.TxChecksumDevice, TxStamps: 16}}
	s, l := openOnCards(t, netlab.Config{}, cfg)
	m := s.Interface().Queues()[0].Mode()
	if m.TxChecksum && m.TxTimestamps {
		t.Skipf("this driver has it: %v", m)
	}
	if !m.ZeroCopy || !errors.Is(m.NoTxChecksum, afxdp.ErrNoTxChecksum) || !errors.Is(m.NoTxTimestamps, afxdp.ErrNoTxTimestamps) {
		t.Errorf("%+v", m)
	}
	kernelTakes(t, s, l)
}

// TestCardChecksumsInCopyMode leaves the checksums to the card, by way of the kernel, and counts how many of them the kernel
// computes itself, for whatever reason: the card may not have it (an emulated virtio card here), and Intel's drivers refuse to
// have it compute where the network header seems too far from the beginning (igb_features_check): of AF_XDP's packets the kernel
// does not know where that is.
func TestCardChecksumsInCopyMode(t *testing.T) {
	cfg := Config{AFXDP: afxdp.Options{Mode: afxdp.ModeCopy, TxChecksum: afxdp.TxChecksumDevice}}
	s, l := openOnCards(t, netlab.Config{Offloads: true}, cfg)
	if m := s.Interface().Queues()[0].Mode(); !m.TxChecksum || m.NoTxChecksum != nil {
		t.Fatalf("%+v", m)
	}
	c, err := copycount.Open()
	if errors.Is(err, copycount.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	kernelTakes(t, s, l)
	n, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packets of the stack sent, and %d checksums computed by the kernel", n.Sent, n.Sums)
	if n.Sent < 100 || n.Missed != 0 || n.Sums > 2*n.Sent {
		t.Errorf("%v", n)
	}
	if err := l.Stack.LeaveChecksums(false); err != nil {
		t.Fatal(err)
	}
	datagramsBothWays(t, s, l, packetsAndFragments...)
	if n, err = c.Read(); err != nil || n.Sums == 0 {
		t.Errorf("no checksum is counted where the kernel must compute it: %v, %v", n, err)
	}
}
