package tcp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// linuxSYN is the SYN of a Linux client, options and all.
const linuxSYN = "c822 1f90 9db9 b7bf 0000 0000 a002 faf0 0000 0000 0204 05b4 0402 080a 9b1c 2d3e 0000 0000 0103 0307"

func TestParse(t *testing.T) {
	var s Segment
	if err := Parse(unhex(t, linuxSYN), &s); err != nil {
		t.Fatal(err)
	}
	if s.SrcPort != 0xc822 || s.DstPort != 8080 || s.Seq != 0x9db9b7bf || s.Ack != 0 || s.Flags != FlagSYN || s.Window != 64240 {
		t.Errorf("header: %+v", s)
	}
	if s.HeaderLen != 40 || s.PayloadLen != 0 || s.Len() != 1 || s.BadOptions {
		t.Errorf("lengths: %+v", s)
	}
	o := s.Options
	if o.MSS != 1460 || o.WScale != 7 || !o.SACKPermitted || !o.HasTS || o.TSVal != 0x9b1c2d3e || o.TSEcr != 0 || o.NumSACK != 0 {
		t.Errorf("options: %+v", o)
	}
}

func TestParseErrors(t *testing.T) {
	good := "c822 1f90 00000001 00000002 5010 0010 0000 0000"
	for _, c := range []struct {
		name, segment string
		want          error
	}{
		{"whole", good, nil},
		{"nothing", "", ErrShort},
		{"one byte short", good[:len(good)-2], ErrShort},
		{"data offset 4", strings.Replace(good, "5010", "4010", 1), ErrDataOffset},
		{"data offset beyond the segment", strings.Replace(good, "5010", "6010", 1), ErrDataOffset},
		{"source port 0", strings.Replace(good, "c822", "0000", 1), ErrPorts},
		{"destination port 0", strings.Replace(good, "1f90", "0000", 1), ErrPorts},
	} {
		var s Segment
		if err := Parse(unhex(t, c.segment), &s); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSegmentLen(t *testing.T) {
	for _, c := range []struct {
		flags   Flags
		payload uint32
		want    uint32
	}{
		{FlagACK, 0, 0}, {FlagSYN, 0, 1}, {FlagFIN | FlagACK, 0, 1},
		{FlagFIN | FlagACK, 10, 11}, {FlagSYN | FlagFIN, 0, 2}, {FlagPSH, 7, 7},
	} {
		s := Segment{Seq: 1<<32 - 1, Flags: c.flags, PayloadLen: c.payload}
		if s.Len() != c.want || s.End() != Seq(1<<32-1).Add(c.want) {
			t.Errorf("%v with %d bytes: length %d, end %d; want length %d", c.flags, c.payload, s.Len(), s.End(), c.want)
		}
	}
}

func TestAcceptable(t *testing.T) {
	nxt := Seq(1<<32 - 5) // the window wraps
	for _, c := range []struct {
		name         string
		seq          Seq
		payload, wnd uint32
		want         bool
	}{
		{"empty, window closed, expected", nxt, 0, 0, true},
		{"empty, window closed, before", nxt - 1, 0, 0, false},
		{"empty, window closed, after", nxt + 1, 0, 0, false},
		{"empty, in the window", nxt + 9, 0, 10, true},
		{"empty, beyond the window", nxt + 10, 0, 10, false},
		{"empty, before the window", nxt - 1, 0, 10, false},
		{"data, window closed", nxt, 1, 0, false},
		{"data, expected", nxt, 10, 10, true},
		{"data, its end in the window", nxt - 5, 6, 10, true},
		{"data, all old", nxt - 5, 5, 10, false},
		{"data, beyond the window", nxt + 10, 1, 10, false},
		{"data, its beginning in the window", nxt + 9, 100, 10, true},
	} {
		s := Segment{Seq: c.seq, PayloadLen: c.payload, Flags: FlagACK}
		if got := s.Acceptable(nxt, c.wnd); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestMarshal(t *testing.T) {
	var o OutSegment
	o.Clear()
	if o.Frame != frame.None || o.WScale != -1 {
		t.Errorf("a clear segment has frame %d, window scale %d", o.Frame, o.WScale)
	}
	o.Seq, o.Flags, o.Window = 0x9db9b7bf, FlagSYN, 64240
	o.MSS, o.WScale, o.SACKPermitted, o.HasTS, o.TSVal = 1460, 7, true, true, 0x9b1c2d3e
	b := bytes.Repeat([]byte{0xee}, MaxHeaderLen+1)
	n := o.Marshal(b, 0xc822, 8080)
	if want := unhex(t, linuxSYN); n != o.HeaderLen() || !bytes.Equal(b[:n], want) {
		t.Errorf("got  %x\nwant %x", b[:n], want)
	}
	if b[n] != 0xee {
		t.Error("wrote beyond the header")
	}
}

// TestMarshalParse has every set of options come back as it went.
func TestMarshalParse(t *testing.T) {
	for bits := range 1 << 7 {
		var o OutSegment
		o.Clear()
		o.Seq, o.Ack, o.Window, o.Urgent, o.Flags = 0x01020304, 0x05060708, 0x090a, 0x0b0c, FlagACK|FlagURG
		if bits&1 != 0 {
			o.Flags |= FlagSYN
			if bits&2 != 0 {
				o.MSS = 1400
			}
			if bits&4 != 0 {
				o.WScale = 14
			}
			o.SACKPermitted = bits&8 != 0
		} else {
			o.NumSACK = uint8(bits >> 1 & 7 % 5)
		}
		if bits&64 != 0 {
			o.HasTS, o.TSVal, o.TSEcr = true, 0x11223344, 0x55667788
		}
		for i := range o.SACK {
			o.SACK[i] = SACKBlock{Seq(100 * i), Seq(100*i + 50)}
		}
		var b [MaxHeaderLen]byte
		n := o.Marshal(b[:], 1, 2)
		if n != o.HeaderLen() || n%4 != 0 || n > MaxHeaderLen {
			t.Fatalf("%07b: length %d, HeaderLen says %d", bits, n, o.HeaderLen())
		}
		var s Segment
		if err := Parse(b[:n], &s); err != nil {
			t.Fatalf("%07b: %v", bits, err)
		}
		for _, rest := range []uint32{0, 1, 0xffff, 0x12345, 0x3ffff} {
			summed := b
			if o.MarshalSum(summed[:n], 1, 2, rest); !VerifyChecksum(summed[:n], rest) {
				t.Errorf("%07b: with the sum %#x of the rest the checksum is wrong", bits, rest)
			}
			if summed[16], summed[17] = 0, 0; summed != b {
				t.Errorf("%07b: with a checksum %x, without %x", bits, summed, b)
			}
		}
		if s.Seq != o.Seq || s.Ack != o.Ack || s.Window != o.Window || s.Urgent != o.Urgent || s.Flags != o.Flags || s.BadOptions {
			t.Errorf("%07b: sent %+v, got %+v", bits, o, s)
		}
		want := o.Options
		if want.HasTS {
			want.NumSACK = min(want.NumSACK, 3)
		}
		want.SACK, s.SACK = [4]SACKBlock{}, [4]SACKBlock{}
		if s.Options != want {
			t.Errorf("%07b: sent %+v, got %+v", bits, want, s.Options)
		}
	}
}

func TestVerifyChecksum(t *testing.T) {
	b := append(unhex(t, linuxSYN), "payload"...)
	const pseudo = 0x1234
	c := checksum.Finish(checksum.Sum(b, pseudo))
	b[16], b[17] = byte(c>>8), byte(c)
	if !VerifyChecksum(b, pseudo) {
		t.Error("a right checksum is refused")
	}
	for i := range b {
		b[i] ^= 0x10
		if VerifyChecksum(b, pseudo) {
			t.Errorf("a flipped bit in byte %d is not noticed", i)
		}
		b[i] ^= 0x10
	}
}

func TestResetFor(t *testing.T) {
	for _, c := range []struct {
		name     string
		in       Segment
		want     bool
		seq, ack Seq
		flags    Flags
	}{
		{"a reset", Segment{Flags: FlagRST | FlagACK}, false, 0, 0, 0},
		{"an ACK", Segment{Seq: 10, Ack: 99, Flags: FlagACK, PayloadLen: 5}, true, 99, 0, FlagRST},
		{"a SYN", Segment{Seq: 10, Flags: FlagSYN}, true, 0, 11, FlagRST | FlagACK},
		{"data without ACK", Segment{Seq: 1<<32 - 2, Flags: FlagPSH, PayloadLen: 5}, true, 0, 3, FlagRST | FlagACK},
		{"a SYN-ACK", Segment{Seq: 10, Ack: 7, Flags: FlagSYN | FlagACK}, true, 7, 0, FlagRST},
	} {
		var out OutSegment
		if got := ResetFor(&c.in, &out); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		} else if got && (out.Seq != c.seq || out.Ack != c.ack || out.Flags != c.flags || out.HeaderLen() != MinHeaderLen) {
			t.Errorf("%s: %+v", c.name, out)
		}
	}
}

func TestParseMarshalDoNotAllocate(t *testing.T) {
	b := unhex(t, linuxSYN)
	var s Segment
	var o OutSegment
	o.Clear()
	o.Flags, o.HasTS = FlagACK, true
	var h [MaxHeaderLen]byte
	if n := testing.AllocsPerRun(100, func() {
		_ = Parse(b, &s)
		ResetFor(&s, &o)
		o.Marshal(h[:], 1, 2)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	var o OutSegment
	o.Clear()
	o.Flags, o.HasTS = FlagACK, true
	var h [MaxHeaderLen]byte
	n := o.Marshal(h[:], 1, 2)
	var s Segment
	b.ReportAllocs()
	for b.Loop() {
		_ = Parse(h[:n], &s)
	}
}

func BenchmarkMarshal(b *testing.B) {
	var o OutSegment
	o.Clear()
	o.Flags, o.HasTS = FlagACK, true
	var h [MaxHeaderLen]byte
	b.ReportAllocs()
	for b.Loop() {
		o.Marshal(h[:], 1, 2)
	}
}
