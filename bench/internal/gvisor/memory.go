package gvisor

import (
	"bytes"
	"io"
	"net/netip"
	"runtime"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/sync"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// memoryLink is a link in memory. It is kinder to gVisor than its real links are: a received frame is written straight into the
// buffer that goes up the stack (link/xdp copies it out of the UMEM), and a sent one is not copied at all.
type memoryLink struct {
	addr tcpip.LinkAddress
	gro  gro.GRO

	mu   sync.Mutex
	sent []*stack.PacketBuffer
}

func (l *memoryLink) MTU() uint32                        { return 1500 }
func (l *memoryLink) SetMTU(uint32)                      {}
func (l *memoryLink) MaxHeaderLength() uint16            { return header.EthernetMinimumSize }
func (l *memoryLink) LinkAddress() tcpip.LinkAddress     { return l.addr }
func (l *memoryLink) SetLinkAddress(a tcpip.LinkAddress) { l.addr = a }
func (l *memoryLink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}
func (l *memoryLink) Attach(d stack.NetworkDispatcher)        { l.gro.Dispatcher = d }
func (l *memoryLink) IsAttached() bool                        { return l.gro.Dispatcher != nil }
func (l *memoryLink) Wait()                                   {}
func (l *memoryLink) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }
func (l *memoryLink) Close()                                  {}
func (l *memoryLink) SetOnCloseAction(func())                 {}

func (l *memoryLink) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

func (l *memoryLink) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

func (l *memoryLink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	l.mu.Lock()
	for _, p := range pkts.AsSlice() {
		l.sent = append(l.sent, p.IncRef())
	}
	l.mu.Unlock()
	return pkts.Len(), nil
}

// deliver sends one frame up the stack.
func (l *memoryLink) deliver(next func(b []byte) int) {
	v := buffer.NewViewSize(2048)
	v.CapLength(next(v.AsSlice()))
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	pkt.NetworkProtocolNumber = header.Ethernet(v.AsSlice()).Type()
	if l.ParseHeader(pkt) {
		l.gro.Enqueue(pkt)
	}
	pkt.DecRef()
}

// writeSize is a multiple of the segment size: gVisor does not fill up a segment across two writes.
const writeSize = 44 * peer.Payload

// Memory is a gVisor stack over a link in memory: a target of the core benchmarks.
type Memory struct {
	stack    *stack.Stack
	link     *memoryLink
	work     core.Work
	listener tcpip.Endpoint
	conn     tcpip.Endpoint
	held     []tcpip.Endpoint // the connections of core.Hold
	batch    []*stack.PacketBuffer
	data     []byte
	payload  bytes.Reader
	unsent   int     // bytes written and not seen as frames yet
	app      *Server // runs the application of short connections; nil with one connection
	// inspect sees every sent frame whole; nil but in tests.
	inspect func(frame []byte)
}

// MemoryOptions configure a Memory.
type MemoryOptions struct {
	GRO bool // coalesce what arrives together before it goes up the stack
}

// NewMemory makes a stack with a listener for the work.
func NewMemory(w core.Work, o MemoryOptions) (*Memory, error) {
	ends := w.Ends()
	m := &Memory{
		work: w,
		link: &memoryLink{addr: tcpip.LinkAddress(ends.MAC[:])},
		data: make([]byte, writeSize),
	}
	m.link.gro.Init(o.GRO)
	var err error
	m.stack, err = newStack(m.link, nil, netip.PrefixFrom(netip.AddrFrom4(ends.Addr), 24), Buffers{Receive: 1 << 20, Send: 4 << 20})
	if err != nil {
		return nil, err
	}
	if w == core.Hold {
		local, _ := tcpip.NewSubnet(tcpip.AddrFrom4([4]byte{ends.Addr[0], ends.Addr[1], ends.Addr[2]}), tcpip.MaskFrom("\xff\xff\xff\x00"))
		m.stack.SetRouteTable([]tcpip.Route{
			{Destination: local, NIC: nic},
			{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFrom4(ends.PeerAddr), NIC: nic},
		})
	}
	queue := new(waiter.Queue)
	if m.listener, err = listen(m.stack, w.Port(), queue); err != nil {
		return nil, err
	}
	if w == core.Connect {
		m.app = &Server{wake: make(chan struct{}, 1)}
		(&conn{server: m.app, ep: m.listener, queue: queue, port: w.Port(), listen: true}).watch()
	}
	return m, nil
}

// Deliver implements core.Target.
func (m *Memory) Deliver(n int, next func(b []byte) int) {
	for range n {
		m.link.deliver(next)
	}
	m.link.gro.Flush()
}

// Work implements core.Target. gVisor's own goroutines do the TCP processing: they run while this one yields.
func (m *Memory) Work(take func(head []byte, size int)) {
	runtime.Gosched()
	switch {
	case m.app != nil:
		m.app.runReady()
	case m.work == core.Hold:
		m.hold()
	default:
		m.oneConnection()
	}
	m.link.mu.Lock()
	m.batch, m.link.sent = m.link.sent, m.batch[:0]
	m.link.mu.Unlock()
	for i, pkt := range m.batch {
		if m.inspect != nil {
			whole := pkt.ToView()
			m.inspect(whole.AsSlice())
			whole.Release()
		}
		views, off := pkt.AsViewList()
		m.unsent -= max(0, pkt.Size()-peer.HeaderSize)
		take(views.Front().AsSlice()[off:], pkt.Size()) // all headers are in the first view
		pkt.DecRef()
		m.batch[i] = nil
	}
}

// oneConnection runs the application of the only connection.
func (m *Memory) oneConnection() {
	if m.conn == nil {
		m.conn, _, _ = m.listener.Accept(nil)
	}
	switch {
	case m.conn == nil:
	case m.work == core.Receive:
		// Discard costs nothing per byte, as a callback that looks at nothing does.
		_, _ = m.conn.Read(io.Discard, tcpip.ReadOptions{})
	default:
		m.write()
	}
}

// hold takes every connection there is.
func (m *Memory) hold() {
	for {
		ep, _, err := m.listener.Accept(nil)
		if err != nil {
			return
		}
		m.held = append(m.held, ep)
	}
}

// write keeps more in the send buffer than the peer's window takes, and less than would make a write short.
func (m *Memory) write() {
	for m.unsent < 8*writeSize {
		m.payload.Reset(m.data)
		n, err := m.conn.Write(&m.payload, tcpip.WriteOptions{})
		if err != nil {
			return
		}
		m.unsent += int(n)
	}
}

// Close implements core.Target.
func (m *Memory) Close() {
	if m.conn != nil {
		m.conn.Abort()
	}
	for _, ep := range m.held {
		ep.Abort()
	}
	m.listener.Close()
	m.stack.Close()
}

// Inspect lets a test see every sent frame whole.
func (m *Memory) Inspect(f func(frame []byte)) { m.inspect = f }
