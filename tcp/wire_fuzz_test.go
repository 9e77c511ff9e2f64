package tcp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

func FuzzParse(f *testing.F) {
	f.Add(unhex(f, linuxSYN))
	f.Add(append(unhex(f, "c822 1f90 00000001 00000002 8010 01f6 0000 0000 0101 080a 00000001 00000002"), "hello"...))
	f.Add(unhex(f, "c822 1f90 00000001 00000002 b010 01f6 0000 0000 0101 080a 00000001 00000002 0101 050a 00000010 00000020"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Segment
		if Parse(b, &s) != nil {
			return
		}
		if int(s.HeaderLen) < MinHeaderLen || int(s.HeaderLen) > MaxHeaderLen || int(s.HeaderLen)+int(s.PayloadLen) != len(b) {
			t.Fatalf("header of %d bytes and payload of %d in a segment of %d", s.HeaderLen, s.PayloadLen, len(b))
		}
		if s.NumSACK > 4 || s.WScale < -1 || s.WScale > MaxWScale {
			t.Fatalf("options %+v", s.Options)
		}
		var out OutSegment
		if ResetFor(&s, &out) == s.Has(FlagRST) {
			t.Fatal("a reset is answered, or something else is not")
		}
		// What was understood can be written again, and means the same.
		out.Clear()
		out.Seq, out.Ack, out.Window, out.Urgent, out.Flags, out.Options = s.Seq, s.Ack, s.Window, s.Urgent, s.Flags, s.Options
		var h [MaxHeaderLen]byte
		var again Segment
		if err := Parse(h[:out.Marshal(h[:], s.SrcPort, s.DstPort)], &again); err != nil || again.BadOptions {
			t.Fatalf("what was parsed cannot be marshalled: %v", err)
		}
		if again.MSS != s.MSS || again.WScale != s.WScale || again.HasTS != s.HasTS || again.TSVal != s.TSVal || again.Flags != s.Flags {
			t.Fatalf("parsed %+v, marshalled and parsed again %+v", s, again)
		}
	})
}

// FuzzListener has strangers send what they like to a listener and a TIME-WAIT table: 16 bytes make a segment.
func FuzzListener(f *testing.F) {
	f.Add(uint8(0), []byte("\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(uint8(1), []byte("\x00\x02\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+
		"\x40\x10\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, mode uint8, in []byte) {
		k := newTestCore(t, Config{FastOpen: FastOpenServer})
		l, err := NewListener(k, ListenerConfig{Cookies: CookieMode(mode % 3), SynBacklog: 8, Backlog: 4})
		if err != nil {
			t.Fatal(err)
		}
		table := NewTimeWaitTable(k, 4)
		now := clock.Time(1e9)
		var last OutSegment
		for len(in) >= 16 {
			flow, s := fuzzSegment(in, &last)
			in = in[16:]
			now = now.Add(time.Duration(in0(in)) * 100 * time.Millisecond)
			table.Expire(now)
			found, v := table.Input(flow, &s, true, now, &last)
			switch {
			case !found:
				v = l.Input(flow, &s, now, &last)
			case v == VerdictReopen:
				v = l.Reopen(flow, &s, last.Seq, now, &last)
			}
			checkVerdict(t, l, v, &s, &last)
			if v == VerdictAccept {
				a := l.Accepted()
				table.Add(flow, TimeWaitRecord{SndNxt: a.ISS + 2, RcvNxt: a.IRS + 2, TSRecent: a.TSRecent, HasTS: a.HasTS}, now)
				l.Taken()
			}
			l.Expire(now)
			for l.NextOutput(now, &flow, &last) {
			}
			if l.Deadline() <= now || table.Deadline() <= now {
				t.Fatal("something is still due after it was done")
			}
		}
	})
}

func in0(in []byte) byte {
	if len(in) == 0 {
		return 0
	}
	return in[0] >> 4
}

// fuzzSegment makes a segment of 16 bytes. A bit says whether it answers the last output, for no random number would.
func fuzzSegment(in []byte, last *OutSegment) (Flow, Segment) {
	flow := flowNo(int(in[2] & 15))
	s := Segment{
		Flags: Flags(in[1]), Window: binary.BigEndian.Uint16(in[4:6]), PayloadLen: uint32(in[3]), HeaderLen: MinHeaderLen,
		Seq: Seq(binary.BigEndian.Uint32(in[4:8])), Ack: Seq(binary.BigEndian.Uint32(in[8:12])), Options: Options{WScale: -1},
	}
	if in[0]&1 != 0 {
		s.Seq, s.Ack = last.Ack+s.Seq%4-1, last.Seq+s.Ack%4
	}
	if in[0]&2 != 0 {
		s.HasTS, s.TSVal, s.TSEcr = true, binary.BigEndian.Uint32(in[12:16]), last.TSVal
	}
	if in[0]&4 != 0 {
		s.WScale, s.MSS, s.SACKPermitted = int8(in[12]%15), uint16(in[13])<<3, in[12]&128 != 0
	}
	if in[0]&8 != 0 {
		s.SetCookie(optFastOpen, last.cookie())
	}
	return flow, s
}

func checkVerdict(t *testing.T, l *Listener, v Verdict, s *Segment, out *OutSegment) {
	t.Helper()
	if v != VerdictDrop && s.Has(FlagRST) && (v != VerdictReply || out.Flags != FlagACK) { // other than with a challenge
		t.Fatalf("a reset was answered with verdict %d", v)
	}
	if v == VerdictReset && out.Flags&FlagRST == 0 {
		t.Fatalf("verdict reset, but the answer is %v", out.Flags)
	}
	if v == VerdictReply && (out.Flags&FlagACK == 0 || out.Flags&FlagRST != 0) {
		t.Fatalf("verdict reply, but the answer is %v", out.Flags)
	}
	if a := l.Accepted(); v == VerdictAccept && (a.MSS < MinMSS || a.SndWScale > MaxWScale || a.RcvWnd == 0) {
		t.Fatalf("accepted %+v", a)
	}
	if l.SynCount() > 8 || l.Waiting() > 4 || l.Waiting() < 0 {
		t.Fatalf("%d half open, %d waiting: more than the bounds", l.SynCount(), l.Waiting())
	}
}
