package bpf

import (
	"bytes"
	"testing"
)

func TestTap(t *testing.T) {
	if p := load(t, Config{}); p.Tap() != nil {
		t.Error("a program that drops nothing has a tap")
	}
	p := loadFilter(t, Config{})
	tap := p.Tap()
	if tap == nil {
		t.Skip("needs Linux 5.18")
	}
	const denied = "198.51.100.7"
	setRules(t, p, Rule{Prefix: prefixOf(denied + "/32")})
	long := from(append(tcp(ours, ownedPort), make([]byte, 500)...), denied)
	short := from(tcp(ours, ownedPort), denied)
	send := func(frames ...[]byte) {
		t.Helper()
		for _, f := range frames {
			if _, _, err := p.Test(f, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func() (all [][]byte) {
		tap.Read(func(f *Tapped) {
			if f.Reason != uint32(steerReasonDROP_DENIED) || f.Time <= 0 || f.Queue != 0 || f.Len < len(f.Head) {
				t.Errorf("%+v", f)
			}
			all = append(all, bytes.Clone(f.Head))
		})
		return all
	}

	send(short) // nobody looks
	tap.Open()
	tap.Open() // another
	if got := read(); len(got) != 0 {
		t.Errorf("%d frames were copied before somebody looked", len(got))
	}
	send(short, tcp(ours, ownedPort), long) // the second is the stack's
	got := read()
	if len(got) != 2 || !bytes.Equal(got[0], short) || !bytes.Equal(got[1], long[:TapHead]) {
		t.Errorf("got %d frames: %x", len(got), got)
	}
	tap.Close()
	for range tapRing/TapHead + 100 { // more than there is room for
		send(short)
	}
	if n := len(read()); uint64(n)+tap.Lost() != tapRing/TapHead+100 || tap.Lost() == 0 {
		t.Errorf("%d frames came and %d were lost", n, tap.Lost())
	}
	tap.Close()
	send(short)
	if got := read(); len(got) != 0 {
		t.Errorf("%d frames were copied when nobody looked any more", len(got))
	}
}

func TestTapReasons(t *testing.T) {
	all := TapReasons()
	var c Counters
	for _, r := range all {
		*r.Count(&c)++
		if r.Answered != (c.Answered != Answered{}) {
			t.Errorf("%+v", r)
		}
	}
	if c.Dropped != (Dropped{1, 1, 1, 1, 1, 1}) || c.Answered.SYNCookie != 1 || c.Passed != (Passed{}) {
		t.Errorf("%+v", c)
	}
}
