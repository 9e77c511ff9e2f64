//go:build nic

package stack

import (
	"encoding/binary"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// needTable skips the test where the card does not tell how it hashes: virtio_net does with rss=on only.
func needTable(t *testing.T, s *Stack) {
	t.Helper()
	if s.homes.first == nil {
		_, err := s.homes.reader.Table()
		t.Skipf("needs a card that tells how it hashes: %v", err)
	}
}

// TestCardDialsToServedQueue serves one queue of two: the answers to every connection that is dialed come to it, by the ports that are
// chosen, and none to the other.
func TestCardDialsToServedQueue(t *testing.T) {
	l := netlab.ForCards(t, netlab.Config{Queues: 2, BothKernel: true})
	cfg := Config{}
	cfg.AFXDP.Queues = []int{0} // which ARP comes to
	s := openBeside(t, l, cfg)
	needTable(t, s)
	ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
	echoServer(t, ln, err)
	for range 16 {
		c, err := s.Dial("tcp", addr(l.Kernel.Address, 7))
		if err != nil {
			t.Fatal(err)
		}
		echoText(t, c, "at home")
		c.Close()
	}
	c, err := s.Interface().Program().Counters()
	if err != nil || c.Passed.NoSocket != 0 || c.Redirected.TCP < 16*3 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestCardTableChanges gives the card another indirection table while there are connections: they go on, over the wrong shard where it has
// to be, the table is read again, and what is dialed then comes home.
func TestCardTableChanges(t *testing.T) {
	l := netlab.ForCards(t, netlab.Config{Queues: 2, BothKernel: true})
	s := openBeside(t, l, Config{})
	needTable(t, s)
	t.Cleanup(func() { setTable(t, l.Stack, nil) })
	ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
	echoServer(t, ln, err)
	dial := func(n int) (all []net.Conn) {
		for range n {
			c, err := s.Dial("tcp", addr(l.Kernel.Address, 7))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			echoText(t, c, "before")
			all = append(all, c)
		}
		return all
	}
	old := dial(12)
	if passed, _ := strays(t, s); passed != 0 {
		t.Errorf("%d segments came to the wrong shard", passed)
	}
	table := append([]uint32(nil), s.homes.first.Queues()...)
	for i := range table {
		table[i] ^= uint32(i>>1) & 1 // half of the flows move
	}
	setTable(t, l.Stack, table)
	for _, c := range old {
		echoText(t, c, "after")
	}
	for end := time.Now().Add(20 * time.Second); s.homes.current.Load().Equal(s.homes.first); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new table was not read")
		}
		for _, c := range old { // those that have moved make the stack look, once a second at most
			echoText(t, c, "again")
		}
	}
	passed, misdirected := strays(t, s)
	t.Logf("%d segments of %d connections were passed on, %d misdirected", passed, len(old), misdirected)
	if passed == 0 || misdirected == 0 {
		t.Error("no segment came to the wrong shard")
	}
	for _, c := range old {
		c.Close()
	}
	for before := passed + 1; before != passed; passed, _ = strays(t, s) { // the last of them
		before = passed
		time.Sleep(500 * time.Millisecond)
	}
	dial(12)
	if again, _ := strays(t, s); again != passed {
		t.Errorf("%d segments of new connections came to the wrong shard", again-passed)
	}
}

func strays(t *testing.T, s *Stack) (passed, misdirected uint64) {
	t.Helper()
	reports, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		passed += r.Stats.PassedOn
		misdirected += r.Stats.Misdirected
	}
	return passed, misdirected
}

// setTable gives a card an indirection table, or with none its own (ETHTOOL_SRXFHINDIR).
func setTable(t *testing.T, side *netlab.Side, queues []uint32) {
	t.Helper()
	request := make([]byte, 8+4*len(queues))
	binary.NativeEndian.PutUint32(request, 0x39)
	binary.NativeEndian.PutUint32(request[4:], uint32(len(queues)))
	for i, q := range queues {
		binary.NativeEndian.PutUint32(request[8+4*i:], q)
	}
	ifr := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&request[0])}
	copy(ifr.name[:], side.Interface)
	err := side.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		t.Errorf("set the table of %s: %v", side.Interface, err)
	}
}
