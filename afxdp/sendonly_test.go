package afxdp

import (
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestSendOnly sends from an interface that has somebody else's program, which stays, and from one that has none.
func TestSendOnly(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "afxdp"})
	for _, occupied := range []bool{true, false} {
		r := &rig{t: t, lab: lab, peer: newPacketSocket(t, lab.Kernel)}
		var other *bpf.Program
		before := uint32(0)
		if occupied {
			other = attachOther(t, lab.Stack)
			before = attachedProgram(t, lab.Stack)
		}
		opt := small
		opt.SendOnly = true
		err := lab.Stack.Do(func() (err error) {
			r.iface, err = Open(lab.Stack.Interface, opt, bpf.Config{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := lab.WaitCarrier(); err != nil {
			t.Fatal(err)
		}
		bare := occupied || lab.Veth()
		m := r.queue().Mode()
		if m.NoProgram != bare || m.ZeroCopy == bare || (r.iface.Program() == nil) != bare ||
			strings.Contains(m.String(), "no XDP program") != bare {
			t.Errorf("occupied: %v: %+v", occupied, m)
		}
		if now := attachedProgram(t, lab.Stack); bare && now != before {
			t.Errorf("program %d is attached, and before there was %d", now, before)
		}
		packets := uint32(3 * opt.TxRing)
		for n := uint32(0); n < packets; {
			for n < packets && r.transmit(r.queue(), n, 100) {
				n++
			}
			r.drain(r.queue())
		}
		if got := r.peer.receive(int(packets)); len(got) != int(packets) {
			t.Errorf("%d packets of %d arrived", len(got), packets)
		}
		r.allBack(r.queue())
		if fill := r.queue().Pool().Account().Fill; bare && fill != 0 {
			t.Errorf("the kernel has %d frames to receive into", fill)
		}
		r.close()
		if now := attachedProgram(t, lab.Stack); now != before {
			t.Errorf("program %d is attached at the end, and before there was %d", now, before)
		}
		if other != nil {
			other.Close()
		}
	}
}

// attachOther attaches a program to a side's interface that is not of an Interface.
func attachOther(t *testing.T, side *netlab.Side) *bpf.Program {
	t.Helper()
	p, err := bpf.Load(bpf.Config{})
	if err != nil {
		t.Fatal(err)
	}
	err = side.Do(func() error {
		_, err := p.Attach(side.Index, bpf.AttachNative)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
