package stack

import (
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
)

// ArrivalSource says who took the time of an arrival, and by which clock.
type ArrivalSource uint8

const (
	ArrivalStack  ArrivalSource = iota // the stack, by CLOCK_TAI, when it was asked
	ArrivalKernel                      // the XDP program, by CLOCK_TAI, when the driver had received the packet
	ArrivalDevice                      // the network card, by its own clock
)

// String returns the source's name.
func (s ArrivalSource) String() string {
	switch s {
	case ArrivalStack:
		return "stack"
	case ArrivalKernel:
		return "kernel"
	case ArrivalDevice:
		return "device"
	}
	return "unknown"
}

// Arrival is what is known of how a datagram came.
type Arrival struct {
	Time   uint64 // ns
	Source ArrivalSource
	// Hash is the network card's of addresses and ports, and HashType tells of which of them: the kernel's enum
	// xdp_rss_hash_type. Both are 0 without HasHash.
	Hash, HashType uint32
	HasHash        bool
}

// hinter is a Device that knows more about a received packet than its bytes: afxdp's queues with Options.RxHints.
type hinter interface {
	Hints(d frame.Desc) (afxdp.Hints, bool)
}

// Arrival tells of the datagram that the handler is being given. It may be called in ReceivedPacket only. Where nothing was noted
// when the packet came (afxdp.Options.RxHints), and of datagrams of several packets, the time is the present one.
func (u *PacketSocket) Arrival() Arrival {
	s := u.shard
	if s.arrived.Frame != frame.None && s.hinter != nil {
		if h, ok := s.hinter.Hints(s.arrived); ok {
			a := Arrival{Time: h.Time, Source: ArrivalKernel, Hash: h.Hash, HashType: h.HashType, HasHash: h.HasHash}
			if h.DeviceTime {
				a.Source = ArrivalDevice
			}
			return a
		}
	}
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_TAI, &now) // it fails for clocks that are not there only
	return Arrival{Time: uint64(now.Nano())}
}

// arrivedIn is the packet, in one frame, that has an IP header at off in frame f.
func (s *Shard) arrivedIn(f frame.Index, off uint32) frame.Desc {
	link := ethernet.HeaderLen + s.tag.length()
	if off < link {
		return frame.Desc{Frame: frame.None}
	}
	return frame.Desc{Frame: f, Off: off - link}
}
