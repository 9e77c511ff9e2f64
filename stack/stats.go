package stack

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
	"github.com/xdpstack/xdpstack/udp"
)

// ShardStats are the counters of one shard. Only the shard writes them.
type ShardStats struct {
	Rx       RxStats
	Tx       TxStats
	Drop     DropStats
	Ethernet ethernet.Stats
	ARP      ethernet.NeighbourStats
	IP       ipv4.Stats
	ICMP     ipv4.ICMPStats
	Report   ipv4.ReporterStats
	Reasm    ipv4.ReassemblyStats
	UDP      udp.Stats
	Relay    RelayStats
	TCP      tcp.Stats

	Steps            uint64 `help:"turns of the shard's loop"`
	Sleeps           uint64 `help:"times that the shard slept because there was nothing to do"`
	Stalls           uint64 `help:"times that the shard slept with something to send, for lack of room in the device or of memory"`
	SpinHits         uint64 `help:"times that there was something to do again before the shard slept"`
	WokenByPacket    uint64 `help:"sleeps that ended because a packet came, from the device or from another shard"`
	WokenByCommand   uint64 `help:"sleeps that ended because an application's goroutine asked for something"`
	WokenByTimer     uint64 `help:"sleeps that ended because a timer was due"`
	Commands         uint64 `help:"requests from applications' goroutines"`
	Copied           uint64 `help:"times that a handler was given a copy of what it received, because frames are nearly used up"`
	Opened           uint64 `help:"connections opened"`
	Closed           uint64 `help:"connections closed"`
	DrainAsked       uint64 `help:"connections whose service was asked to end them, since it or the stack ends"`
	DrainReset       uint64 `help:"connections reset because they were still open when the time to end in order was over"`
	TimeWaitSegments uint64 `help:"TCP segments answered from TIME-WAIT"`
	ListenerSegments uint64 `help:"TCP segments of handshakes that were not complete"`
	PassedOn         uint64 `help:"TCP segments that another shard's connection was waiting for, given to it"`
	TakenOver        uint64 `help:"TCP segments taken from other shards"`
	Misdirected      uint64 `help:"TCP segments passed on that came to another queue than the network card's table says"`
	HashReads        uint64 `help:"times that the card's table was read again, because of such segments"`
	CopiedOut        uint64 `help:"received frames copied to the heap because frames were scarce"`
	EchoReplies      uint64 `help:"ICMP echo requests answered"`
	ICMPErrors       uint64 `help:"ICMP errors taken in"`
	Datagrams        uint64 `help:"UDP datagrams delivered"`
	Listed           uint64 `help:"connections and records of them looked at for listings"`

	// Handshake is the round-trip time that the handshakes of connections took, where it could be measured: none was sent twice, and no
	// SYN cookie stood for what this side would have remembered.
	Handshake metrics.Histogram
}

// RxStats count what came in.
type RxStats struct {
	Frames     uint64 `help:"frames received"`
	Bytes      uint64 `help:"bytes received, Ethernet headers included"`
	Batches    uint64 `help:"batches of frames received"`
	WaitErrors uint64 `help:"failed waits for the device, while the link was down for example"`
}

// TxStats count what went out.
type TxStats struct {
	Frames      uint64 `help:"frames sent"`
	Bytes       uint64 `help:"bytes sent, Ethernet headers included"`
	RingFull    uint64 `help:"times that a connection had to wait for room in the TX ring"`
	PoolEmpty   uint64 `help:"times that a connection had to wait for a free frame"`
	FlushErrors uint64 `help:"failed wake-ups of the device, while the link was down for example"`
}

// DropStats count the frames that ended in the stack, by reason, besides those that the protocols count themselves.
type DropStats struct {
	VLAN        uint64 `help:"frames dropped: VLAN tag, and the stack is not on a VLAN"`
	EtherType   uint64 `help:"frames dropped: neither IPv4 nor ARP"`
	LinkAddress uint64 `help:"frames dropped: IP in a frame for another or for all Ethernet addresses"`
	NotOurs     uint64 `help:"packets dropped: for another IP address"`
	Source      uint64 `help:"packets dropped: their source is the network's broadcast address"`
	Protocol    uint64 `help:"packets dropped: no such transport protocol"`
	TCPHeader   uint64 `help:"TCP segments dropped: header malformed"`
	TCPChecksum uint64 `help:"TCP segments dropped: wrong checksum"`
	NoListener  uint64 `help:"TCP segments answered with a reset: no connection, and nobody listens on the port"`
	UDPNoSocket uint64 `help:"UDP datagrams dropped: nobody listens on the port"`
	UDPQueue    uint64 `help:"UDP datagrams dropped: the application does not read them fast enough"`
	ICMPType    uint64 `help:"ICMP messages dropped: of a type that is not handled"`
	Datagram    uint64 `help:"datagrams dropped: larger than a frame, and neither UDP nor ICMP"`
	ConnLimit   uint64 `help:"connections refused: the shard has as many as it may"`
	NoFrame     uint64 `help:"answers dropped: no free frame"`
	Neighbour   uint64 `help:"packets dropped: the next hop does not answer ARP"`
	NoRoute     uint64 `help:"packets dropped: no route to the destination"`
	PassOn      uint64 `help:"TCP segments dropped: the queue to another shard was full, or that had no free frame for them"`
	ICMPShared  uint64 `help:"ICMP errors that another shard had no room for"`
	ARPShared   uint64 `help:"ARP packets that another shard had no room for"`
	TxRing      uint64 `help:"packets dropped: no room in the TX ring"`
}

// DeviceStats are the counters of the device beneath a shard.
type DeviceStats struct {
	Queue  afxdp.Stats      // what the driver did, in this process
	Socket afxdp.Statistics // what the kernel did with the socket
}

// countingDevice is what a Device may be besides: one that has these counters, as an AF_XDP queue does. Stats points to what the
// shard's goroutine writes; Statistics asks the kernel.
type countingDevice interface {
	Stats() *afxdp.Stats
	Statistics() (afxdp.Statistics, error)
}

// ShardReport is the state of one shard at one moment.
type ShardReport struct {
	Stats       ShardStats
	Device      *DeviceStats  // nil if the device has no such counters
	Frames      frame.Account // where the memory is
	Connections int
	TimeWait    int
	HalfOpen    int
	// Pressed says that the XDP program answers SYNs on the shard's queue, if its shield is to do so by itself, and Pressure how many SYNs
	// that led to nothing it has counted lately. Without a shield there is none.
	Pressed  bool
	Pressure int
	CPU      time.Duration // processor time of its thread; 0 unless it has one of its own: see Stack.CPUs
}

// Report returns the state of every shard, each taken between two of its turns.
func (s *Stack) Report() ([]ShardReport, error) {
	reports := make([]ShardReport, len(s.shards))
	for i, sh := range s.shards {
		var err error
		if !sh.call(func(sh *Shard) { reports[i], err = sh.report() }) {
			return nil, errClosed
		}
		if err != nil {
			return nil, err
		}
	}
	return reports, nil
}

func (s *Shard) report() (r ShardReport, err error) {
	r = ShardReport{
		Stats: s.stats, Frames: s.pool.Account(), Connections: s.conns.n, TimeWait: s.timeWait.Len(),
	}
	r.Stats.TCP = s.core.Stats
	r.Stats.ARP = s.neigh.Stats
	r.Stats.Report = s.reporter.Stats
	r.Stats.Reasm = s.reasm.Stats
	for _, l := range s.lnList {
		r.HalfOpen += l.tcp.SynCount()
	}
	if s.cpu >= 0 {
		r.CPU = threadTime()
	}
	if q := s.shieldQueue; q != nil {
		r.Pressed, r.Pressure = q.Pressure(int64(s.now))
	}
	if d, ok := s.dev.(countingDevice); ok {
		r.Device = &DeviceStats{Queue: *d.Stats()}
		r.Device.Socket, err = d.Statistics()
	}
	return r, err
}

// threadTime returns the processor time that the calling thread has used.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
