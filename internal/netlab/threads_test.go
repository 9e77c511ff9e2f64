package netlab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netdev"
)

// attachPass attaches an XDP program that passes every frame to a side's interface, and returns the function that removes it.
func attachPass(t *testing.T, s *Side) (detach func() error) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
		License:      "Dual BSD/GPL",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	err = s.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: s.Index, Flags: link.XDPDriverMode})
		if err == nil {
			detach = l.Close
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return detach
}

// receiveThreads skips the test on a kernel that cannot name the threads.
func receiveThreads(t *testing.T, s *Side) []int {
	t.Helper()
	pids, err := s.ReceiveThreads()
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("needs Linux 6.8: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func TestThreaded(t *testing.T) {
	lab := ForTest(t, Config{Name: "threaded", Queues: 2, Threaded: true})
	expect := func(s *Side, when string, want int) {
		t.Helper()
		pids := receiveThreads(t, s)
		if len(pids) != want {
			t.Errorf("%s %s: threads %v, want %d", s, when, pids, want)
		}
		for _, pid := range pids {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if err != nil || !strings.HasPrefix(string(name), "napi/"+s.Interface) {
				t.Errorf("thread %d is called %q, %v", pid, name, err)
			}
		}
	}
	expect(lab.Stack, "without XDP", 0)
	detach := attachPass(t, lab.Stack)
	expect(lab.Stack, "with XDP", 2)
	if err := detach(); err != nil {
		t.Fatal(err)
	}
	expect(lab.Stack, "without XDP again", 0)
}

func TestThreadedKernelSideNeedsGRO(t *testing.T) {
	lab := ForTest(t, Config{Name: "gro", Queues: 2, Threaded: true, GRO: true})
	for _, s := range []*Side{lab.Stack, lab.Kernel} {
		if pids := receiveThreads(t, s); len(pids) != 2 {
			t.Errorf("%s: threads %v, want 2", s, pids)
		}
	}
}

func TestCoalesce(t *testing.T) {
	const wait = 70 * time.Microsecond
	lab := ForTest(t, Config{Name: "coalesce", GRO: true, Coalesce: wait})
	for _, s := range []*Side{lab.Stack, lab.Kernel} {
		var all []netdev.NAPI
		err := s.Do(func() error {
			c, err := netdev.Dial()
			if err != nil {
				return err
			}
			defer c.Close()
			all, err = c.NAPIs(s.Index)
			return err
		})
		if errors.Is(err, netdev.ErrUnknown) || err == nil && len(all) > 0 && all[0].GROFlush == netdev.Unknown {
			t.Skip("needs Linux 6.13: ", err)
		}
		if err != nil || len(all) != 1 || all[0].DeferHardIRQs != 1 || all[0].GROFlush != wait {
			t.Errorf("%s: %v, %v; want one that waits 1 round and %v", s.Interface, all, err, wait)
		}
	}
}
