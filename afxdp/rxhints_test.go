package afxdp

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestReceiveHints receives packets with what was noted about them, from a driver that is asked, and from the kernel alone.
func TestReceiveHints(t *testing.T) {
	for _, test := range []struct {
		name   string
		attach bpf.AttachMode
		mtu    int
		device bool
	}{
		{"device", bpf.AttachAuto, 1500, true},
		{"device, native only", bpf.AttachNative, 1500, true},
		{"device, several frames", bpf.AttachAuto, 9000, true},
		{"kernel", bpf.AttachGeneric, 1500, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, cards, _ := netlab.CardsOfEnvironment(); cards && (test.mtu > 1500 || test.attach != bpf.AttachAuto) {
				t.Skip("a card takes seconds to open, and the others show as much")
			}
			r := newRig(t, netlab.Config{MTU: test.mtu}, Options{Attach: test.attach, RxHints: true})
			q := r.queue()
			m := q.Mode()
			if m.NoRxHints != nil {
				t.Skipf("this kernel has no hints: %v", m.NoRxHints)
			}
			if test.device && m.NoDeviceHints != nil && r.lab.Veth() && errnoOf(m.NoDeviceHints) == unix.EINVAL {
				t.Skipf("this kernel has no hints of devices: %v", m.NoDeviceHints)
			}
			if !m.RxHints || r.lab.Veth() && m.DeviceHints != test.device || !strings.Contains(m.String(), "receive hints") {
				t.Fatalf("%+v", m)
			}
			r.receiveWithHints(q, m)
		})
	}
}

// receiveWithHints receives packets of all lengths, keeps some for a while, so that their frames are used in another order, and
// looks at the hints of each.
func (r *rig) receiveWithHints(q Queue, m BoundMode) {
	t := r.t
	t.Helper()
	const packets = 300
	begin, noted := tai(t), 0
	hashes := map[uint32]bool{}
	check := func(d frame.Desc) {
		h, ok := q.Hints(d)
		if !ok {
			return
		}
		noted++
		if now := tai(t); !h.DeviceTime && (h.Time < begin || h.Time > now) {
			t.Errorf("the packet came at %d, not between %d and %d", h.Time, begin, now)
		}
		if h.HasHash {
			hashes[h.Hash] = true
		}
	}
	var kept frame.List
	kept.Init()
	got := 0
	for n := range uint32(packets) {
		r.peer.send(r.toStack(n, 60+int(n)*4))
		if n%20 != 19 {
			continue
		}
		got += r.receive(q, 20, func(n uint32, d frame.Desc) bool {
			check(d)
			if n%7 != 0 {
				return false
			}
			kept.PushBack(q.Pool(), d.Frame)
			return true
		})
		if n%60 == 59 {
			kept.ReleaseAll(q.Pool())
		}
		begin = tai(t)
	}
	kept.ReleaseAll(q.Pool())
	if got != packets || noted != got {
		t.Errorf("%d packets of %d, %d with hints", got, packets, noted)
	}
	// Of one flow the device has one hash.
	if want := m.DeviceHints && r.iface.Info().Kind == "veth"; len(hashes) > 1 || want && len(hashes) != 1 {
		t.Errorf("hashes of one flow: %v", hashes)
	}
	t.Logf("%v; hashes %v", m, hashes)
	r.allBack(q)
}

// TestNoHintsWithoutOption asks for hints where nobody noted any, in memory that anybody may have written.
func TestNoHintsWithoutOption(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		r.peer.send(r.toStack(1, 100))
		got := r.receive(q, 1, func(_ uint32, d frame.Desc) bool {
			if h, ok := q.Hints(d); ok {
				t.Errorf("hints %+v", h)
			}
			return false
		})
		if got != 1 || q.Mode().RxHints {
			t.Errorf("%d packets, %+v", got, q.Mode())
		}
		for _, off := range []uint32{0, bpf.HintsLen - 1, uint32(q.Pool().ChunkSize()), uint32(q.Pool().ChunkSize()) + 1, 1<<32 - 1} {
			if _, ok := q.Hints(frame.Desc{Off: off}); ok {
				t.Errorf("hints of a packet at %d", off)
			}
		}
		r.allBack(q)
	})
}
