package deferral

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// somewhere is a place whose sysfs is a directory: interface x0 with 1 and 7 ns.
func somewhere(t *testing.T) *Place {
	t.Helper()
	root := t.TempDir()
	p := &Place{Interface: "x0", Index: 3, MAC: [6]byte{2, 5: 9}, dir: filepath.Join(root, "run"), sysfs: root, netns: 99}
	for name, text := range map[string]string{"ifindex": "3", "address": "02:00:00:00:00:09", deferFile: "1", flushFile: "7"} {
		write(t, filepath.Join(root, "x0", name), text)
	}
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text+"\n"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *Place) want(t *testing.T, what string, want Settings) {
	t.Helper()
	if got, err := p.setting(0).read(); err != nil || got != want {
		t.Errorf("%s: %v, %v; want %v", what, got, err, want)
	}
}

func (p *Place) files(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(p.dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func set(t *testing.T, p *Place, queue int, s Settings) *Deferral {
	t.Helper()
	d, err := Set(p, queue, 0, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func undo(t *testing.T, d *Deferral) {
	t.Helper()
	if err := d.Undo(); err != nil {
		t.Error(err)
	}
}

// kill makes the owners of a record processes that have ended.
func kill(t *testing.T, p *Place) {
	t.Helper()
	r, err := readRecord(p.path(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Owners {
		r.Owners[i].Start++ // the pid is another process's now
	}
	if err := r.write(p.path(0)); err != nil {
		t.Fatal(err)
	}
}

var (
	before = Settings{1, 7}
	after  = Settings{2, 200 * time.Microsecond}
)

// TestTwoQueues has two queues of an interface ask for the same: what was before is there again when both have ended, in whatever
// order, and not earlier.
func TestTwoQueues(t *testing.T) {
	for first := range 2 {
		p := somewhere(t)
		d := []*Deferral{set(t, p, 0, after), set(t, p, 1, after)}
		p.want(t, "set", after)
		undo(t, d[first])
		p.want(t, "one has ended", after)
		undo(t, d[1-first])
		p.want(t, "both have ended", before)
		if p.files(t) != 0 {
			t.Error("the record is still there")
		}
	}
}

// TestKilled has a process end without Undo: the next one finds what was before it, whether it sets something itself or only
// looks.
func TestKilled(t *testing.T) {
	p := somewhere(t)
	if Left(p) {
		t.Error("something is left over before anything was set")
	}
	set(t, p, 0, after)
	if Left(p) {
		t.Error("what is in use is left over")
	}
	kill(t, p)
	if !Left(p) {
		t.Error("nothing is left over of a process that was killed")
	}
	other := *p
	other.Index = 4
	for _, bystander := range []*Place{&other, {Interface: "x0", Index: 3, netns: 98, dir: p.dir, sysfs: p.sysfs}} {
		if err := Recover(bystander); err != nil {
			t.Error(err)
		}
		p.want(t, "another interface is looked at", after)
	}
	if err := Recover(p); err != nil {
		t.Error(err)
	}
	p.want(t, "recovered", before)
	if p.files(t) != 0 || Left(p) {
		t.Error("the record is still there")
	}

	set(t, p, 0, after)
	kill(t, p)
	d := set(t, p, 1, Settings{3, 9})
	p.want(t, "set anew", Settings{3, 9})
	undo(t, d)
	p.want(t, "undone", before)
}

// TestRecoverLeavesTheLiving does not touch what a process has set that runs.
func TestRecoverLeavesTheLiving(t *testing.T) {
	p := somewhere(t)
	d := set(t, p, 0, after)
	if err := Recover(p); err != nil {
		t.Error(err)
	}
	p.want(t, "recovered", after)
	undo(t, d)
	p.want(t, "undone", before)
}

// TestSomebodyElse leaves alone what was changed after Set, and does not take it for its own.
func TestSomebodyElse(t *testing.T) {
	p := somewhere(t)
	d := set(t, p, 0, after)
	theirs := Settings{5, 55}
	if err := p.setting(0).write(theirs); err != nil {
		t.Fatal(err)
	}
	undo(t, d)
	p.want(t, "undone", theirs)

	set(t, p, 0, after)
	kill(t, p)
	if err := p.setting(0).write(Settings{6, 66}); err != nil {
		t.Fatal(err)
	}
	d = set(t, p, 0, after)
	undo(t, d)
	p.want(t, "after a killed process and somebody else", Settings{6, 66})
}

// TestFilesAreLost undoes from memory when the record is gone, damaged, or could never be written.
func TestFilesAreLost(t *testing.T) {
	for _, harm := range []func(p *Place){
		func(p *Place) { _ = os.RemoveAll(p.dir) },
		func(p *Place) { write(t, p.path(0), "{") },
	} {
		p := somewhere(t)
		d := set(t, p, 0, after)
		harm(p)
		undo(t, d)
		p.want(t, "undone", before)
	}
	p := somewhere(t)
	write(t, p.dir, "not a directory")
	d := set(t, p, 0, after)
	p.want(t, "set", after)
	undo(t, d)
	p.want(t, "undone", before)
}

// TestGone has an interface that is removed while its interrupts are deferred, and one that was never there.
func TestGone(t *testing.T) {
	p := somewhere(t)
	d := set(t, p, 0, after)
	if err := os.RemoveAll(filepath.Join(p.sysfs, "x0")); err != nil {
		t.Fatal(err)
	}
	undo(t, d)
	if p.files(t) != 0 {
		t.Error("the record is still there")
	}
	if _, err := Set(p, 0, 0, after); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such interface: %v", err)
	}
}

// TestOtherNamespace does not write to an interface that only has the same name and number.
func TestOtherNamespace(t *testing.T) {
	p := somewhere(t)
	p.MAC[5] = 8
	if _, err := Set(p, 0, 0, after); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want that it is not there", err)
	}
	p.MAC[5] = 9
	p.want(t, "the other interface", before)
}
