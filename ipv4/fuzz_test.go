package ipv4

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// FuzzParse feeds arbitrary packets to everything that reads them: what is accepted is within the packet, whatever follows from it
// does not panic, and a header without options comes out of Marshal as it went in.
func FuzzParse(f *testing.F) {
	f.Add(with(f, 0, "45"))
	f.Add(with(f, 6, "2000"))
	f.Add(with(f, 6, "0001"))
	f.Add(withOptions(f, "94040000 01010100"))
	f.Add(withOptions(f, "83030400"))
	f.Add(withOptions(f, "01010107"))
	f.Add(echoRequest(f, "94040000", []byte("data")))
	unreachable := make([]byte, 100)
	h := Header{HeaderLen: 20, TotalLen: 24, Src: Addr{192, 0, 2, 1}, Dst: Addr{192, 0, 2, 2}}
	m := FragNeeded(1400)
	f.Add(unreachable[:m.MarshalError(unreachable, append(with(f, 0, "45"), "more of it"...), &h, 1)])
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b) // the fuzzer keeps its own
		var h, unchecked Header
		var s Stats
		err := Parse(b, &h)
		if err != nil {
			if s.Count(err); s == (Stats{}) {
				t.Fatalf("%v is not counted", err)
			}
			if !errors.Is(err, ErrChecksum) {
				return
			}
			if fixChecksum(b); Parse(b, &h) != nil {
				return
			}
		}
		if ParseNoChecksum(b, &unchecked) != nil || unchecked != h {
			t.Fatalf("unverified %+v, verified %+v", unchecked, h)
		}
		n := h.PayloadLen()
		if n < 0 || int(h.HeaderLen)+n > len(b) || len(h.Payload(b)) != n || int(h.FragOffset)+n > MaxLen {
			t.Fatalf("%d bytes parsed as %+v", len(b), h)
		}
		if h.HeaderLen == MinHeaderLen && b[6]&0x80 == 0 {
			out := make([]byte, MinHeaderLen)
			// The two zeros of ones' complement are both right in a received checksum.
			if h.Marshal(out); !bytes.Equal(out[:10], b[:10]) || !bytes.Equal(out[12:], b[12:20]) {
				t.Fatalf("header %x became %x", b[:20], out)
			}
		}
		NewReporter(ReporterConfig{}).Allow(b, &h, false, 1)
		if h.Proto == ProtoICMP {
			fuzzICMP(t, b, &h)
		}
	})
}

// fuzzICMP reads the packet's payload as ICMP.
func fuzzICMP(t *testing.T, b []byte, h *Header) {
	var m ICMP
	var s ICMPStats
	p := h.Payload(b)
	if err := ParseICMP(p, &m); err != nil {
		if s.Count(err); s == (ICMPStats{}) {
			t.Fatalf("%v is not counted", err)
		}
		if !errors.Is(err, ErrICMPChecksum) {
			return
		}
		m = ICMP{Type: ICMPType(p[0]), Code: p[1]}
		m.Marshal(p) // what an attacker would do
	}
	if m.Type.IsError() {
		var q Quoted
		if err := ParseQuoted(p[ICMPHeaderLen:], &q); err != nil {
			if s.Count(err); s == (ICMPStats{}) {
				t.Fatalf("%v is not counted", err)
			}
			return
		}
		if mtu := PathMTU(m.MTU(), q.TotalLen); mtu != 0 && (mtu < MinMTU || mtu >= q.TotalLen) {
			t.Fatalf("MTU %d from a report of %d about %d bytes", mtu, m.MTU(), q.TotalLen)
		}
	}
	if m.Type == ICMPEchoRequest && !h.IsFragment() {
		var rh Header
		r := EchoReply(b, h, 1)
		if err := ParseICMP(r[MinHeaderLen:], &m); err != nil || m.Type != ICMPEchoReply {
			t.Fatalf("reply %+v: %v", m, err)
		}
		if err := Parse(r, &rh); err != nil && !errors.Is(err, ErrSource) {
			t.Fatalf("reply: %v", err) // ErrSource: the request went to a group
		}
	}
}

// FuzzReassembler feeds fragments of a few datagrams, cut and mixed arbitrarily. Every byte of their payload depends on its place
// only, so whatever comes out must have the right contents.
func FuzzReassembler(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 2, 0x81})
	f.Add([]byte{0, 4, 0x81, 0, 0, 4})
	f.Add([]byte{0, 0, 3, 1, 0, 3, 0, 2, 3, 1, 3, 0x81, 2, 0, 200})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := newReassembly(t, ReassemblerConfig{MaxDatagrams: 3, MaxPerSource: 2, MaxFragments: 6, MaxSize: 1024})
		for ; len(ops) >= 3; ops = ops[3:] {
			h := whole
			h.Src[3] += 2 * (ops[0] & 1)
			h.ID += uint16(ops[0] >> 1 & 3)
			h.TOS = ops[0] >> 6
			if ops[0]&0x20 != 0 {
				r.now = r.now.Add(20 * time.Second)
				r.Expire(r.now)
				if !r.Deadline().After(r.now) {
					t.Fatal("deadline is still due after Expire")
				}
			}
			if ops[0]&0x10 != 0 {
				if p := r.NextExpired(); p != nil {
					var eh Header
					if err := Parse(p, &eh); err != nil || eh.FragOffset != 0 || int(eh.TotalLen) != len(p) {
						t.Fatalf("expired %+v of %d bytes: %v", eh, len(p), err)
					}
				}
			}
			start := int(ops[1]) * 8
			end := start + 8*(1+int(ops[2]&0x3f))
			more := ops[2]&0x80 == 0
			if !more {
				end -= int(ops[2] >> 4 & 4)
			}
			if start == 0 && !more {
				continue // not a fragment
			}
			if d := r.input(fragment(h, start, end, more)); d != nil {
				var wh Header
				if err := Parse(d, &wh); err != nil || wh.IsFragment() || int(wh.TotalLen) != len(d) {
					t.Fatalf("datagram %+v of %d bytes: %v", wh, len(d), err)
				}
				if !bytes.Equal(wh.Payload(d), payload(wh.PayloadLen())) {
					t.Fatal("payload differs")
				}
			}
			if used := r.Len() + len(r.free) + len(r.expired); used != 3 {
				t.Fatalf("%d slots of 3", used)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	p := with(b, 0, "45")
	var h Header
	b.ReportAllocs()
	for b.Loop() {
		if err := Parse(p, &h); err != nil {
			b.Fatal(err)
		}
	}
}
