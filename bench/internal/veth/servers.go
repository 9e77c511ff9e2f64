package veth

import (
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/load"
)

// Server is one kind of server.
type Server struct {
	Name    string // of the side
	Kind    string // as ServeArgs has it
	Threads int    // GOMAXPROCS
	Setup   string
	Kernel  bool          // the kernel itself has the server's address
	Free    bool          // may run on every processor, the client's too
	Spin    time.Duration // how long ours polls before it sleeps; 0: as it does by default, negative: not at all
	// ZeroCopy, of ours, insists on zero-copy. Otherwise frames are copied, whatever the driver could do.
	ZeroCopy bool
	// Pairs, of ours, is how many queues the link has, with a shard of the server and one of our client on each, each such pair
	// on a processor of its own. 0 is one queue, with server and client on processors of their own.
	Pairs int
	// Offloads leaves checksum and segmentation offloads on, and Client is who drives this server, whatever its works say.
	Offloads bool
	Client   Client
	// Routed gives the server a way to other networks, by the client's side.
	Routed bool
}

// The servers.
//
// A shard of xdpstack is one thread (the second P is for the collector), and so is the kernel's epoll server. gVisor reads,
// processes and writes on goroutines of their own. Whether it is faster with every processor or bound to one, where nothing has
// to be fetched from the other's cache, depends on the work.
var (
	Ours = Server{
		Name: "xdpstack", Kind: "xdpstack", Threads: 2, Setup: "AF_XDP, native driver, handler API, KeepProcessor, AdaptiveFill",
	}
	GVisorXDP = Server{
		Name: "gVisor AF_XDP", Kind: "gvisor-xdp", Threads: 2, Setup: "link/xdp, receive buffer 512 KiB fixed, fifo qdisc",
	}
	GVisorPacket = Server{
		Name: "gVisor AF_PACKET", Kind: "gvisor-packet", Threads: 2,
		Setup: "link/fdbased, recvmmsg, GRO, software GSO, fifo qdisc",
	}
	KernelXDP = Server{
		Name: "kernel, XDP_PASS", Kind: "kernel-xdp", Threads: 1, Setup: "epoll server, XDP_PASS on its interface", Kernel: true,
	}
	Kernel = Server{Name: "kernel", Kind: "kernel", Threads: 1, Setup: "epoll server, no XDP", Kernel: true}
	GoNet  = Server{
		Name: "kernel, Go net", Kind: "go-net", Threads: 2, Setup: "net.Listener, a goroutine for each connection", Kernel: true,
	}
	Nginx = Server{Name: "kernel, nginx", Kind: "nginx", Threads: 1, Setup: "nginx, one worker, access log off", Kernel: true}

	OursNetHTTP = Server{
		Name: "xdpstack", Kind: "xdpstack-nethttp", Threads: 2, Setup: "AF_XDP, native driver, net/http on net.Conn",
	}
	OursIPerf3 = Server{
		Name: "xdpstack", Kind: "xdpstack-iperf3", Threads: 2,
		Setup: "AF_XDP, native driver, xdpstack iperf3 -s, KeepProcessor, AdaptiveFill",
	}
	IPerf3 = Server{Name: "kernel", Kind: "iperf3", Threads: 1, Setup: "iperf3 -s", Kernel: true}

	GoNetHTTP = Server{Name: "kernel, net/http", Kind: "go-nethttp", Threads: 2, Setup: "net/http", Kernel: true}
)

// With returns the server under another name, changed.
func (s Server) With(name string, change func(*Server)) Server {
	s.Name = name
	change(&s)
	return s
}

// Describe says how the server is set up.
func (s *Server) Describe() string {
	place := "bound to one processor"
	if s.Free {
		place = "on every processor"
	}
	return fmt.Sprintf("%s; GOMAXPROCS %d, %s", s.Setup, s.Threads, place)
}

// Client is the TCP that drives a server.
type Client string

// The clients.
const (
	KernelClient Client = "kernel"
	OurClient    Client = "xdpstack"
	OurLoad      Client = "xdpstack-load" // package load, as the command has it
)

// ours tells whether a client has a stack of its own.
func (c Client) ours() bool { return c == OurClient || c == OurLoad }

// Work is one benchmark.
type Work struct {
	Name   string // of the benchmark
	Work   load.Work
	Conns  int
	Unit   string
	Scale  float64 // counts per second in the unit; 0: the value is the median latency in µs
	Frame  float64 // counts of a frame, where processor time for each is of interest
	Client Client
	Spin   time.Duration // how long our client polls before it sleeps; 0: not at all
}
