package kernelnet

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	rtnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Config says what to follow, and who wants to know.
type Config struct {
	Interface string
	// Changed is called with each new snapshot, and Told with what the kernel says about the neighbours that were asked for, on
	// one goroutine. Neither may call Close. Both must be there.
	Changed func(*Snapshot)
	Told    func(Neighbour)
}

// Stats count what a follower did.
type Stats struct {
	Reads       uint64 `help:"times that the kernel's addresses and routes were read"`
	ReadErrors  uint64 `help:"times that this failed; it is tried again"`
	Overruns    uint64 `help:"times that the kernel had more to say than there was room for, and all was read again"`
	Uses        uint64 `help:"times that the kernel was made to resolve or to verify a neighbour"`
	UseErrors   uint64 `help:"times that it refused to"`
	AsksDropped uint64 `help:"questions for neighbours dropped: too many at a time"`
}

type counters struct {
	reads, readErrors, overruns, uses, useErrors, asksDropped atomic.Uint64
}

// Follower follows one interface. One goroutine does all of its work, and another only waits for the kernel.
type Follower struct {
	cfg    Config
	index  int
	kernel *netlink.Handle // sockets of the interface's network namespace, for questions
	rules  *rtnetlink.Conn // and one for policy rules, of which that says too little
	conn   *rtnetlink.Conn // and for what the kernel tells by itself

	datagrams int // a socket: see nudge

	now   atomic.Pointer[Snapshot]
	known map[[4]byte]entry       // the kernel's neighbours on the interface
	asked [2]map[[4]byte]struct{} // whom somebody wants to be told about: since a while, and before
	stats counters

	forget time.Time // when asked[1] is forgotten
	asks   chan [4]byte
	events chan []rtnetlink.Message
	lost   chan struct{} // messages were
	stop   chan struct{}
	done   chan struct{} // closed at the end of the goroutine that works
	heard  chan struct{} // and of the one that waits
}

const (
	// settle is how long the follower waits, after a change of addresses or routes, for more of them before it reads all.
	settle = 5 * time.Millisecond
	// Reading takes no more than a tenth of the time, however often a large table changes, and errors are not repeated all the
	// time.
	readShare  = 9
	retryAfter = 100 * time.Millisecond

	readTries = 10 // at the opening, where routes may change all the time

	receiveBuffer = 1 << 20 // bytes: some 4,000 messages
)

// Open begins to follow an interface of the calling thread's network namespace.
func Open(cfg Config) (*Follower, error) {
	fail := func(err error) (*Follower, error) {
		return nil, fmt.Errorf("kernelnet: follow %s: %w", cfg.Interface, err)
	}
	f := &Follower{
		cfg: cfg, known: make(map[[4]byte]entry), asks: make(chan [4]byte, askQueue),
		events: make(chan []rtnetlink.Message, 64), lost: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}), heard: make(chan struct{}),
	}
	f.asked[0] = make(map[[4]byte]struct{})
	link, err := netlink.LinkByName(cfg.Interface)
	if err != nil {
		return fail(err)
	}
	f.index = link.Attrs().Index
	if f.kernel, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fail(err)
	}
	f.rules, err = rtnetlink.Dial(unix.NETLINK_ROUTE, nil)
	if err == nil {
		if f.conn, err = rtnetlink.Dial(unix.NETLINK_ROUTE, nil); err != nil {
			_ = f.rules.Close()
		}
	}
	if err != nil {
		f.kernel.Close()
		return fail(err)
	}
	err = f.openDatagrams()
	_ = f.conn.SetReadBuffer(receiveBuffer) // a smaller one has all read again more often
	for _, group := range []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_NEIGH} {
		err = errors.Join(err, f.conn.JoinGroup(group))
	}
	var first *Snapshot
	if err == nil { // what changes from now on is told
		first, err = f.read()
	}
	for try := 1; errors.Is(err, netlink.ErrDumpInterrupted) && try < readTries; try++ { // It changed meanwhile.
		first, err = f.read()
	}
	if err == nil {
		err = f.readNeighbours()
	}
	if err != nil {
		f.close()
		return fail(err)
	}
	f.now.Store(first)
	go f.listen()
	go f.run()
	return f, nil
}

// Snapshot returns what the kernel has configured.
func (f *Follower) Snapshot() *Snapshot { return f.now.Load() }

// Stats returns the counters.
func (f *Follower) Stats() Stats {
	s := &f.stats
	return Stats{
		Reads: s.reads.Load(), ReadErrors: s.readErrors.Load(), Overruns: s.overruns.Load(), Uses: s.uses.Load(),
		UseErrors: s.useErrors.Load(), AsksDropped: s.asksDropped.Load(),
	}
}

// Close ends the following. Nothing is called afterwards.
func (f *Follower) Close() error {
	close(f.stop)
	<-f.done
	f.close()
	<-f.heard
	return nil
}

func (f *Follower) close() {
	_ = f.conn.Close()
	_ = f.rules.Close()
	f.kernel.Close()
	_ = unix.Close(f.datagrams)
}

// listen passes on what the kernel says. While nobody takes it, it piles up in the socket, until some is lost there.
func (f *Follower) listen() {
	defer close(f.heard)
	for {
		messages, err := f.conn.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			f.stats.overruns.Add(1)
			select {
			case f.lost <- struct{}{}:
			default:
			}
		case errors.Is(err, os.ErrClosed), errors.Is(err, unix.EBADF):
			return
		case err != nil:
			select {
			case <-f.stop:
				return
			case <-time.After(retryAfter): // It is nothing that is known; it must not take all time.
			}
		default:
			select {
			case f.events <- messages:
			case <-f.stop:
				return
			}
		}
	}
}

// run does the work.
func (f *Follower) run() {
	defer close(f.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Stop()
	pending := false // a reading is
	earliest := time.Now()
	changed := func() {
		if !pending {
			pending = true
			timer.Reset(max(settle, time.Until(earliest)))
		}
	}
	for {
		select {
		case <-f.stop:
			return
		case ip := <-f.asks:
			f.ask(ip)
		case <-f.lost:
			changed()
			if f.readNeighbours() != nil {
				f.stats.readErrors.Add(1)
			}
		case messages := <-f.events:
			for i := range messages {
				if f.message(&messages[i]) {
					changed()
				}
			}
		case <-timer.C:
			pending = false
			start := time.Now()
			err := f.update()
			earliest = time.Now().Add(readShare * time.Since(start))
			if err != nil {
				f.stats.readErrors.Add(1)
				earliest = time.Now().Add(retryAfter)
				changed()
			}
		}
	}
}

// message takes what the kernel says, and reports whether a snapshot may be out of date by it.
func (f *Follower) message(m *rtnetlink.Message) bool {
	switch m.Header.Type {
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if len(m.Data) < unix.SizeofNdMsg || m.Data[0] != unix.AF_INET {
			return false
		}
		if n, err := netlink.NeighDeserialize(m.Data); err == nil {
			f.neighbour(n, m.Header.Type == unix.RTM_DELNEIGH)
		}
		return false
	case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_NEWROUTE, unix.RTM_DELROUTE,
		unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return true
	}
	return false
}

// update reads all, and tells if it has changed.
func (f *Follower) update() error {
	f.stats.reads.Add(1)
	s, err := f.read()
	if err != nil {
		return err
	}
	if s.Equal(f.now.Load()) {
		return nil
	}
	f.now.Store(s)
	f.cfg.Changed(s)
	return nil
}
