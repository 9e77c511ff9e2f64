package bpf

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

func tai(t *testing.T) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_TAI, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}

// TestHintsAreNotedInFront runs a program that is bound to no device: of what it redirects it knows the time, and what it passes
// it leaves alone.
func TestHintsAreNotedInFront(t *testing.T) {
	for _, fragments := range []bool{false, true} {
		p := load(t, Config{Hints: true, Fragments: fragments})
		setSocket(t, p, 0)
		frame := tcp(ours, ownedPort)
		before := tai(t)
		action, out, err := p.Test(frame, 0)
		if err != nil || action != ActionRedirect || len(out) != HintsLen+len(frame) || !bytes.Equal(out[HintsLen:], frame) {
			t.Fatalf("%v, %d bytes of %d: %v", action, len(out), len(frame), err)
		}
		h, ok := ReadHints((*[HintsLen]byte)(out), p.HintsCookie())
		if want := (Hints{Time: h.Time}); !ok || h != want || h.Time < before || h.Time > tai(t) {
			t.Errorf("%v, %+v", ok, h)
		}
		if _, ok := ReadHints((*[HintsLen]byte)(out), p.HintsCookie()+1); ok {
			t.Error("hints with another program's cookie")
		}
		if action, out, err = p.Test(tcp(theirs, ownedPort), 0); err != nil || action != ActionPass || len(out) != len(frame) {
			t.Errorf("to another address: %v, %d bytes of %d: %v", action, len(out), len(frame), err)
		}
	}
}

// TestCookiesDiffer is what keeps other hosts from writing hints: they may choose what memory in front of a frame holds.
func TestCookiesDiffer(t *testing.T) {
	a, b, without := load(t, Config{Hints: true}), load(t, Config{Hints: true}), load(t, Config{})
	if a.HintsCookie() == 0 || a.HintsCookie() == b.HintsCookie() || without.HintsCookie() != 0 {
		t.Errorf("cookies %x, %x and %x", a.HintsCookie(), b.HintsCookie(), without.HintsCookie())
	}
	if _, ok := ReadHints(new([HintsLen]byte), without.HintsCookie()); ok {
		t.Error("hints without a program that notes them")
	}
}

// TestWithoutHintsNothingIsLeftOfThem compares the programs that the kernel has.
func TestWithoutHintsNothingIsLeftOfThem(t *testing.T) {
	size := func(cfg Config) int {
		info, err := load(t, cfg).objects.XdpSteer.Info()
		if err != nil {
			t.Fatal(err)
		}
		instructions, err := info.Instructions()
		if err != nil {
			t.Skipf("the kernel does not give a program back: %v", err)
		}
		return len(instructions)
	}
	if without, with := size(Config{}), size(Config{Hints: true}); with-without < 20 {
		t.Errorf("%d instructions without hints, %d with", without, with)
	}
}
