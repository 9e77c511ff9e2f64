package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// Config says what a stack is and how it works. A zero field means the default that is given with it.
type Config struct {
	// Interface is the network interface that Open attaches to. If it is a VLAN's, Open attaches to the one below, and the stack takes
	// and sends frames of that VLAN.
	Interface string
	// Address is the stack's own IPv4 address with the length of its network's prefix. The kernel must not have it.
	Address netip.Prefix
	// Addresses are further IPv4 addresses of the stack's own: prefixes, ranges, single ones (ParseAddrRange), of Address's network or of
	// any other that is routed to it; none by default. Up to 2^24 of them, in 256 ranges, take no memory each. Address itself and its
	// network's own and broadcast address do not count as further ones. The kernel must not have any.
	Addresses []AddrRange
	// Gateway is the next hop for addresses outside the network; none by default.
	Gateway netip.Addr
	// Shared has the stack use the kernel's own addresses on Interface, all of them, of which it owns only the TCP and UDP ports that
	// are opened, and the ICMP errors about these. The kernel's routes, neighbours, addresses and MTU are followed as they change, and
	// each port is reserved in the kernel. Address, Addresses and Gateway stay empty then. Only Open does this.
	Shared bool
	// DialPorts is how many local ports of a Shared stack are reserved for the connections that it dials, each by a socket of the kernel's;
	// default 1024, negative: none, so that it dials nothing over TCP.
	DialPorts int
	// AFXDP says how Open uses the interface.
	AFXDP afxdp.Options
	// Filter loads the XDP program with a filter: rules and rates by the source of packets, which Interface().Program() is told. It lets
	// everything in until then. Default: none.
	Filter bool
	// OpenInterface is called by Open in place of afxdp.Open, by a process that gets its interface from another one; nil: afxdp.Open is.
	OpenInterface func(name string, o afxdp.Options, steer bpf.Config) (*afxdp.Interface, error)
	// ReservePort is called for a port of a Shared stack that this process has not the right to reserve in the kernel: it returns a socket
	// that is bound to it, which another process has made. 0.0.0.0 stands for all addresses. Nil: such a port cannot be opened.
	ReservePort func(protocol uint8, a netip.Addr, port uint16) (*os.File, error)
	// TCP says how connections behave.
	TCP tcp.Config

	BatchSize   int           // packets taken from a queue in one turn; default 64
	SpinTime    time.Duration // how long a shard polls before it sleeps, if it pays, or before an OnTurn; default 50 µs, negative: not
	MaxConns    int           // connections of one shard, at most; default 1048576
	MaxTimeWait int           // connections of one shard in TIME-WAIT, 32 bytes each, at most; default 65536
	Backlog     int           // connections of one listener and shard that wait for Accept, at most; default 1024
	Mailbox     int           // commands that may wait for a shard, a power of two; default 4096
	PassRing    int           // bytes that segments may take that wait to go from one shard to one other, a power of two; default 4 MiB
	RxBudget    uint32        // bytes that all receive windows of a shard may promise together; default a quarter of its frames
	MaxUnread   uint64        // bytes received that the applications of a shard may leave unread together; default 256 MiB
	CPUs        []int         // the CPU of each shard, -1: any, as beyond the list; default near the queue's interrupt
	TTL         uint8         // of the packets sent; default 64
	TOS         uint8         // of the packets sent: the DSCP, in the upper six bits; the ECN bits are ignored; default 0
	Seed        uint64        // makes every random choice repeatable, for simulations only; default 0: unpredictable

	// Shield says when the XDP program answers SYNs itself, with SYN cookies, and lets only those TCP segments come to a port that is
	// listened on that belong to a flow of the stack's or bring a cookie back: a flood then costs the stack nothing. Default bpf.ShieldOff:
	// never, and it cannot be turned on while the stack runs; else SetShield changes it. Only for Open.
	Shield bpf.ShieldMode

	// OnTurn is called once in each turn of each shard, for what has a schedule of its own; nil: nothing is. All shards call the same one,
	// each on its own goroutine.
	OnTurn OnTurn

	// LinkEvent is told what happens to the interface of a stack that Open made, on a goroutine of its own or by Open. The next event waits
	// until it returns. It must not close the stack.
	LinkEvent func(LinkEvent)

	// NoProbe leaves out the check at Open that nobody else on the link uses the addresses (RFC 5227 section 2.1.1). It takes a quarter
	// of a second, and up to 1.5 with 4,096 addresses; of more, only Address is checked.
	NoProbe bool
}

const (
	defaultBatchSize   = 64
	defaultSpinTime    = 50 * time.Microsecond // twice what a sleep adds to an answer over veth
	defaultMaxConns    = 1 << 20
	defaultMaxTimeWait = 1 << 16
	defaultBacklog     = 1024
	defaultMailbox     = 4096
	defaultPassRing    = 4 << 20 // more than a shard's windows promise by default: 2.3 MB

	defaultDialPorts = 1024

	maxBacklog = 1 << 16
)

// Errors of opening a stack and of its calls. Each wraps the errno that a kernel's socket would give.
var (
	ErrConfig       = errors.New("stack: bad configuration")
	ErrAddressInUse = fmt.Errorf("stack: another host on the link uses the address: choose one that is free (%w)", syscall.EADDRINUSE)
	ErrPortInUse    = fmt.Errorf("stack: the port is already listened on (%w)", syscall.EADDRINUSE)
	ErrNoPort       = fmt.Errorf("stack: no local port is free (%w)", syscall.EADDRNOTAVAIL)
	ErrNoRoute      = fmt.Errorf("stack: the address is outside the stack's network and no gateway is configured (%w)", syscall.ENETUNREACH)
	// ErrNoKernelRoute is ErrNoRoute of a Shared stack.
	ErrNoKernelRoute = fmt.Errorf("stack: no route of the kernel's leads out of the interface to the address (%w)",
		syscall.ENETUNREACH)
	// ErrNoAddress: a Shared stack has no address to send from, or not that any more.
	ErrNoAddress    = fmt.Errorf("stack: the kernel does not have the address to send from now (%w)", syscall.EADDRNOTAVAIL)
	ErrTooManyConns = fmt.Errorf("stack: the shard has as many connections as Config.MaxConns allows (%w)", syscall.ENOBUFS)
	ErrNoFrame      = fmt.Errorf("stack: no frame is free (%w)", syscall.ENOBUFS)
	ErrMessageSize  = fmt.Errorf("stack: the datagram does not fit a packet (%w)", syscall.EMSGSIZE)
	ErrNotOwned     = fmt.Errorf("stack: the address is not one of the stack's (%w)", syscall.EADDRNOTAVAIL)
	ErrOwned        = fmt.Errorf("stack: the address is the stack's own, and it does not talk to itself (%w)", syscall.EHOSTUNREACH)
	ErrBroadcast    = fmt.Errorf("stack: TCP does not connect to a broadcast or multicast address (%w)", syscall.ENETUNREACH)

	// errNoDialPort is the ErrNoPort of a Shared stack.
	errNoDialPort = fmt.Errorf("%w to dial from: reserve more (Config.DialPorts, --dial-ports)", ErrNoPort)

	errClosed = net.ErrClosed
)

// Check finds what Open would refuse whatever the interface, without touching one.
func (cfg *Config) Check() error {
	full, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	return full.AFXDP.Check()
}

func (cfg *Config) withDefaults() (Config, error) {
	c := *cfg
	setDefault(&c.BatchSize, defaultBatchSize)
	setDefault(&c.SpinTime, defaultSpinTime)
	setDefault(&c.MaxConns, defaultMaxConns)
	setDefault(&c.MaxUnread, tcp.DefaultMaxUnread)
	setDefault(&c.MaxTimeWait, defaultMaxTimeWait)
	setDefault(&c.Backlog, defaultBacklog)
	setDefault(&c.Mailbox, defaultMailbox)
	setDefault(&c.PassRing, defaultPassRing)
	setDefault(&c.TTL, ipv4.DefaultTTL)
	c.TOS &^= tcp.ECNMask // TCP sets them where it may (RFC 3168 section 6.1), and nothing else reacts to marks
	setDefault(&c.DialPorts, defaultDialPorts)
	if err := c.checkAddresses(); err != nil {
		return c, err
	}
	switch {
	case c.BatchSize < 1 || c.BatchSize > 4096:
		return c, fmt.Errorf("%w: BatchSize %d is not within 1 to 4096", ErrConfig, c.BatchSize)
	case c.MaxConns < 1 || c.MaxConns > 1<<24:
		return c, fmt.Errorf("%w: MaxConns %d is not within 1 to 2^24", ErrConfig, c.MaxConns)
	case c.MaxTimeWait < 1 || c.MaxTimeWait > 1<<24:
		return c, fmt.Errorf("%w: MaxTimeWait %d is not within 1 to 2^24", ErrConfig, c.MaxTimeWait)
	case c.PassRing < 1<<12 || c.PassRing > 1<<30 || c.PassRing&(c.PassRing-1) != 0:
		return c, fmt.Errorf("%w: PassRing %d is not a power of two within 4096 to 2^30", ErrConfig, c.PassRing)
	case c.Shield > bpf.ShieldAlways:
		return c, fmt.Errorf("%w: Shield has no mode %v", ErrConfig, c.Shield)
	case c.Backlog < 1 || c.Backlog > maxBacklog:
		return c, fmt.Errorf("%w: Backlog %d is not within 1 to %d", ErrConfig, c.Backlog, maxBacklog)
	}
	return c, nil
}

func (cfg *Config) checkAddresses() error {
	a := cfg.Address
	if cfg.Shared {
		if a.IsValid() || cfg.Addresses != nil || cfg.Gateway.IsValid() {
			return fmt.Errorf("%w: a Shared stack has the kernel's addresses and routes: leave Address, Addresses and Gateway empty",
				ErrConfig)
		}
		return nil
	}
	if !a.IsValid() {
		return fmt.Errorf("%w: Address is missing: give the stack an address with its prefix, like 192.0.2.10/24", ErrConfig)
	}
	ip, ok := ipv4.AddrFrom(a.Addr())
	if !ok {
		return fmt.Errorf("%w: Address %v is not IPv4, the only version that is implemented", ErrConfig, a)
	}
	if !ip.IsHost() || isBroadcast(a, ip) {
		return fmt.Errorf("%w: Address %v is not the address of a single host", ErrConfig, a)
	}
	if _, err := cfg.others(); err != nil {
		return err
	}
	if !cfg.Gateway.IsValid() {
		return nil
	}
	if !a.Contains(cfg.Gateway) || cfg.Gateway == a.Addr() {
		return fmt.Errorf("%w: Gateway %v is not another host of the network %v", ErrConfig, cfg.Gateway, a.Masked())
	}
	return nil
}

// isBroadcast reports whether ip is the network's own or its broadcast address (RFC 1122 section 3.2.1.3; a /31 has neither,
// RFC 3021).
func isBroadcast(network netip.Prefix, ip ipv4.Addr) bool {
	if network.Bits() >= 31 {
		return false
	}
	mask := ^uint32(0) >> network.Bits()
	host := ip.Uint32() & mask
	base, _ := ipv4.AddrFrom(network.Addr())
	return ip.Uint32()&^mask == base.Uint32()&^mask && (host == 0 || host == mask)
}

func (cfg *Config) cpu(shard int) int {
	if shard < len(cfg.CPUs) {
		return cfg.CPUs[shard]
	}
	return -1
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
