package xdp

import (
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestPassBut has frames to addresses in and around the prefix be judged, and some that are no IPv4 or end too soon.
func TestPassBut(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "passbut"})
	var p *Program
	err := lab.Kernel.Do(func() (err error) {
		p, err = PassBut(lab.Kernel.Index, netip.MustParsePrefix("198.18.0.0/15"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	frame := func(proto byte, dst ...byte) []byte {
		b := make([]byte, 60)
		b[12], b[13] = 8, proto
		copy(b[30:], dst)
		return b
	}
	for _, c := range []struct {
		frame []byte
		want  uint32
	}{
		{frame(0, 198, 18, 0, 0), actionDrop}, {frame(0, 198, 19, 255, 255), actionDrop}, {frame(0, 198, 17, 255, 255), actionPass},
		{frame(0, 198, 20, 0, 0), actionPass}, {frame(0, 10, 77, 0, 1), actionPass}, {frame(6, 198, 18, 0, 0), actionPass},
		{frame(0, 198, 18, 0, 0)[:33], actionPass}, {frame(0, 198, 18, 0, 0)[:34], actionDrop},
	} {
		if got, _, err := p.prog.Test(c.frame); err != nil || got != c.want {
			t.Errorf("% x: %d, %v, want %d", c.frame[12:], got, err, c.want)
		}
	}
}
