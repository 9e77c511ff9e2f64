package deferral

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Deferral is a change that was made.
type Deferral struct {
	// NAPI is the one whose settings were changed; 0: those of the interface, which all of its queues have.
	NAPI  uint32
	place *Place
	queue int
	last  record // what to do if the file is lost, or could not be written
	kept  bool   // it was written
}

// Set has the interrupts of a queue wait, which a NAPI serves: for that alone where the kernel can, else for the interface. The
// place must stay open until Undo. Where neither can be set the error matches os.ErrNotExist.
func Set(p *Place, queue int, napi uint32, want Settings) (*Deferral, error) {
	unlock, kept := p.lock()
	defer unlock()
	if p.Conn != nil && napi != 0 {
		d, err := p.set(queue, napi, want, kept)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return d, err
		}
	}
	return p.set(queue, 0, want, kept)
}

func (p *Place) set(queue int, napi uint32, want Settings, kept bool) (*Deferral, error) {
	s := p.setting(napi)
	now, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("deferral of interrupts: %w", err)
	}
	r := record{p.netns, p.Interface, p.Index, napi, now, want, nil}
	if old, err := readRecord(p.path(napi)); err == nil && old.of(p) && old.After == now {
		r.Before, r.Owners = old.Before, old.Owners // what is there now was set by one who still polls, or was killed
		r.living(0)
	}
	r.Owners = append(r.Owners, self(queue))
	kept = kept && r.write(p.path(napi)) == nil // without it, what was before is known only here
	if err := s.write(want); err != nil {
		_ = os.Remove(p.path(napi))
		return nil, fmt.Errorf("set %v: %w", want, err)
	}
	return &Deferral{napi, p, queue, r, kept}, nil
}

// Undo puts back what was before, unless others still poll, or somebody else has changed it. What is gone needs no putting back. A process
// that may not do that any more leaves it to Recover.
func (d *Deferral) Undo() error {
	unlock, _ := d.place.lock()
	defer unlock()
	path := d.place.path(d.NAPI)
	r, err := readRecord(path)
	if err != nil || !r.of(d.place) {
		r = d.last
	}
	r.living(0)
	if i := slices.Index(r.Owners, self(d.queue)); i >= 0 {
		r.Owners = slices.Delete(r.Owners, i, i+1)
	}
	err = d.place.finish(&r, path)
	if d.kept && errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

// finish puts back what was before if nobody owns the change any more, and forgets it.
func (p *Place) finish(r *record, path string) error {
	if len(r.Owners) > 0 {
		return r.write(path)
	}
	s := p.setting(r.NAPI)
	now, err := s.read()
	if err == nil && now == r.After {
		err = s.write(r.Before)
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("undo the deferral of interrupts, which should be %v: %w", r.Before, err)
	}
	_ = os.Remove(path) // one that stays says what is not there any more, and is believed by nobody
	return nil
}

// Recover puts back what processes have changed on this interface that were killed since.
func Recover(p *Place) error {
	return p.left(func(r *record, path string) error { return p.finish(r, path) })
}

// Left reports whether there is something for Recover to do.
func Left(p *Place) (yes bool) {
	_ = p.left(func(r *record, _ string) error {
		now, err := p.setting(r.NAPI).read()
		yes = yes || len(r.Owners) == 0 && err == nil && now == r.After
		return nil
	})
	return yes
}

// left calls f with each record of this interface that has owners which have ended, without these.
func (p *Place) left(f func(r *record, path string) error) error {
	paths, _ := filepath.Glob(filepath.Join(p.dir, "*.json")) // the pattern is good
	if len(paths) == 0 {
		return nil
	}
	unlock, _ := p.lock()
	defer unlock()
	var all error
	for _, path := range paths {
		r, err := readRecord(path)
		if err != nil || !r.of(p) || r.NAPI != 0 && p.Conn == nil {
			continue
		}
		before := len(r.Owners)
		if r.living(p.Ended); before != len(r.Owners) || before == 0 {
			all = errors.Join(all, f(&r, path))
		}
	}
	return all
}
