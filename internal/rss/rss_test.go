package rss

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// verifyKey is the key of Microsoft's "Verifying the RSS Hash Calculation".
var verifyKey = []byte{
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
}

// verifySuite are its vectors for TCP over IPv4.
var verifySuite = []struct {
	dst, src string
	hash     uint32
}{
	{"161.142.100.80:1766", "66.9.149.187:2794", 0x51ccc178},
	{"65.69.140.83:4739", "199.92.111.2:14230", 0xc626b0ea},
	{"12.22.207.184:38024", "24.19.198.95:12898", 0x5c2b394a},
	{"209.142.163.6:2217", "38.27.205.30:48228", 0xafc7327f},
	{"202.188.127.2:1303", "153.39.163.191:44251", 0x10e828a2},
}

func TestToeplitz(t *testing.T) {
	h, err := NewToeplitz(verifyKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verifySuite {
		src, dst := netip.MustParseAddrPort(v.src), netip.MustParseAddrPort(v.dst)
		if got := h.Hash(src.Addr().As4(), dst.Addr().As4(), src.Port(), dst.Port()); got != v.hash {
			t.Errorf("%s to %s: hash %#08x, want %#08x", v.src, v.dst, got, v.hash)
		}
	}
	if n := testing.AllocsPerRun(100, func() { h.Hash([4]byte{1}, [4]byte{2}, 3, 4) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, err := NewToeplitz(verifyKey[:15]); err == nil {
		t.Error("a key of 15 bytes was taken")
	}
}

// slowHash is the hash as it is defined, bit by bit.
func slowHash(key, tuple []byte) (hash uint32) {
	bit := func(b []byte, i int) bool { return b[i/8]&(0x80>>(i%8)) != 0 }
	for i := range 8 * len(tuple) {
		if !bit(tuple, i) {
			continue
		}
		for j := range 32 {
			if bit(key, i+j) {
				hash ^= 1 << (31 - j)
			}
		}
	}
	return hash
}

func TestToeplitzAgainstDefinition(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		key, b := make([]byte, 16), make([]byte, tuple)
		for i := range key {
			key[i] = byte(r.Uint32())
		}
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		h, err := NewToeplitz(key)
		if err != nil {
			t.Fatal(err)
		}
		got := h.Hash([4]byte(b), [4]byte(b[4:]), uint16(b[8])<<8|uint16(b[9]), uint16(b[10])<<8|uint16(b[11]))
		if want := slowHash(key, b); got != want {
			t.Fatalf("seed %d: key %x, tuple %x: hash %#08x, want %#08x", seed, key, b, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	good := func() *Settings {
		return &Settings{Function: functionToeplitz, Key: verifyKey, Queues: []uint32{0, 1, 2, 3}, Fields: 0xf0}
	}
	table, err := NewTable(good())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verifySuite {
		src, dst := netip.MustParseAddrPort(v.src), netip.MustParseAddrPort(v.dst)
		if got := table.Queue(src.Addr().As4(), dst.Addr().As4(), src.Port(), dst.Port()); got != int(v.hash%4) {
			t.Errorf("%s to %s: queue %d, want %d", v.src, v.dst, got, v.hash%4)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Settings)
		want   string // part of the error; empty: none
	}{
		{"an old kernel names no function", func(s *Settings) { s.Function = 0 }, ""},
		{"the fields are unknown", func(s *Settings) { s.Fields = 0 }, ""},
		{"exclusive or", func(s *Settings) { s.Function = 2 }, "not Toeplitz"},
		{"symmetric", func(s *Settings) { s.Transform = 1 }, "symmetric"},
		{"addresses only", func(s *Settings) { s.Fields = fieldsAddresses }, "sdfn"},
		{"the VLAN too", func(s *Settings) { s.Fields |= 1 << 2 }, "more than"},
		{"what is hashed is dropped", func(s *Settings) { s.Fields |= 1 << 31 }, "more than"},
		{"no table", func(s *Settings) { s.Queues = nil }, "no indirection table"},
		{"a table of three", func(s *Settings) { s.Queues = []uint32{0, 1, 2} }, "3 entries"},
		{"no key", func(s *Settings) { s.Key = nil }, "key"},
		{"a hidden key", func(s *Settings) { s.Key = make([]byte, 40) }, "key"},
		{"a short key", func(s *Settings) { s.Key = verifyKey[:8] }, "8 bytes"},
	} {
		s := good()
		c.change(s)
		_, err := NewTable(s)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	other := good()
	other.Queues[1] = 0
	if changed, err := NewTable(other); err != nil || changed.Equal(table) || !table.Equal(table) {
		t.Errorf("a changed table is equal, or a table not equal to itself: %v", err)
	}
}

// TestRead asks drivers as the kernel has them answer, whose table may grow between the two questions.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		name    string
		lengths [][2]int // of table and key at each question, the last from then on
		err     error    // of every question
		want    string   // part of the error; empty: none
	}{
		{"ordinary", [][2]int{{4, 40}}, nil, ""},
		{"the table grows", [][2]int{{4, 40}, {8, 40}}, nil, ""},
		{"the table shrinks", [][2]int{{8, 40}, {4, 40}}, nil, ""},
		{"the key goes", [][2]int{{4, 40}, {4, 0}}, nil, ""},
		{"nothing to tell", [][2]int{{0, 0}}, nil, ""},
		{"it changes all the time", [][2]int{{1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}, {6, 6}, {7, 7}}, nil, "changes"},
		{"absurd lengths", [][2]int{{1 << 20, 40}}, nil, "1048576"},
		{"a negative length", [][2]int{{-1, 40}}, nil, "entries"},
		{"not supported", [][2]int{{0, 0}}, unix.EOPNOTSUPP, "does not tell"},
		{"refused", [][2]int{{0, 0}}, unix.EINVAL, "does not tell"},
	} {
		asked := 0
		s, err := read("x0", func(b []byte) error {
			if command := binary.NativeEndian.Uint32(b); command == getFields {
				binary.NativeEndian.PutUint64(b[8:], 0xf0)
				return nil
			}
			if c.err != nil {
				return c.err
			}
			n, k := c.lengths[min(asked, len(c.lengths)-1)][0], c.lengths[min(asked, len(c.lengths)-1)][1]
			asked++
			room, roomKey := int(binary.NativeEndian.Uint32(b[8:])), int(binary.NativeEndian.Uint32(b[12:]))
			binary.NativeEndian.PutUint32(b[8:], uint32(n))
			binary.NativeEndian.PutUint32(b[12:], uint32(k))
			if room != 0 && room != n || roomKey != 0 && roomKey != k {
				return unix.EINVAL
			}
			b[16] = functionToeplitz
			if room != 0 {
				for i := range n {
					binary.NativeEndian.PutUint32(b[settingsHeader+4*i:], uint32(i))
				}
			}
			if roomKey != 0 {
				copy(b[settingsHeader+4*room:], verifyKey)
			}
			return nil
		})
		if c.want != "" {
			if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		last := c.lengths[len(c.lengths)-1]
		if err != nil || len(s.Queues) != last[0] || len(s.Key) != last[1] || s.Function != functionToeplitz || s.Fields != 0xf0 {
			t.Errorf("%s: %+v, %v", c.name, s, err)
			continue
		}
		for i, q := range s.Queues {
			if q != uint32(i) {
				t.Errorf("%s: entry %d is %d", c.name, i, q)
			}
		}
		if !bytes.HasPrefix(verifyKey, s.Key) {
			t.Errorf("%s: key %x", c.name, s.Key)
		}
	}
}

// TestReadVeth asks a driver that does not tell, and for an interface that is not there.
func TestReadVeth(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{Queues: 2})
	names := []string{"no-such-if", "a-name-that-is-too-long-for-one"}
	if l.Veth() {
		names = append(names, l.Stack.Interface)
	}
	for _, name := range names {
		err := l.Stack.Do(func() error {
			r, err := Open(name)
			if err != nil {
				return nil
			}
			defer r.Close()
			_, err = r.Table()
			return err
		})
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v, want ErrUnknown", name, err)
		}
	}
}

func BenchmarkToeplitz(b *testing.B) {
	h, err := NewToeplitz(verifyKey)
	if err != nil {
		b.Fatal(err)
	}
	port := uint16(0)
	for b.Loop() {
		h.Hash([4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2}, 80, port)
		port++
	}
}
