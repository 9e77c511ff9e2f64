package deferral

import (
	"errors"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netdev"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestNAPI defers the interrupts of one NAPI of a real interface, and leaves those of the others and of the interface alone.
func TestNAPI(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{GRO: true}) // on which a veth has NAPIs
	var p Place
	err := l.Stack.Do(func() error {
		p = At(l.Stack.Interface, l.Stack.Index, l.Stack.MAC)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Conn == nil {
		t.Skip("needs Linux 6.3")
	}
	p.dir = t.TempDir()
	all, err := p.Conn.NAPIs(p.Index)
	if errors.Is(err, netdev.ErrUnknown) || err == nil && len(all) > 0 && all[0].GROFlush == netdev.Unknown {
		t.Skip("needs Linux 6.13: ", err)
	}
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v; want a NAPI", all, err)
	}
	want := Settings{3, 150 * time.Microsecond}
	d, err := Set(&p, 0, all[0].ID, want)
	if err != nil || d.NAPI != all[0].ID {
		t.Fatalf("%+v, %v; want NAPI %d", d, err, all[0].ID)
	}
	for i, n := range all {
		got, err := p.Conn.NAPI(n.ID)
		if i == 0 {
			n.DeferHardIRQs, n.GROFlush = want.DeferHardIRQs, want.GROFlush
		}
		if err != nil || got != n {
			t.Errorf("%v, %v; want %v", got, err, n)
		}
	}
	if err := d.Undo(); err != nil {
		t.Error(err)
	}
	if got, err := p.Conn.NAPI(all[0].ID); err != nil || got != all[0] {
		t.Errorf("undone: %v, %v; want %v", got, err, all[0])
	}
}
