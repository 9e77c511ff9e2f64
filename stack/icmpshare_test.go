package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
)

// quiet is a handler of a connection that nothing happens to.
type quiet struct{ err error }

func (*quiet) Opened(*Conn)              {}
func (*quiet) Received(*Conn, []byte)    {}
func (*quiet) Writable(*Conn)            {}
func (*quiet) PeerClosed(*Conn)          {}
func (h *quiet) Closed(_ *Conn, e error) { h.err = e }

// TestICMPErrorReachesAnotherShard has an ICMP error arrive at a queue whose shard does not have the connection (RFC 9293 MUST-54).
func TestICMPErrorReachesAnotherShard(t *testing.T) {
	net := sim.NewNetwork(1)
	var devices []Device
	for _, name := range []string{"queue 0", "queue 1"} {
		d, err := net.NewDevice(sim.Config{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, d)
	}
	s, err := New(Config{Address: prefixA, Seed: 1}, devices...)
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, s)
	now := clock.Time(time.Hour)
	for _, sh := range s.shards {
		sh.Step(now)
		sh.neigh.Set(prefixB.Addr().As4(), [6]byte{2, 0, 0, 0, 0, 9}, now)
	}
	h := &quiet{}
	c, err := s.shards[0].connect(netip.AddrPortFrom(prefixB.Addr(), 80), h, nil, s.first())
	if err != nil {
		t.Fatal(err)
	}
	s.shards[0].Step(now) // the SYN
	q := ipv4.Quoted{Seq: uint32(s.shards[0].core.Keys.ISN(c.tcp.Flow(), now)), SrcPort: c.tcp.Flow().LocalPort, DstPort: 80}
	q.Src, q.Dst, q.Proto = c.tcp.Flow().LocalAddr, c.tcp.Flow().RemoteAddr, ipv4.ProtoTCP
	s.shards[1].tcpError(&ipv4.ICMP{Type: ipv4.ICMPUnreachable, Code: ipv4.CodePortUnreachable}, &q)
	s.shards[0].Step(now)
	if !errors.Is(h.err, syscall.ECONNREFUSED) {
		t.Errorf("the connection's error is %v, want ECONNREFUSED", h.err)
	}
}
