package gen

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// record is a packet of a capture file.
type record struct {
	at   time.Duration
	data []byte
	cut  int // bytes that were not captured
}

// pcapFile returns a file in pcap.
func pcapFile(t testing.TB, link layers.LinkType, records ...record) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.WritePacket(r.info(), r.data); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func (r record) info() gopacket.CaptureInfo {
	return gopacket.CaptureInfo{Timestamp: time.Unix(1e9, 0).Add(r.at), CaptureLength: len(r.data), Length: len(r.data) + r.cut}
}

// pcapngFile returns a file in pcapng.
func pcapngFile(t testing.TB, link layers.LinkType, records ...record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, link)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.WritePacket(r.info(), r.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// records returns packets of a stream, a millisecond apart.
func records(t testing.TB, spec string, n int) []record {
	var all []record
	for i, b := range write(compile(t, spec, testOptions), n) {
		all = append(all, record{at: time.Duration(i) * time.Millisecond, data: b})
	}
	return all
}

func TestReplay(t *testing.T) {
	all := records(t, "udp,sport=1-5,size=64-68", 5)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(pcapFile(t, layers.LinkTypeEthernet, all...)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"pcap": pcapFile(t, layers.LinkTypeEthernet, all...), "pcapng": pcapngFile(t, layers.LinkTypeEthernet, all...), "gzip": zipped.Bytes(),
	} {
		c, err := ReadCapture(bytes.NewReader(file), CaptureOptions{MTU: 1500})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.Packets() != 5 || c.Duration() != 4*time.Millisecond {
			t.Errorf("%s: %d packets in %v", name, c.Packets(), c.Duration())
		}
		for _, workers := range []int{1, 2, 3, 7} {
			next := make([]int, 0, 15)
			for w := range workers {
				r, err := c.Replay(ReplayOptions{Worker: w, Workers: workers, Loops: 3, Speed: 2})
				if err != nil {
					t.Fatal(err)
				}
				if r.Packets() != 15 || r.MaxLen() != 64 || r.MeanLen() != 62 {
					t.Errorf("%s: %d packets of at most %d bytes, mean %f", name, r.Packets(), r.MaxLen(), r.MeanLen())
				}
				b := make([]byte, r.MaxLen())
				for i := w; i < 15; i += workers {
					if at, ok := r.At(); !ok || at != time.Duration(i)*time.Millisecond/2 {
						t.Errorf("%s: worker %d of %d: packet %d at %v, %v", name, w, workers, i, at, ok)
					}
					n := r.Next(b, 0)
					if !bytes.Equal(b[:n], all[i%5].data) {
						t.Errorf("%s: worker %d of %d: packet %d is %x", name, w, workers, i, b[:n])
					}
					next = append(next, i)
				}
				if _, ok := r.At(); ok {
					t.Errorf("%s: worker %d of %d: more than 15 packets", name, w, workers)
				}
				r.Reset()
				if at, ok := r.At(); !ok || at != time.Duration(w)*time.Millisecond/2 {
					t.Errorf("%s: after Reset: packet at %v, %v", name, at, ok)
				}
				if n := testing.AllocsPerRun(100, func() { r.Next(b, 0); r.At() }); n != 0 {
					t.Errorf("%v allocations for a packet", n)
				}
			}
			if slices.Sort(next); len(next) != 15 || next[14] != 14 {
				t.Errorf("%s: %d workers replay %v", name, workers, next)
			}
		}
	}
}

// TestReplayForever: a capture of one packet has a period, and times that go back stand still.
func TestReplayForever(t *testing.T) {
	all := records(t, "udp", 1)
	c, err := ReadCapture(bytes.NewReader(pcapFile(t, layers.LinkTypeEthernet, all...)), CaptureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Replay(ReplayOptions{Loops: -1})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, r.MaxLen())
	for i := range 1000 {
		if at, ok := r.At(); !ok || at != time.Duration(i)*time.Millisecond {
			t.Fatalf("packet %d at %v, %v", i, at, ok)
		}
		r.Next(b, 0)
	}
	all = records(t, "udp", 3)
	all[1].at, all[2].at = 5*time.Millisecond, -time.Millisecond
	c, err = ReadCapture(bytes.NewReader(pcapFile(t, layers.LinkTypeEthernet, all...)), CaptureOptions{})
	if err != nil || c.Duration() != 5*time.Millisecond {
		t.Errorf("duration %v, %v", c.Duration(), err)
	}
	for _, o := range []ReplayOptions{{Worker: 1}, {Worker: -1}, {Speed: -1}, {Speed: 1e9}} {
		if _, err := c.Replay(o); !errors.Is(err, ErrReplay) {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

// TestRewrite: addresses are replaced and every checksum stays right.
func TestRewrite(t *testing.T) {
	var all []record
	for _, spec := range []string{
		"vlan=5/udp,src=10.0.0.1,dst=random:10.1.0.0/16", "tcp,src=10.0.0.0/24,dst=10.1.0.7", "icmp,src=10.0.0.9,dst=10.1.0.9",
		"udp,checksum=none,src=10.0.0.1,dst=10.1.0.1", "arp", "udp,src=172.16.0.1,dst=10.1.0.1", "udp,sport=random,src=10.0.0.1,dst=10.1.0.1",
	} {
		all = append(all, records(t, spec, 20000)...)
	}
	o := CaptureOptions{Source: testOptions.Target, Target: testOptions.Source, Move: []Move{
		{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24")},
		{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("198.18.0.0/16")},
	}}
	c, err := ReadCapture(bytes.NewReader(pcapFile(t, layers.LinkTypeEthernet, all...)), o)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := c.Replay(ReplayOptions{})
	b := make([]byte, r.MaxLen())
	for i := range all {
		n := r.Next(b, 0)
		if wrong := verify(b[:n]); wrong != "" {
			t.Fatalf("packet %d: %s in %x", i, wrong, b[:n])
		}
		if !bytes.Equal(b[:6], testOptions.Source[:]) || !bytes.Equal(b[6:12], testOptions.Target[:]) {
			t.Fatalf("packet %d: MAC addresses in %x", i, b[:n])
		}
		ip := linkLen(b)
		if binary.BigEndian.Uint16(b[ip-2:]) != 0x0800 {
			continue
		}
		src, dst := netip.AddrFrom4([4]byte(b[ip+12:])), netip.AddrFrom4([4]byte(b[ip+16:]))
		before := netip.AddrFrom4([4]byte(all[i].data[ip+12:]))
		if before.As4()[0] == 10 && (!o.Move[0].To.Contains(src) || src.As4()[3] != before.As4()[3]) || before.As4()[0] != 10 && src != before {
			t.Fatalf("packet %d: source %v, was %v", i, src, before)
		}
		if !o.Move[1].To.Contains(dst) {
			t.Fatalf("packet %d: destination %v", i, dst)
		}
	}
}

func TestCaptureErrors(t *testing.T) {
	all := records(t, "udp,size=200", 3)
	old, ng := pcapFile(t, layers.LinkTypeEthernet, all...), pcapngFile(t, layers.LinkTypeEthernet, all...)
	cut := slices.Clone(all)
	cut[1].cut, cut[1].data = 100, cut[1].data[:96]
	for name, c := range map[string]struct {
		file []byte
		o    CaptureOptions
		want error
	}{
		"empty":           {nil, CaptureOptions{}, ErrCapture},
		"text":            {[]byte("this is no capture, whatever its name says"), CaptureOptions{}, ErrCapture},
		"no packets":      {pcapFile(t, layers.LinkTypeEthernet), CaptureOptions{}, ErrNoPackets},
		"no packets, ng":  {pcapngFile(t, layers.LinkTypeEthernet), CaptureOptions{}, ErrNoPackets},
		"in a packet":     {old[:len(old)-10], CaptureOptions{}, ErrTruncated},
		"in a packet, ng": {ng[:len(ng)-10], CaptureOptions{}, ErrTruncated},
		"in a header":     {old[:len(old)-200], CaptureOptions{}, ErrTruncated},
		"after a header":  {old[:len(old)-196], CaptureOptions{}, ErrTruncated},
		"raw":             {pcapFile(t, layers.LinkTypeRaw, all...), CaptureOptions{}, ErrLinkType},
		"cooked, ng":      {pcapngFile(t, layers.LinkTypeLinuxSLL, all...), CaptureOptions{}, ErrLinkType},
		"cut":             {pcapFile(t, layers.LinkTypeEthernet, cut...), CaptureOptions{}, ErrCut},
		"cut, ng":         {pcapngFile(t, layers.LinkTypeEthernet, cut...), CaptureOptions{}, ErrCut},
		"no Ethernet":     {pcapFile(t, layers.LinkTypeEthernet, record{data: []byte{1, 2, 3}}), CaptureOptions{}, ErrCut},
		"a year and more": {pcapFile(t, layers.LinkTypeEthernet, all[0], record{at: 400 * 24 * time.Hour, data: all[1].data}), CaptureOptions{}, ErrCapture},
		"large":           {old, CaptureOptions{MTU: 181}, ErrMTU},
		"fits":            {old, CaptureOptions{MTU: 182}, nil},
		"short":           {pcapFile(t, layers.LinkTypeEthernet, record{data: all[0].data[:20]}), CaptureOptions{}, nil},
	} {
		if _, err := ReadCapture(bytes.NewReader(c.file), c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	o := CaptureOptions{Move: []Move{{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/9")}}}
	if _, err := ReadCapture(bytes.NewReader(old), o); err == nil {
		t.Error("prefixes of different length were taken")
	}
	if _, err := LoadCapture("testdata/none.pcap", CaptureOptions{}); err == nil {
		t.Error("a file that is not there: no error")
	}
	for n := range len(old) { // wherever it is cut, that is an error or a capture with fewer packets
		if c, err := ReadCapture(bytes.NewReader(old[:n]), CaptureOptions{}); err == nil && c.Packets() == 3 {
			t.Errorf("cut at %d of %d bytes: 3 packets", n, len(old))
		}
	}
}

// FuzzReadCapture: any file gives packets that are at least as long as the shortest, or an error.
func FuzzReadCapture(f *testing.F) {
	f.Add(pcapFile(f, layers.LinkTypeEthernet, records(f, "udp", 2)...))
	f.Add(pcapngFile(f, layers.LinkTypeEthernet, records(f, "vlan=1/tcp", 2)...))
	o := CaptureOptions{Source: testOptions.Source, Target: testOptions.Target, Move: []Move{
		{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("11.0.0.0/8")},
	}}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := ReadCapture(bytes.NewReader(file), o)
		if err != nil {
			return
		}
		r, err := c.Replay(ReplayOptions{Loops: 2})
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, r.MaxLen())
		last := time.Duration(0)
		for range r.Packets() {
			at, ok := r.At()
			if n := r.Next(b, 0); !ok || at < last || n < MinLen {
				t.Fatalf("%d bytes at %v after %v, %v", n, at, last, ok)
			}
			last = at
		}
	})
}
