package bpf

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// pinDir returns a directory on a BPF file system of the test's own.
func pinDir(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("bpf", root, "bpf", 0, ""); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("mounting needs root")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(root, "xs-stack")
}

// kill does what the end of a process does: its descriptors are closed, and nothing else happens.
func (p *Program) kill(t *testing.T) {
	t.Helper()
	if err := errors.Join(p.link.Close(), p.pin.lock.Close()); err != nil {
		t.Fatal(err)
	}
	p.link, p.pin = nil, nil
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, p *Program) uint32 {
	t.Helper()
	id, err := p.ID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPin(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "pin"})
	dir := pinDir(t)
	open := func(mode AttachMode) (*Program, error) {
		p := load(t, Config{Pin: dir})
		got, err := attach(p, lab.Stack, mode)
		if err == nil && mode != AttachAuto && got != mode {
			t.Errorf("mode %v, want %v", got, mode)
		}
		return p, err
	}
	has := func(want uint32, what string) {
		t.Helper()
		if _, id := attached(t, lab.Stack); id != want {
			t.Errorf("%s: program %d is on the interface, want %d", what, id, want)
		}
	}
	first, err := open(AttachAuto)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(AttachAuto); !errors.Is(err, ErrOccupied) || !errors.Is(err, ErrPinned) {
		t.Errorf("a second while the first lives: %v", err)
	}
	if _, err := Unpin(dir); !errors.Is(err, ErrPinned) {
		t.Errorf("unpin while it lives: %v", err)
	}
	if Orphan(dir) != 0 {
		t.Error("the living seems dead")
	}
	id := number(t, first)
	has(id, "pinned")
	first.kill(t)
	has(id, "killed")
	if got := Orphan(dir); got != id {
		t.Errorf("program %d is left, want %d", got, id)
	}
	if _, err := attach(load(t, Config{}), lab.Stack, AttachAuto); !errors.Is(err, ErrOccupied) {
		t.Errorf("without Pin: %v", err)
	}

	// The next takes the link over; one in another mode replaces it.
	second, err := open(AttachAuto)
	if err != nil {
		t.Fatal(err)
	}
	has(number(t, second), "taken over")
	second.kill(t)
	third, err := open(AttachGeneric)
	if err != nil {
		t.Fatal(err)
	}
	has(number(t, third), "replaced")
	if mode, _ := attached(t, lab.Stack); mode != AttachGeneric {
		t.Errorf("mode %v", mode)
	}
	third.kill(t)
	if found, err := Unpin(dir); !found || err != nil {
		t.Errorf("unpin: %v, %v", found, err)
	}
	has(0, "unpinned")
	if found, err := Unpin(dir); found || err != nil {
		t.Errorf("unpin again: %v, %v", found, err)
	}

	// Who ends in order leaves nothing.
	last, err := open(AttachAuto)
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Close(); err != nil {
		t.Error(err)
	}
	has(0, "closed")
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory stays: %v", err)
	}
}

// A pinned program that is handed over is the other's: it is removed when that ends.
func TestPinIsHandedOver(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "pinned"})
	dir := pinDir(t)
	p := load(t, Config{Pin: dir})
	if _, err := attach(p, lab.Stack, AttachAuto); err != nil {
		t.Fatal(err)
	}
	e, files, err := p.Export()
	if err != nil {
		t.Fatal(err)
	}
	next, err := Adopt(e, files)
	closeAll(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, id := attached(t, lab.Stack); id == 0 || Orphan(dir) != 0 {
		t.Errorf("program %d is on the interface, and %d without an owner", id, Orphan(dir))
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if _, id := attached(t, lab.Stack); id != 0 {
		t.Errorf("program %d stays", id)
	}
}

func TestPinElsewhere(t *testing.T) {
	if _, err := openPin(filepath.Join(t.TempDir(), "x")); err == nil {
		t.Error("pinned on another file system")
	}
}
