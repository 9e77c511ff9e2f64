package copycount

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
)

// TestProgramCounts runs the program as a socket filter, for which the kernel has test runs, unlike for kprobes.
func TestProgramCounts(t *testing.T) {
	calls, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 3})
	if err != nil {
		t.Skipf("needs root: %v", err)
	}
	defer calls.Close()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "Apache-2.0", Instructions: count(calls, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for range 5 {
		if _, err := program.Run(&ebpf.RunOptions{Data: make([]byte, 64), Repeat: 20}); err != nil {
			t.Fatal(err)
		}
	}
	for slot, want := range []uint64{0, 100, 0} {
		var perCPU []uint64
		if err := calls.Lookup(uint32(slot), &perCPU); err != nil {
			t.Fatal(err)
		}
		var sum uint64
		for _, n := range perCPU {
			sum += n
		}
		if sum != want {
			t.Errorf("slot %d counts %d, want %d", slot, sum, want)
		}
	}
}

// TestOpen either counts or says that it cannot, and leaves nothing behind.
func TestOpen(t *testing.T) {
	c, err := Open()
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Skipf("needs root: %v", err)
	}
	if n, err := c.Read(); err != nil || n.Missed != 0 {
		t.Errorf("%+v, %v", n, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestAgree(t *testing.T) {
	n := Counts{Received: 100, Sent: 50, Missed: 3}
	for _, c := range []struct {
		received, sent uint64
		want           bool
	}{{100, 50, true}, {102, 51, true}, {102, 52, false}, {99, 50, false}, {100, 49, false}} {
		if n.Agree(c.received, c.sent) != c.want {
			t.Errorf("%d and %d with %v: not %v", c.received, c.sent, n, c.want)
		}
	}
}
