package afxdp

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/deferral"
)

// Queue is one RX and TX queue pair of an interface, with its socket and its pool of frames. One goroutine uses it; only Wake may
// be called by others.
type Queue interface {
	Index() int
	Pool() *frame.Pool
	HardwareAddr() [6]byte
	MTU() int                         // bytes of a network packet
	ChecksumOffload() (rx, tx bool)   // tx: see Options.TxChecksum. rx is false: XDP has no hint for it
	Receive(batch []frame.Desc) int   // received packets, whole ones; their frames are the caller's. A batch has frame.MaxFrames at least
	Room() int                        // how many frames Transmit would take
	Transmit(batch []frame.Desc) int  // queues packets in order and returns how many frames it took; these stay their owners'
	Flush() error                     // hands over what was queued; the error is of a link that is down (ENETDOWN) or gone (ENXIO)
	Recycle() int                     // takes completions, returns their number, and tops up what the kernel receives into
	Wait(timeout time.Duration) error // sleeps until a packet may be there, Wake, or the timeout (below 0: none); may be early
	Wake()
	Hints(d frame.Desc) (Hints, bool) // what is known of a received packet: see Options.RxHints
	TxStamps(dst []TxStamp) int       // moves times of sent packets to dst: see Options.TxStamps
	Mode() BoundMode
	Stats() *Stats
	Statistics() (Statistics, error)
	Close() error // no byte of the pool's frames may be touched after it
}

// Interface is an open interface: the XDP program on it and the queues.
type Interface struct {
	info    Info
	program *bpf.Program
	mode    BoundMode // what all queues have in common
	opt     Options   // with defaults
	queues  []Queue

	follower *follower // nil: nobody follows what becomes of the interface
}

// Open attaches the XDP program to an interface of the calling thread's network namespace and opens its queues. What the program
// steers to the queues, its maps say: see Program. On an error nothing stays behind.
func Open(name string, opt Options, steer bpf.Config) (*Interface, error) {
	info, err := Discover(name)
	if err != nil {
		return nil, err
	}
	at := place{name: name, index: info.Index, queue: -1}
	if opt.Memory != nil {
		if err := opt.Memory.adopt(&opt); err != nil {
			return nil, at.fail("open", nil, err, "")
		}
	}
	info.fit(&opt)
	opt = opt.withDefaults(info.MTU)
	if err := opt.check(); err != nil {
		return nil, at.fail("open", nil, err, "")
	}
	if !info.Up {
		return nil, at.fail("open", ErrInterfaceDown, unix.ENETDOWN, "bring it up with: ip link set "+name+" up")
	}
	if info.MAC == ([6]byte{}) { // loopback, and tunnels of IP packets
		return nil, at.fail("open", ErrUnsupported, nil, "it has no Ethernet address: use an interface with one, a network card or veth")
	}
	left := deferral.At(name, info.Index, info.MAC)
	_ = deferral.Recover(&left) // what a process left that was killed; it does not stop this one
	left.Close()
	queues, err := chooseQueues(at, &info, opt.Queues)
	if err != nil {
		return nil, err
	}
	steer.Queues = max(steer.Queues, slices.Max(queues)+1)
	if opt.Pin {
		steer.Pin = filepath.Join(bpf.PinDir, name)
	}
	i := &Interface{info: info, opt: opt}
	if err := i.open(at, &opt, steer, queues); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// chooseQueues returns the numbers of the queues to open.
func chooseQueues(at place, info *Info, wanted []int) ([]int, error) {
	if len(wanted) == 0 {
		if info.RxQueues > info.TxQueues {
			return nil, at.fail("choose queues", ErrNoQueue, fmt.Errorf("%d receive queues, but %d to transmit", info.RxQueues,
				info.TxQueues), "make them equal with: ethtool -L "+at.name)
		}
		for q := range info.RxQueues {
			wanted = append(wanted, q)
		}
		return wanted, nil
	}
	for n, q := range wanted {
		at.queue = q
		if q < 0 || q >= info.Queues() {
			return nil, at.fail("open", ErrNoQueue, nil,
				fmt.Sprintf("there are %d, from 0: see them with: ethtool -l %s", info.Queues(), at.name))
		}
		if slices.Contains(wanted[:n], q) {
			return nil, at.fail("open", ErrOptions, fmt.Errorf("the queue is listed twice"), "")
		}
	}
	return wanted, nil
}

func (i *Interface) open(at place, opt *Options, steer bpf.Config, queues []int) error {
	if i.info.bare(opt) {
		i.openBare(at, opt)
	} else if err := i.loadProgram(at, opt, steer); err != nil {
		return err
	}
	for _, n := range queues {
		at.queue = n
		q, fd, err := i.openQueue(at, opt)
		if err != nil {
			return err
		}
		i.queues = append(i.queues, q)
		if i.program == nil {
			continue
		}
		if err := i.program.SetSocket(n, fd); err != nil {
			return at.fail("register the socket", privilege(err), err, "")
		}
	}
	return nil
}

// loadProgram loads and attaches the XDP program: one that bears packets larger than a frame if the MTU lets them come, and one
// that the driver tells of packets if that is wanted and can be.
func (i *Interface) loadProgram(at place, opt *Options, steer bpf.Config) error {
	m := &i.mode
	m.Driver = opt.Driver
	m.MultiBuffer, m.NoMultiBuffer = wantsMulti(at, i.info.MTU, opt)
	steer.Fragments = steer.Fragments || m.MultiBuffer
	if opt.RxHints {
		err := i.loadHints(at, opt, steer)
		if !errors.Is(err, ErrNoRxHints) {
			return err
		}
		m.NoRxHints = err
	}
	return i.loadAndAttach(at, opt.Attach, steer)
}

// loadAndAttach loads and attaches the XDP program as steer says: in the driver if that takes it, which may be only if the
// program bears packets in several buffers, and without these if the kernel has none. After an error nothing is left of it.
func (i *Interface) loadAndAttach(at place, attach bpf.AttachMode, steer bpf.Config) error {
	m := &i.mode
	if !steer.Fragments && attach != bpf.AttachGeneric {
		err := i.attachProgram(at, bpf.AttachNative, steer)
		if err == nil || !bpf.Refused(err) {
			return err
		}
		// A driver's buffers may be smaller than our frames: virtio's hold an MTU of 3506.
		steer.Fragments = true
	}
	err := i.attachProgram(at, attach, steer)
	if errors.Is(err, bpf.ErrFragments) {
		if m.MultiBuffer {
			m.MultiBuffer, m.NoMultiBuffer = false, err
		}
		steer.Fragments = false
		err = i.attachProgram(at, attach, steer)
	}
	return err
}

func (i *Interface) attachProgram(at place, attach bpf.AttachMode, steer bpf.Config) error {
	p, err := bpf.Load(steer)
	switch {
	case errors.Is(err, bpf.ErrFragments):
		return at.fail("load the XDP program", ErrNoMultiBuffer, err, "")
	case err != nil:
		return at.fail("load the XDP program", privilege(err), err, "")
	}
	if i.mode.Attach, err = p.Attach(i.info.Index, attach); err != nil {
		_ = p.Close()
		return at.fail("attach the XDP program", privilege(err), err, "")
	}
	i.program, i.mode.noNative = p, p.Fallback()
	return nil
}

// wantsMulti reports whether packets of that MTU may lie in several frames; if they are too large for one and may not, why.
func wantsMulti(at place, mtu int, opt *Options) (bool, error) {
	most := room(opt.FrameSize, opt.Headroom)
	switch {
	case mtu <= most:
		return false, nil
	case opt.Driver != DriverNative:
		return false, at.fail("open", ErrNoMultiBuffer, nil, fmt.Sprintf("use the native driver, or an MTU of at most %d", most))
	}
	return true, nil
}

func (i *Interface) openQueue(at place, opt *Options) (Queue, int, error) {
	if opt.Driver == DriverAsavie {
		q, err := openAsavie(at, &i.info, opt, i.mode)
		if err != nil {
			return nil, 0, err
		}
		return q, q.fd, nil
	}
	q, err := openNative(at, &i.info, opt, i.mode)
	if err != nil {
		return nil, 0, err
	}
	if i.program != nil {
		q.cookie = i.program.HintsCookie()
	}
	return q, q.fd, nil
}

// Queues returns the open queues, in the order of Options.Queues.
func (i *Interface) Queues() []Queue { return i.queues }

// Program returns the attached XDP program, through which addresses and ports are steered; nil where Options.SendOnly did without.
func (i *Interface) Program() *bpf.Program { return i.program }

// Info returns what was found out about the interface when it was opened.
func (i *Interface) Info() Info { return i.info }

// RxRing returns how many received packets each queue can hold before its owner takes them.
func (i *Interface) RxRing() int { return i.opt.RxRing }

// Describe says in one line how the interface is used.
func (i *Interface) Describe() string {
	if len(i.queues) == 0 {
		return fmt.Sprintf("%s (%s), closed", i.info.Name, i.info.Driver)
	}
	queues := "1 queue"
	if n := len(i.queues); n > 1 {
		queues = fmt.Sprintf("%d queues", n)
	}
	direct := 0
	for _, q := range i.queues {
		if q.Mode().ZeroCopy {
			direct++
		}
	}
	if direct != 0 && direct != len(i.queues) { // which the mode of one queue cannot say
		queues += fmt.Sprintf(", zero-copy on %d of them, the first one", direct)
	}
	return fmt.Sprintf("%s (%s), %s, %v", i.info.Name, i.info.Driver, queues, i.queues[0].Mode())
}

// Close detaches the program and closes the queues. The goroutines that use the queues must have ended, and no frame may be in
// use.
func (i *Interface) Close() error {
	i.follower.stop()
	i.follower = nil
	var all error
	if i.program != nil { // first, so that no packet is redirected to a queue that is being closed
		all = i.program.Close()
		i.program = nil
	}
	for _, q := range i.queues {
		all = errors.Join(all, q.Close())
	}
	i.queues = nil
	return all
}
