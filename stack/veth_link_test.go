package stack

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// eventLog keeps what happened to an interface.
type eventLog struct {
	mu     sync.Mutex
	events []LinkEvent
}

func (l *eventLog) add(e LinkEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *eventLog) kinds() (kinds []LinkEventKind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// wait waits for an event.
func (l *eventLog) wait(t *testing.T, kind LinkEventKind) (e LinkEvent) {
	t.Helper()
	eventually(t, "the event", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		i := slices.IndexFunc(l.events, func(e LinkEvent) bool { return e.Kind == kind })
		if i >= 0 {
			e = l.events[i]
		}
		return i >= 0
	})
	return e
}

// withoutInterface checks everything of a stack whose interface goes: what waits and what is called later ends with an error that says
// so, and Close returns every frame.
func withoutInterface(t *testing.T, moved bool, remove func(l *netlab.Lab) error) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			log := &eventLog{}
			cfg := Config{LinkEvent: log.add}
			cfg.AFXDP.Driver = driver
			var s *Stack
			t.Cleanup(func() { // after Close
				if s == nil {
					return
				}
				if p := s.shards[0].pool; p.Check() != nil || p.Free() != p.Size() {
					t.Errorf("%v, %+v", p.Check(), p.Account())
				}
			})
			opened, l := openOnVeth(t, netlab.Config{}, cfg)
			if s = opened; !l.Veth() {
				t.Skip("needs an interface that can be made again")
			}
			ln, err := s.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Handle(":7", &slowEcho{}); err != nil {
				t.Fatal(err)
			}
			packets, err := s.ListenPacket("udp", ":53")
			if err != nil {
				t.Fatal(err)
			}
			peer, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 80))
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			conn, err := s.Dial("tcp", addr(l.Kernel.Address, 80))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ended := make(chan error, 4)
			go func() { _, err := ln.Accept(); ended <- err }()
			go func() { _, err := conn.Read(make([]byte, 1)); ended <- err }()
			go func() { _, err := io.Copy(conn, endless{}); ended <- err }()
			go func() { _, _, err := packets.ReadFrom(make([]byte, 1)); ended <- err }()
			time.Sleep(20 * time.Millisecond) // Calls wait, and data is under way.
			if err := remove(l); err != nil {
				t.Fatal(err)
			}
			check := func(what string, err error) {
				t.Helper()
				var op *net.OpError
				if !errors.Is(err, net.ErrClosed) || !errors.Is(err, afxdp.ErrGone) || !errors.As(err, &op) {
					t.Errorf("%s: %v", what, err)
				}
			}
			for range 4 {
				select {
				case err := <-ended:
					check("a call that waited", err)
				case <-time.After(10 * time.Second):
					t.Fatal("a call still waits")
				}
			}
			<-s.Gone()
			if err := s.Err(); !errors.Is(err, afxdp.ErrGone) {
				t.Error(err)
			}
			_, err = ln.Accept()
			check("Accept", err)
			_, err = s.Dial("tcp", addr(l.Kernel.Address, 80))
			check("Dial", err)
			_, err = s.Listen("tcp", ":81")
			check("Listen", err)
			_, err = packets.WriteTo([]byte{1}, packets.LocalAddr())
			check("WriteTo", err)
			_, err = conn.Write([]byte{1})
			check("Write", err)
			if e := log.wait(t, LinkGone); e.To.Moved != moved {
				t.Errorf("%+v", e)
			}
			if r, err := s.Report(); err != nil || r[0].Connections != 0 || r[0].Frames.Held != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// endless is read without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestInterfaceRemoved(t *testing.T) {
	withoutInterface(t, false, func(l *netlab.Lab) error {
		return l.Kernel.Do(func() error {
			link, err := netlink.LinkByName(l.Kernel.Interface)
			if err != nil {
				return err
			}
			return netlink.LinkDel(link)
		})
	})
}

func TestInterfaceMoved(t *testing.T) {
	withoutInterface(t, true, func(l *netlab.Lab) error { return l.Stack.MoveTo(l.Kernel) })
}

// TestLinkEvents has the link lost and the MTU changed in several ways while a connection is in use.
func TestLinkEvents(t *testing.T) {
	log := &eventLog{}
	s, l := openOnVeth(t, netlab.Config{}, Config{LinkEvent: log.add})
	if !l.Veth() {
		t.Skip("needs a link that other changes leave alone")
	}
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	address := func(mac [6]byte) func() error {
		return func() error {
			return l.Stack.Do(func() error {
				link, err := netlink.LinkByName(l.Stack.Interface)
				if err != nil {
					return err
				}
				return netlink.LinkSetHardwareAddr(link, mac[:])
			})
		}
	}
	before := s.Link()
	for _, step := range []struct {
		what   string
		change func() error
		want   []LinkEventKind
	}{
		{"down", l.Stack.SetDown, []LinkEventKind{LinkDown}},
		{"up", l.Stack.SetUp, []LinkEventKind{LinkUp}},
		{"peer down", l.Kernel.SetDown, []LinkEventKind{LinkDown}},
		{"peer up", l.Kernel.SetUp, []LinkEventKind{LinkUp}},
		{"larger MTU", func() error { return l.Stack.SetMTU(1600) }, []LinkEventKind{LinkMTU}},
		{"smaller MTU", func() error { return l.Stack.SetMTU(1400) }, []LinkEventKind{LinkMTU}},
		{"old MTU", func() error { return l.Stack.SetMTU(1500) }, []LinkEventKind{LinkMTU}},
		{"another address", address([6]byte{2, 0, 0, 0, 0, 99}), []LinkEventKind{LinkAddress}},
		{"old address", address(s.HardwareAddr()), []LinkEventKind{LinkAddress}},
	} {
		log.mu.Lock()
		log.events = nil
		log.mu.Unlock()
		if err := step.change(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		eventually(t, step.what, func() bool { return slices.Equal(log.kinds(), step.want) })
		if step.want[0] == LinkDown {
			c.Write([]byte("waits"))
			time.Sleep(50 * time.Millisecond)
			continue
		}
		buf := make([]byte, 5)
		if step.want[0] != LinkUp {
			c.Write([]byte("hello"))
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
	}
	after := s.Link()
	if after.Downs-before.Downs != 2 || after.DownTime-before.DownTime < 100 || after.MTUChanges-before.MTUChanges != 3 ||
		after.AddressChanges-before.AddressChanges != 2 {
		t.Errorf("%+v", after)
	}
}

func TestLinkEventSaysWhatToDo(t *testing.T) {
	for want, e := range map[string]LinkEvent{
		"the interface is down: connections wait until it is up, with: ip link set eth0 up": {Kind: LinkDown},
		"the link has no carrier: connections wait for it":                                  {Kind: LinkDown, To: afxdp.Link{Up: true}},
		"the link works again, after 1.5s":                                                  {Kind: LinkUp, Lasted: 1500 * time.Millisecond},
		"the MTU is 9000; the stack goes on with 1500":                                      {Kind: LinkMTU, To: afxdp.Link{MTU: 9000}},
		"the MTU is 1400, and the stack sends packets of up to 1500 bytes: open it again, or change it back": {
			Kind: LinkMTU, To: afxdp.Link{MTU: 1400},
		},
		"there are 2 queues": {Kind: LinkQueues, To: afxdp.Link{Queues: 2}},
		"there are 4 queues, and 2 of them have a shard: the kernel gets what comes to the others; open the stack again, or: " +
			"ethtool -L eth0 combined 2": {Kind: LinkQueues, To: afxdp.Link{Queues: 4}},
		"the Ethernet address is 02:00:00:00:00:00, and the stack has 00:00:00:00:00:00: open it again, or change it back": {
			Kind: LinkAddress, To: afxdp.Link{MAC: [6]byte{2}},
		},
		"the interface was removed: open the stack again when it is back":            {Kind: LinkGone},
		"the interface was moved to another network namespace: open the stack there": {Kind: LinkGone, To: afxdp.Link{Moved: true}},
	} {
		e.Interface, e.Shards, e.MTU = "eth0", 2, 1500
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestQueueCountChanges takes queues away that the stack has sockets on, which the kernel refuses, and adds some that it does not serve.
func TestQueueCountChanges(t *testing.T) {
	log := &eventLog{}
	l := netlab.ForTest(t, netlab.Config{Queues: 3})
	if err := l.Stack.SetQueues(2); err != nil {
		t.Fatal(err)
	}
	var s *Stack
	err := l.Stack.Do(func() (err error) {
		s, err = Open(Config{Interface: l.Stack.Interface, Address: l.Stack.Address, LinkEvent: log.add})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := l.Stack.SetQueues(1); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a queue with a socket on it was taken away: %v", err)
	}
	if err := l.Stack.SetQueues(3); err != nil {
		t.Fatal(err)
	}
	if e := log.wait(t, LinkQueues); e.To.Queues != 3 || e.Shards != 2 {
		t.Errorf("%+v", e)
	}
	if st := s.Link(); st.QueueChanges != 1 || st.Unserved != 1 {
		t.Errorf("%+v", st)
	}
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Dial("tcp", addr(l.Kernel.Address, 7))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v", c, err)
	}
}

// TestOutageEndsWithTheLink has the link away for so long that TCP's timer has grown to more than three seconds: data flows when it is back,
// not when that expires.
func TestOutageEndsWithTheLink(t *testing.T) {
	log := &eventLog{}
	s, l := openOnVeth(t, netlab.Config{}, Config{LinkEvent: log.add})
	ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	received := make(chan time.Time, 2)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for b := make([]byte, 1); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
			received <- time.Now()
		}
	}()
	c, err := s.Dial("tcp", addr(l.Kernel.Address, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func() {
		t.Helper()
		if _, err := c.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	send()
	<-received
	if err := l.Stack.SetDown(); err != nil {
		t.Fatal(err)
	}
	send()
	eventually(t, "a long timer", func() bool {
		i, ok := c.(*TCPConn).Info()
		return ok && i.RTO >= 3*time.Second
	})
	if err := l.Stack.SetUp(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	select {
	case at := <-received:
		t.Logf("%v after the link", at.Sub(back))
	case <-time.After(2 * time.Second):
		t.Error("nothing arrives, 2 s after the link is back")
	}
}

// TestOpenWithoutCarrier opens a stack before the other end of the cable is there.
func TestOpenWithoutCarrier(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{})
	if !l.Veth() {
		t.Skip("needs a link that is lost when the other end is down")
	}
	if err := l.Kernel.SetDown(); err != nil {
		t.Fatal(err)
	}
	log := &eventLog{}
	var s *Stack
	start := time.Now()
	err := l.Stack.Do(func() (err error) {
		s, err = Open(Config{Interface: l.Stack.Interface, Address: l.Stack.Address, LinkEvent: log.add})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if d := time.Since(start); d > linkPatience {
		t.Errorf("Open took %v", d)
	}
	if err := l.Kernel.SetUp(); err != nil {
		t.Fatal(err)
	}
	log.wait(t, LinkUp)
	if c, err := s.Dial("tcp", addr(l.Kernel.Address, 7)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v", c, err)
	}
}
