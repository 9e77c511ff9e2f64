package stack

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/tcp"
)

// setKernelECN sets what the kernel's side does about ECN: 0 nothing, 1 asks for it, 2 agrees to it.
func setKernelECN(l *netlab.Lab, mode int) error {
	return l.Kernel.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/tcp_ecn", fmt.Append(nil, mode), 0) })
}

// onKernelSocket calls do with the descriptor of the kernel's end.
func (p *pair) onKernelSocket(t *testing.T, do func(fd int) error) {
	t.Helper()
	raw, err := p.kernel.(*net.TCPConn).SyscallConn()
	if err == nil {
		var failed error
		if err = raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err == nil {
			err = failed
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ecnAgreed returns what either end says.
func (p *pair) ecnAgreed(t *testing.T) (ours, kernels bool) {
	t.Helper()
	info, ok := p.stack.(*TCPConn).TCPInfo()
	if !ok {
		t.Fatal("the connection is gone")
	}
	p.onKernelSocket(t, func(fd int) error {
		k, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		kernels = err == nil && k.Options&tcp.OptECN != 0
		return err
	})
	return info.Options&tcp.OptECN != 0, kernels
}

// TestKernelECN has the kernel and the stack agree on ECN as they are configured, whoever begins, and reduce their windows for the marks
// of a queue between them: nothing is lost there, and everything arrives.
func TestKernelECN(t *testing.T) {
	for _, c := range []struct {
		mode         tcp.ECNMode
		kernel       int
		kernelBegins bool
		agreed       bool
	}{
		{tcp.ECNPassive, 1, true, true},
		{tcp.ECNPassive, 1, false, false},
		{tcp.ECNOff, 1, true, false},
		{tcp.ECNOn, 2, false, true},
		{tcp.ECNOn, 2, true, false},
		{tcp.ECNOn, 0, false, false},
		{tcp.ECNOn, 1, false, true},
	} {
		t.Run(fmt.Sprintf("stack=%v,kernel=%d,kernelBegins=%v", c.mode, c.kernel, c.kernelBegins), func(t *testing.T) {
			cfg := Config{TCP: tcp.Config{ECN: c.mode}}
			path := impair.Config{Delay: 5 * time.Millisecond, Rate: 40e6, QueueLen: 1000, MarkAt: 30}
			s, l, h := openOverHop(t, path, cfg)
			if err := setKernelECN(l, c.kernel); err != nil {
				t.Fatal(err)
			}
			ours, err := s.Listen("tcp", ":7")
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			kernels, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
			if err != nil {
				t.Fatal(err)
			}
			defer kernels.Close()
			p := connect(t, s, l, ours, kernels, c.kernelBegins)
			if o, k := p.ecnAgreed(t); o != c.agreed || k != c.agreed {
				t.Errorf("ECN: the stack says %v, the kernel %v, want %v", o, k, c.agreed)
			}
			p.onKernelSocket(t, func(fd int) error { // BBR, which the kernel may have by default, does not heed marks.
				return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
			})
			if err := p.transfer(1, 3<<20); err != nil {
				t.Fatal(err)
			}
			r, err := s.Report()
			if err != nil {
				t.Fatal(err)
			}
			st := r[0].Stats.TCP
			ab, ba := h.Stats()
			t.Logf("marked %d and %d; %d marks received, %d echoes, %d reductions", ab.Marked, ba.Marked, st.CEIn, st.ECEIn, st.ECEReductions)
			if !c.agreed {
				if ab.Marked+ba.Marked+st.CEIn+st.ECEIn != 0 {
					t.Errorf("marks without an agreement: %+v", st)
				}
				return
			}
			if ab.Marked == 0 || ba.Marked == 0 || st.CEIn != ba.Marked || st.ECEReductions == 0 || st.CWROut == 0 {
				t.Errorf("marked %d and %d: %+v", ab.Marked, ba.Marked, st)
			}
			if ab.Marked > ab.Packets/2 || ba.Marked > ba.Packets/2 {
				t.Errorf("marked %d of %d and %d of %d: somebody does not slow down", ab.Marked, ab.Packets, ba.Marked, ba.Packets)
			}
			if ab.QueueFull+ba.QueueFull != 0 {
				t.Errorf("%d and %d packets found the queue full", ab.QueueFull, ba.QueueFull)
			}
		})
	}
}
