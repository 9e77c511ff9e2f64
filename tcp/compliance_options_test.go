package tcp

import (
	"math/rand/v2"
	"testing"
)

// TestOptionsOnTheWire looks at every combination of options that can be sent: each but EOL and NOP has its length (MUST-68), what fills
// the header up is a NOP or zero (MUST-69), and the MSS is on no segment but a SYN (MUST-65).
func TestOptionsOnTheWire(t *testing.T) {
	for i := range 1 << 7 {
		o := OutSegment{Flags: FlagACK}
		o.Options.Clear()
		if i&1 != 0 {
			o.Flags |= FlagSYN
		}
		if i&2 != 0 {
			o.MSS = 1460
		}
		if i&4 != 0 {
			o.WScale = 3
		}
		o.SACKPermitted, o.HasTS, o.NumSACK = i&8 != 0, i&16 != 0, uint8(i>>5)
		var b [MaxHeaderLen]byte
		n := o.Marshal(b[:], 1, 2)
		if n%4 != 0 || n > MaxHeaderLen {
			t.Fatalf("%+v: header of %d bytes", o, n)
		}
		for p := b[MinHeaderLen:n]; len(p) > 0; {
			switch {
			case p[0] == optNOP:
				p = p[1:]
				continue
			case p[0] == optEnd:
				for _, v := range p {
					if v != 0 {
						t.Errorf("%+v: the padding is %x", o, p)
					}
				}
				p = nil
				continue
			case len(p) < 2 || p[1] < 2 || int(p[1]) > len(p):
				t.Fatalf("%+v: options %x", o, b[MinHeaderLen:n])
			case p[0] == optMSS && o.Flags&FlagSYN == 0:
				t.Errorf("%+v: MSS without SYN", o)
			}
			p = p[p[1]:]
		}
	}
}

// TestMSSOnlyOnSYN has a connection send the MSS with its SYN and never again (MUST-65, MAY-3).
func TestMSSOnlyOnSYN(t *testing.T) {
	s, syn := connect(t, scriptOptions{iss: 1})
	if syn.MSS == 0 {
		t.Error("the SYN has no MSS")
	}
	s.injectSYNACK(FlagSYN|FlagACK, 1, Options{MSS: 1460, WScale: -1})
	s.write(5000)
	s.c.CloseWrite(s.now)
	for o, ok := s.pull(); ok; o, ok = s.pull() {
		if o.MSS != 0 {
			t.Errorf("%s has MSS %d", s.relative(&o), o.MSS)
		}
	}
}

// TestOptionsAtAnyAlignment has each option be found whatever stands before it (MUST-5, MUST-64), in any order, among unknown ones
// (MUST-6).
func TestOptionsAtAnyAlignment(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	known := [][]byte{
		{optMSS, 4, 5, 180}, {optWScale, 3, 7}, {optSACKPermitted, 2}, {optTimestamps, 10, 0, 0, 0, 1, 0, 0, 0, 2}, {253, 5, 9, 9, 9},
	}
	want := Options{MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: 1, TSEcr: 2}
	for range 1000 {
		rnd.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
		var b []byte
		for _, o := range known {
			for range rnd.IntN(4) {
				b = append(b, optNOP)
			}
			b = append(b, o...)
		}
		var got Options
		if !got.parse(b, true) || got != want {
			t.Fatalf("options %x are %+v, want %+v", b, got, want)
		}
	}
}

// TestEffectiveMSS has every segment, its options included, be as long as the peer's MSS allows and no longer (MUST-16): 536 bytes if
// it sends none (MUST-15), timestamps and SACK blocks taken off.
func TestEffectiveMSS(t *testing.T) {
	for _, c := range []struct {
		peer uint16
		ts   bool
		hole bool
		want int
	}{{0, false, false, 536}, {1200, false, false, 1200}, {1200, true, false, 1200}, {1200, true, true, 1200}, {9000, true, false, 1460}} {
		s, _ := connect(t, scriptOptions{iss: 1, ts: c.ts})
		opt := Options{MSS: c.peer, WScale: -1, SACKPermitted: true, HasTS: c.ts, TSVal: s.peerTS(), TSEcr: s.c.tsValue(s.now)}
		s.injectSYNACK(FlagSYN|FlagACK, 1, opt)
		s.drain(1)
		if c.hole {
			s.inject(seg{flags: fA, seq: 101, ack: 1, len: 100})
			s.drain(1)
		}
		s.write(20_000)
		o, ok := s.pull()
		if n := o.HeaderLen() - MinHeaderLen + int(o.Len); !ok || n != c.want {
			t.Errorf("peer's MSS %d, timestamps %v: options and payload are %d bytes, want %d", c.peer, c.ts, n, c.want)
		}
	}
}
