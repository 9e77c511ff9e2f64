package stack

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/tcp"
)

// options are those of the SYN that may be there or not.
type options struct{ sack, timestamps, scale bool }

func (o options) String() string {
	return fmt.Sprintf("SACK %v, timestamps %v, window scaling %v", o.sack, o.timestamps, o.scale)
}

// bits are the options as the kernel's TCP_INFO and ours have them.
func (o options) bits() (b uint8) {
	if o.sack {
		b |= tcp.OptSACK
	}
	if o.timestamps {
		b |= tcp.OptTimestamps
	}
	if o.scale {
		b |= tcp.OptWScale
	}
	return b
}

const allOptions = tcp.OptSACK | tcp.OptTimestamps | tcp.OptWScale

// set has the kernel offer and accept these options from now on.
func (o options) set(side *netlab.Side) error {
	return side.Do(func() error {
		for name, on := range map[string]bool{"tcp_sack": o.sack, "tcp_timestamps": o.timestamps, "tcp_window_scaling": o.scale} {
			value := "0"
			if on {
				value = "1"
			}
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// allCombinations are those of three options.
func allCombinations() (all []options) {
	for i := range 8 {
		all = append(all, options{sack: i&1 == 0, timestamps: i&2 == 0, scale: i&4 == 0})
	}
	return all
}

// pair is one connection, seen from both ends.
type pair struct{ kernel, stack net.Conn }

// connect makes a connection that the kernel begins, or the stack.
func connect(t *testing.T, s *Stack, l *netlab.Lab, ours, kernels net.Listener, kernelBegins bool) (p pair) {
	t.Helper()
	var err error
	if kernelBegins {
		if p.kernel, err = l.Kernel.Dial("tcp", addr(s.Address(), 7)); err == nil {
			p.stack, err = ours.Accept()
		}
	} else {
		if p.stack, err = s.Dial("tcp", addr(l.Kernel.Address, 7)); err == nil {
			p.kernel, err = kernels.Accept()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// expectOptions compares what either end says was agreed on.
func (p *pair) expectOptions(t *testing.T, want options) {
	t.Helper()
	ours, ok := p.stack.(*TCPConn).TCPInfo()
	if !ok || ours.Options&allOptions != want.bits() {
		t.Errorf("%v: the stack says %#b", want, ours.Options)
	}
	raw, err := p.kernel.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Options&allOptions != want.bits() {
			t.Errorf("%v: the kernel says %#b, %v", want, info.Options, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// transfer sends data of its own in both directions at the same time, closes both, and compares.
func (p *pair) transfer(seed uint64, size int) error {
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, from := range []net.Conn{p.kernel, p.stack} {
		to := []net.Conn{p.stack, p.kernel}[i]
		data := make([]byte, size)
		random := rand.NewChaCha8([32]byte{byte(seed), byte(i)})
		_, _ = random.Read(data)
		from.SetDeadline(time.Now().Add(25 * time.Second))
		wg.Go(func() {
			if _, err := from.Write(data); err == nil {
				_ = from.(interface{ CloseWrite() error }).CloseWrite()
			}
		})
		wg.Go(func() {
			got, err := io.ReadAll(to)
			if err != nil || !bytes.Equal(got, data) {
				errs[i] = fmt.Errorf("%v → %v: %d of %d bytes, as sent: %v; %w", from.LocalAddr(), to.LocalAddr(), len(got), size,
					bytes.Equal(got, data), err)
			}
		})
	}
	wg.Wait()
	p.kernel.Close()
	p.stack.Close()
	return errorsOf(errs)
}

func errorsOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// badPath loses, reorders and doubles packets.
var badPath = impair.Config{Delay: time.Millisecond, Loss: 0.01, Reorder: 0.005, ReorderBy: 2 * time.Millisecond, Duplicate: 0.002}

// interoperate makes a connection in each direction for each combination that the kernel is set to, and moves data on all of them at
// the same time. agreed says what comes of a combination.
func interoperate(t *testing.T, cfg Config, combinations []options, agreed func(kernel options) options) {
	s, l, h := openOverHop(t, badPath, cfg)
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
	var wg sync.WaitGroup
	begin := time.Now()
	for i, o := range combinations {
		if err := o.set(l.Kernel); err != nil {
			t.Fatal(err)
		}
		for _, kernelBegins := range []bool{true, false} {
			p := connect(t, s, l, ours, kernels, kernelBegins)
			p.expectOptions(t, agreed(o))
			wg.Go(func() {
				if err := p.transfer(uint64(i), 512<<10); err != nil {
					t.Errorf("kernel with %v, begins %v: %v", o, kernelBegins, err)
				}
			})
		}
	}
	wg.Wait()
	ab, ba := h.Stats()
	t.Logf("%d connections in %v; the stack's packets: %+v; the kernel's: %+v", 2*len(combinations), time.Since(begin), ab, ba)
	if ab.Lost == 0 || ba.Lost == 0 || ab.Reordered == 0 || ba.Reordered == 0 {
		t.Error("the path was too good")
	}
}

// TestOptionsWithTheKernel has the kernel leave out every combination of the options, as client and as server.
func TestOptionsWithTheKernel(t *testing.T) {
	interoperate(t, Config{}, allCombinations(), func(kernel options) options { return kernel })
}

// TestFewerOptionsThanTheKernel has the stack leave them out, while the kernel would take each.
func TestFewerOptionsThanTheKernel(t *testing.T) {
	for _, o := range allCombinations() {
		t.Run(o.String(), func(t *testing.T) {
			cfg := Config{TCP: tcp.Config{NoSACK: !o.sack, NoTimestamps: !o.timestamps, NoWindowScale: !o.scale}}
			interoperate(t, cfg, []options{{true, true, true}}, func(options) options { return o })
		})
	}
}
