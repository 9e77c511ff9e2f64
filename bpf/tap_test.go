package bpf

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"
)

func TestTap(t *testing.T) {
	if p := load(t, Config{}); p.Tap() != nil {
		t.Error("a program that drops nothing has a tap")
	}
	p := loadFilter(t, Config{})
	tap := p.Tap()
	if tap == nil {
		t.Skip("this kernel has no bpf_xdp_load_bytes, which the tap needs: Linux 5.18 has it")
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

// What a frame costs that is dropped while nobody looks, and while somebody does; and one that passes a shield that is off.
func BenchmarkSwitchedOff(b *testing.B) {
	for _, c := range []struct {
		name         string
		cfg          Config
		denied, seen bool
	}{
		{"nothing", Config{}, false, false}, {"shield off", Config{ShieldFlows: 1 << 16}, false, false},
		{"filter without rules", Config{Filter: true}, false, false}, {"denied", Config{Filter: true}, true, false},
		{"denied and seen", Config{Filter: true}, true, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := load(b, c.cfg)
			setSocket(b, p, 0)
			if c.denied {
				setRules(b, p, Rule{Prefix: prefixOf("10.0.0.0/8")})
			}
			done := make(chan struct{})
			if c.seen {
				p.Tap().Open()
				go func() {
					defer close(done)
					for p.Tap().isOpen() {
						p.Tap().Read(func(*Tapped) {})
					}
				}()
			} else {
				close(done)
			}
			opts := ebpf.RunOptions{Data: tcp(ours, ownedPort), Repeat: uint32(b.N)}
			if _, err := p.objects.XdpSteer.Run(&opts); err != nil {
				b.Fatal(err)
			}
			if c.seen {
				b.ReportMetric(float64(p.Tap().Lost())/float64(b.N), "lost/op")
				p.Tap().Close()
			}
			<-done
		})
	}
}

func (t *Tap) isOpen() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open > 0
}
