package afxdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// Link is the state of an interface.
type Link struct {
	Gone    bool // it was removed, or is in another network namespace: its sockets are dead
	Moved   bool // it is gone to another namespace
	Up      bool // somebody set it up
	Carrier bool // it has its link
	MTU     int
	MAC     [6]byte
	Queues  int // receive queues
}

// Works reports whether packets can come and go.
func (l *Link) Works() bool { return l.Up && l.Carrier && !l.Gone }

// follower is told by the kernel what becomes of an interface. Its goroutine is the only one that uses it after start.
type follower struct {
	conn    *netlink.Conn
	tool    *ethtool.Ethtool // of the interface's network namespace, as conn is
	at      place
	now     Link
	heard   bool // the kernel has told the state
	changed func(from, to Link)
	done    chan struct{} // closed at the end of the goroutine
}

// queuePeriod is how often the number of queues is looked at: the kernel does not tell who follows links that it has changed.
const queuePeriod = time.Second

// Follow calls changed with each change of the interface since it was opened, the first time before it returns if there was one, then on
// a goroutine of its own, until Close or until the interface is gone. It is to be called on a thread of the interface's network namespace,
// as Open is.
func (i *Interface) Follow(changed func(from, to Link)) error {
	at := place{name: i.info.Name, index: i.info.Index, queue: -1}
	if i.follower != nil {
		return at.fail("follow the link", ErrOptions, fmt.Errorf("somebody follows it already"), "")
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: 1 << (unix.RTNLGRP_LINK - 1)})
	if err != nil {
		return at.errno("follow the link", err)
	}
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return errors.Join(at.errno("follow the link", err), conn.Close())
	}
	f := &follower{
		conn: conn, tool: tool, at: at, changed: changed, done: make(chan struct{}),
		now: Link{Up: i.info.Up, Carrier: i.info.Carrier, MTU: i.info.MTU, MAC: i.info.MAC, Queues: i.info.RxQueues},
	}
	err = f.ask()
	for end := time.Now().Add(queuePeriod); err == nil && !f.heard && time.Now().Before(end); {
		_ = conn.SetReadDeadline(end)
		err = f.receive()
	}
	if err != nil {
		f.close()
		return at.errno("follow the link", err)
	}
	i.follower = f
	go f.run()
	return nil
}

// stop ends the following and returns when changed will not be called any more. It must not be called by changed.
func (f *follower) stop() {
	if f == nil {
		return
	}
	_ = f.conn.Close()
	<-f.done
}

func (f *follower) close() {
	_ = f.conn.Close()
	f.tool.Close()
}

func (f *follower) run() {
	defer close(f.done)
	defer f.close()
	for !f.now.Gone {
		_ = f.conn.SetReadDeadline(time.Now().Add(queuePeriod)) // fails when closed, and so does what follows
		if f.receive() != nil {
			return
		}
		f.countQueues()
	}
}

// receive waits for what the kernel has to say, or until the deadline.
func (f *follower) receive() error {
	messages, err := f.conn.Receive()
	switch {
	case err == nil:
		for _, m := range messages {
			f.message(&m)
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(err, unix.ENODEV): // the answer to ask
		f.heard = true
		f.become(Link{Gone: true})
	case errors.Is(err, unix.ENOBUFS): // messages were lost
		return f.ask()
	default:
		return err
	}
	return nil
}

// ask has the kernel tell the interface's state, as if it had changed.
func (f *follower) ask() error {
	data := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(data[4:], uint32(f.at.index))
	_, err := f.conn.Send(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: data})
	return err
}

// message takes what the kernel says about an interface. A bridge and others say something about their ports too, in families of
// their own, which must not be taken for the interface.
func (f *follower) message(m *netlink.Message) {
	if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC ||
		int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) != f.at.index {
		return
	}
	attributes, err := netlink.NewAttributeDecoder(m.Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return
	}
	f.heard = true
	to := f.now
	flags := binary.NativeEndian.Uint32(m.Data[8:])
	to.Up, to.Carrier = flags&unix.IFF_UP != 0, flags&unix.IFF_LOWER_UP != 0
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_MTU:
			to.MTU = int(attributes.Uint32())
		case unix.IFLA_ADDRESS:
			copy(to.MAC[:], attributes.Bytes())
		case unix.IFLA_NEW_NETNSID, unix.IFLA_NEW_IFINDEX:
			to.Moved = true
		}
	}
	switch {
	case attributes.Err() != nil:
	case m.Header.Type == unix.RTM_DELLINK:
		f.become(Link{Gone: true, Moved: to.Moved})
	case m.Header.Type == unix.RTM_NEWLINK:
		to.Moved = false
		f.become(to)
	}
}

func (f *follower) countQueues() {
	if f.now.Gone {
		return
	}
	to := f.now
	if c, err := f.tool.GetChannels(f.at.name); err == nil {
		to.Queues = int(c.RxCount + c.CombinedCount)
	}
	f.become(to)
}

func (f *follower) become(to Link) {
	from := f.now
	if to != from {
		f.now = to
		f.changed(from, to)
	}
}
