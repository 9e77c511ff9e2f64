package ethernet

import (
	"testing"

	"github.com/xdpstack/xdpstack/frame"
)

func TestTold(t *testing.T) {
	h := newBench(t, NeighboursConfig{})
	told := Addr{2, 0, 0, 0, 0, 7}
	h.Told(peerIP, told, h.now)
	if known, unresolved := h.Len(); known+unresolved != 0 {
		t.Errorf("an entry was made that nobody asked for: %d, %d", known, unresolved)
	}
	if v := h.Resolve(peerIP, frame.Desc{Frame: frame.None}, h.now); v != Queued {
		t.Fatal(v)
	}
	h.Told(peerIP, told, h.now)
	if mac, ok := h.Lookup(peerIP, h.now); !ok || mac != told {
		t.Errorf("%v, %v", mac, ok)
	}
	before := h.Generation()
	h.Told(peerIP, told, h.now)
	if h.Generation() != before {
		t.Error("a new generation, though nothing has changed")
	}
	told[5]++ // at once: who is told that is not in doubt
	h.Told(peerIP, told, h.now)
	if mac, _ := h.Lookup(peerIP, h.now); mac != told || h.Generation() == before {
		t.Errorf("%v, generation %d after %d", mac, h.Generation(), before)
	}
	before = h.Generation()
	h.Forget(peerIP)
	if mac, ok := h.Lookup(peerIP, h.now); ok || h.Generation() == before {
		t.Errorf("%v, generation %d after %d", mac, h.Generation(), before)
	}
	h.Resolve(peerIP, frame.Desc{Frame: frame.None}, h.now)
	h.Forget(peerIP) // It is asked for, and stays.
	if _, unresolved := h.Len(); unresolved != 1 {
		t.Errorf("%d unresolved", unresolved)
	}
	before = h.Generation()
	if h.Renew(); h.Generation() == before {
		t.Error("no new generation")
	}
}
