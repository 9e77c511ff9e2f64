package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHalfMade makes a directory of the cache in two attempts, of which the first fails half-way.
func TestHalfMade(t *testing.T) {
	t.Setenv(CacheVariable, t.TempDir())
	c, err := openCache()
	if err != nil {
		t.Fatal(err)
	}
	fill := func(name string, err error) func(string) error {
		return func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, name), nil, 0o644), err)
		}
	}
	broken := errors.New("broken")
	if _, err := c.once("x", fill("half", broken)); !errors.Is(err, broken) || exists(c.path("x")) {
		t.Fatalf("%v, there: %v", err, exists(c.path("x")))
	}
	dir, err := c.once("x", fill("whole", nil))
	if err != nil || !exists(filepath.Join(dir, "whole")) || exists(filepath.Join(dir, "half")) {
		t.Errorf("%v", err)
	}
	if _, err := c.once("x", fill("again", broken)); err != nil {
		t.Errorf("made twice: %v", err)
	}
}

func TestLock(t *testing.T) {
	t.Setenv(CacheVariable, t.TempDir())
	c, err := openCache()
	if err != nil {
		t.Fatal(err)
	}
	err = c.locked(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return c.locked(ctx, func() error { t.Error("locked twice"); return nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process prepares the guest") {
		t.Errorf("%v", err)
	}
}

func TestCacheThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(CacheVariable, file)
	if _, err := openCache(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), CacheVariable) {
		t.Errorf("%v; want the variable's name", err)
	}
	for _, name := range []string{CacheVariable, "HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	if _, err := openCache(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), CacheVariable) {
		t.Errorf("without a home: %v; want the variable's name", err)
	}
}

func TestTestFlags(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "-test.v"},
		{"-run TestX -v", "-test.run TestX -test.v"},
		{"--run=A/b -sim.seed=42 -test.count=1", "-test.run=A/b -sim.seed=42 -test.count=1"},
	} {
		if got := TestFlags(strings.Fields(c.in)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}

func TestNotAProgram(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), text, nil); err == nil || !strings.Contains(err.Error(), "not a program for the guest") {
		t.Errorf("a script: %v", err)
	}
	if _, err := Load(t.Context(), "testdata/nothing", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	if exists("/bin/true") {
		if _, err := Load(t.Context(), "/bin/true", nil); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
			t.Errorf("a dynamic program: %v", err)
		}
	}
}

// TestQEMUVersion asks programs that are not QEMU, or an old one.
func TestQEMUVersion(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"old":     {"echo QEMU emulator version 7.2.17", "is version 7, older than 8"},
		"another": {"echo hello", "says no version"},
		"broken":  {"echo libslirp.so.0: cannot open >&2; exit 127", "libslirp.so.0: cannot open"},
	} {
		program := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := (&qemu{program: program}).usable(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
