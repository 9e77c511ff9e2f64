package stack

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// arrivals sends on what it is told of each datagram.
type arrivals chan Arrival

func (a arrivals) ReceivedPacket(s *PacketSocket, _ netip.AddrPort, _ []byte) { a <- s.Arrival() }

func taiNow(t *testing.T) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_TAI, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}

// TestArrival asks of datagrams when they came: of those in one packet the kernel has noted it, if it was asked to.
func TestArrival(t *testing.T) {
	for _, test := range []struct {
		name string
		opt  afxdp.Options
		size int
		want ArrivalSource
	}{
		{"one packet", afxdp.Options{RxHints: true}, 100, ArrivalKernel},
		{"an empty one", afxdp.Options{RxHints: true}, 0, ArrivalKernel},
		{"generic", afxdp.Options{RxHints: true, Attach: bpf.AttachGeneric}, 100, ArrivalKernel},
		{"fragments", afxdp.Options{RxHints: true}, 1600, ArrivalStack},
		{"fragments of a datagram larger than a frame", afxdp.Options{RxHints: true}, 5000, ArrivalStack},
		{"nothing noted", afxdp.Options{}, 100, ArrivalStack},
		{"asavie", afxdp.Options{Driver: afxdp.DriverAsavie}, 100, ArrivalStack},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, cards, _ := netlab.CardsOfEnvironment(); cards && test.name != "one packet" {
				t.Skip("a card takes seconds to open, and the others depend on no card")
			}
			s, l := openOnVeth(t, netlab.Config{}, Config{AFXDP: test.opt})
			if m := s.Interface().Queues()[0].Mode(); m.NoRxHints != nil {
				t.Skipf("this kernel has no hints: %v", m.NoRxHints)
			}
			got := make(arrivals, 1)
			if err := s.HandlePacket(":9", got); err != nil {
				t.Fatal(err)
			}
			c, err := l.Kernel.Dial("udp", addr(s.Address(), 9))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 5 {
				before := taiNow(t)
				if _, err := c.Write(make([]byte, test.size)); err != nil {
					t.Fatal(err)
				}
				select {
				case a := <-got:
					want := test.want
					if a.Source == ArrivalDevice && want == ArrivalKernel {
						continue // a card that tells; its clock is its own
					}
					if a.Source != want || a.Time < before || a.Time > taiNow(t) {
						t.Errorf("%+v, want the time of the %v, from %d on", a, want, before)
					}
				case <-time.After(5 * time.Second):
					t.Fatal("the datagram did not come")
				}
			}
		})
	}
}

// TestArrivalDoesNotAllocate asks with a note and without.
func TestArrivalDoesNotAllocate(t *testing.T) {
	s := &Shard{hinter: noted{Time: 7, DeviceTime: true, Hash: 8, HashType: 9, HasHash: true}}
	u := &PacketSocket{shard: s}
	want := Arrival{Time: 7, Source: ArrivalDevice, Hash: 8, HashType: 9, HasHash: true}
	if allocs := testing.AllocsPerRun(100, func() {
		s.arrived = s.arrivedIn(1, 100)
		if a := u.Arrival(); a != want {
			t.Errorf("%+v, want %+v", a, want)
		}
		for _, s.arrived = range [2]frame.Desc{s.arrivedIn(1, 10), {Frame: frame.None}} {
			if a := u.Arrival(); a.Source != ArrivalStack || a.Time == 0 {
				t.Errorf("%+v", a)
			}
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// noted is a device that knows the same of every packet.
type noted afxdp.Hints

func (n noted) Hints(d frame.Desc) (afxdp.Hints, bool) { return afxdp.Hints(n), d.Off == 100-14 }
