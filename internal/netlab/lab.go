package netlab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Names of the interfaces, the same in every lab: those of the two sides are alone in their namespaces.
const (
	stackInterface     = "xs-stack"
	kernelInterface    = "xs-kernel"
	hopStackInterface  = "xs-hop-stack"
	hopKernelInterface = "xs-hop-kernel"
)

// Config says what a lab looks like. The zero Config is a lab with one queue, MTU 1500 and no offloads.
type Config struct {
	Name   string // part of the namespaces' names, at most 32 bytes; default "lab"
	Queues int    // receive and transmit queues of both ends; default 1
	MTU    int    // bytes; default 1500

	KernelAddress netip.Prefix // default 10.77.0.1/24
	StackAddress  netip.Prefix // default 10.77.0.2/24

	// BothKernel gives StackAddress to the kernel on the stack's side too: a wire between two kernels, as a baseline.
	BothKernel bool
	// Offloads leaves checksum and segmentation offloads as the driver has them: on.
	Offloads bool
	// GRO leaves receive merging on, whatever Offloads says.
	GRO bool
	// Threaded moves receive processing from the sender's softirq to kernel threads of the receiver's own, one per queue. A veth
	// end has NAPI, which this is about, only while an XDP program is attached to it or GRO is on: a kernel side that should have its
	// own threads needs GRO.
	Threaded bool
	// Coalesce has both ends wait for so long, when they have received, before they receive again, so that they take many packets
	// together: what network cards do with their interrupts. The NAPI of a veth, which this is about, waits with a timer
	// (napi_defer_hard_irqs, gro_flush_timeout). Default: not.
	Coalesce time.Duration
	// Qdisc is the root queueing discipline of both ends, "pfifo" for example. The default, none, drops what does not fit into
	// veth's ring of 256 frames; with a discipline the sender is pushed back instead.
	Qdisc string
	// Cards names two interfaces of the calling thread's namespace that are connected to each other, the stack's side first: the lab is
	// made of them in place of a veth pair, and they come back when it closes. Nothing else may use them meanwhile. There is no hop then.
	Cards [2]string
	// Hop puts a third namespace between the two sides, to which each is joined by a veth pair. Nothing forwards there until the
	// caller does.
	Hop bool
}

// Lab is a pair of namespaces joined by a veth pair, or with a hop between them.
type Lab struct {
	Stack  *Side
	Kernel *Side
	Hop    *Hop // nil without Config.Hop

	origin netns.NsHandle // where the cards came from; closed in a lab of veth pairs
	once   sync.Once
	err    error
}

func (c *Config) setDefaults() error {
	if c.Name == "" {
		c.Name = "lab"
	}
	if len(c.Name) > 32 || !plainName(c.Name) {
		return fmt.Errorf("netlab: name %q: use at most 32 letters, digits and dashes", c.Name)
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if !c.KernelAddress.IsValid() {
		c.KernelAddress = netip.MustParsePrefix("10.77.0.1/24")
	}
	if !c.StackAddress.IsValid() {
		c.StackAddress = netip.MustParsePrefix("10.77.0.2/24")
	}
	if c.cards() && (c.Hop || c.Cards[0] == "" || c.Cards[1] == "" || c.Cards[0] == c.Cards[1]) {
		return fmt.Errorf("netlab: cards %q and %q: name two different interfaces, and ask for no hop", c.Cards[0], c.Cards[1])
	}
	return nil
}

func plainName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// cards tells whether the lab is to be made of given interfaces.
func (c *Config) cards() bool { return c.Cards != [2]string{} }

// Available says why this process cannot make a lab; nil if it can. It tries on a thread of its own and leaves nothing behind.
func Available() error {
	return onSpareThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("netlab: make a network namespace: %w: run as root (CAP_SYS_ADMIN and CAP_NET_ADMIN)", err)
		}
		if err := netlink.LinkAdd(vethPair(&Config{Queues: 1, MTU: 1500}, stackInterface, kernelInterface, nil)); err != nil {
			return fmt.Errorf("netlab: make a veth pair: %w: the kernel needs CONFIG_VETH, the process CAP_NET_ADMIN", err)
		}
		return nil
	})
}

// New makes a lab. Close removes it.
func New(cfg Config) (*Lab, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	var random [4]byte
	rand.Read(random[:])
	base := fmt.Sprintf("%s%s-%d-%s", namePrefix, cfg.Name, os.Getpid(), hex.EncodeToString(random[:]))
	l := &Lab{
		Stack:  &Side{Namespace: base + "-stack", Interface: stackInterface, Address: cfg.StackAddress, ns: netns.None()},
		Kernel: &Side{Namespace: base + "-kernel", Interface: kernelInterface, Address: cfg.KernelAddress, ns: netns.None()},
		origin: netns.None(),
	}
	if cfg.Hop {
		l.Hop = newHop(base + "-hop")
	}
	if err := l.build(&cfg); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build(cfg *Config) error {
	for _, s := range l.sides() {
		if err := s.makeNamespace(); err != nil {
			return err
		}
	}
	join := l.join
	if cfg.cards() {
		join = l.takeCards
	}
	if err := join(cfg); err != nil {
		return err
	}
	if l.Hop != nil {
		if err := l.Hop.configure(cfg); err != nil {
			return err
		}
	}
	if err := l.Kernel.configure(cfg, true); err != nil {
		return err
	}
	if err := l.Stack.configure(cfg, cfg.BothKernel); err != nil {
		return err
	}
	return l.WaitCarrier()
}

// Veth tells whether the lab is made of veth pairs: false if of cards.
func (l *Lab) Veth() bool { return !l.origin.IsOpen() }

// sides are those that have a namespace of their own, in the order in which they are made and removed.
func (l *Lab) sides() []*Side {
	if l.Hop != nil {
		return []*Side{l.Stack, l.Kernel, l.Hop.Stack}
	}
	return []*Side{l.Stack, l.Kernel}
}

// join makes the veth pairs.
func (l *Lab) join(cfg *Config) error {
	pairs := [][2]*Side{{l.Stack, l.Kernel}}
	if h := l.Hop; h != nil {
		h.Kernel.ns = h.Stack.ns
		pairs = [][2]*Side{{l.Stack, h.Stack}, {l.Kernel, h.Kernel}}
	}
	for _, p := range pairs {
		err := p[0].Do(func() error { return netlink.LinkAdd(vethPair(cfg, p[0].Interface, p[1].Interface, p[1])) })
		if err != nil {
			return fmt.Errorf("netlab: make a veth pair with %d queues, MTU %d: %w", cfg.Queues, cfg.MTU, err)
		}
	}
	return nil
}

// vethPair describes a veth pair; the second end goes into the namespace of peer, or stays in the present one.
func vethPair(cfg *Config, name, peerName string, peer *Side) *netlink.Veth {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.MTU = cfg.MTU
	attrs.NumTxQueues, attrs.NumRxQueues = cfg.Queues, cfg.Queues
	veth := netlink.NewVeth(attrs)
	veth.PeerName = peerName
	veth.PeerMTU = uint32(cfg.MTU)
	veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(cfg.Queues), uint32(cfg.Queues)
	if peer != nil {
		veth.PeerNamespace = netlink.NsFd(peer.ns)
	}
	return veth
}

// Close removes the interfaces and the namespaces, and returns when they are gone. Cards are handed back, down, with the MTU, the
// queues and the offloads that they came with. Sockets that are still open inside stay
// usable but unconnected. Closing again does nothing and returns the same error.
func (l *Lab) Close() error {
	l.once.Do(func() {
		for _, s := range l.sides() {
			l.err = errors.Join(l.err, s.remove(l.origin))
		}
		if l.origin.IsOpen() {
			l.err = errors.Join(l.err, l.origin.Close())
		}
	})
	return l.err
}
