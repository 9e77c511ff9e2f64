package tcp

import (
	"testing"
	"time"
)

// FuzzPair has two connections talk to each other while the input decides what becomes of each segment, how time passes and what the
// applications do. As long as no segment is changed both must receive just what the other wrote, and come to an orderly end; if one is,
// which nothing but a checksum protects from, only safety is asked for: no panic, no contradiction, no frame lost. There may be no end
// either: an end that took a window from a forged number believes nothing older, and a window may stay closed for ever.
func FuzzPair(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0x48, 9, 0, 0, 0x0a, 0})
	f.Add([]byte{0x40, 3, 0, 0, 0, 0x48, 40, 4, 0x0c, 0, 0, 0, 5, 6, 0, 0x58, 7, 0, 0, 8, 8})
	f.Add([]byte{0x81, 0x12, 0, 0, 0, 0x48, 40, 7, 0x20, 1, 0, 7, 0x30, 9, 0, 0, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, headroom := range fuzzHeadrooms {
			fuzzPair(t, data, headroom)
		}
	})
}

func fuzzPair(t *testing.T, data []byte, headroom uint32) {
	in := &fuzzInput{data}
	v := in.byte()
	n := newPair(t, headroom, pairConfig(v, in.byte()), pairConfig(v>>1, in.byte()))
	for steps := 0; len(in.b) > 0 && steps < 1000; steps++ {
		n.step(in, v&0x80 != 0)
	}
	err := n.finish()
	if !n.mutated && !n.aborted && !n.timedOut() && n.ends[1].conn.core != nil { // else nobody heard of it in time
		a, b := &n.ends[0], &n.ends[1]
		if err == nil {
			n.read(0, 1<<20)
			n.read(1, 1<<20)
		}
		if err != nil || a.received != b.sent || b.received != a.sent || a.conn.Err() != nil || b.conn.Err() != nil {
			t.Fatalf("a sent %d and received %d, b %d and %d; %v, %v; %v", a.sent, a.received, b.sent, b.received,
				a.conn.Err(), b.conn.Err(), err)
		}
	}
	n.release()
}

// pairConfig draws a configuration from two bytes.
func pairConfig(v, w byte) Config {
	cfg := Config{
		NoSACK: v&1 != 0, NoTimestamps: v&4 != 0, NoWindowScale: v&16 != 0, NoDelay: w&1 != 0, Cork: w&2 != 0,
	}
	if w&4 != 0 {
		cfg.RecvBuffer = 1 << (10 + w>>5)
	}
	if w&8 != 0 {
		cfg.SendBuffer = 1 << (10 + w>>5)
	}
	if w&16 != 0 {
		cfg.Congestion = "newreno"
	}
	return cfg
}

// step does one thing.
func (n *pair) step(in *fuzzInput, mutate bool) {
	op := in.byte()
	i := int(op >> 4 & 1)
	switch op & 15 {
	case 0, 1, 2:
		for range 1 + op>>5 {
			n.deliver(false)
		}
	case 3:
		n.drop()
	case 4:
		n.deliver(true)
	case 5: // what is first comes last
		if n.n > 1 && n.n < pairWire {
			*n.at(n.n) = *n.at(0)
			n.n++
			n.drop()
		}
	case 6:
		n.wait()
	case 7:
		if mutate && n.n > 0 {
			n.mutate(in)
		}
	case 8, 9:
		n.write(i, int(in.byte())<<(op>>5), op&15 == 9 && op>>5 == 0)
		n.pull(i)
	case 10:
		n.read(i, int(op>>5)+1)
		n.pull(i)
	case 11:
		n.now = n.now.Add(time.Duration(in.byte()) * time.Millisecond)
		n.begin()
		n.turn(i)
	case 12:
		if e := &n.ends[i]; e.conn.core != nil && e.conn.State() >= StateEstablished {
			e.closed = true
			e.conn.CloseWrite(n.now)
			n.pull(i)
		}
	default:
		n.application(i, in.byte())
	}
}

// mutate changes the first segment that is under way: a bit anywhere, a byte of the header, or the length.
func (n *pair) mutate(in *fuzzInput) {
	s := n.at(0)
	n.mutated = true
	switch how := in.byte(); how & 3 {
	case 0:
		s.b[int(in.byte())%s.len] ^= 1 << (how >> 2 & 7)
	case 1:
		s.b[int(how>>2)%min(s.len, MaxHeaderLen)] = in.byte()
	case 2:
		s.len = MinHeaderLen + int(in.byte())*int(how>>2)%(s.len-MinHeaderLen+1)
	default: // another number that is near
		at := 4 + int(how>>2&1)*4
		for j, add := 3, in.number(); j >= 0; j-- {
			sum := uint32(s.b[at+j]) + add&0xff
			s.b[at+j], add = byte(sum), add>>8+sum>>8
		}
	}
}

// application has an application do something rare.
func (n *pair) application(i int, what byte) {
	c := &n.ends[i].conn
	if c.core == nil {
		return
	}
	switch arg := what >> 4; what & 15 {
	case 0:
		c.SetCork(arg&1 != 0)
	case 1:
		c.SetNoDelay(arg&1 != 0)
	case 2:
		c.SetKeepAlive(time.Duration(arg)*time.Second, n.now)
	case 3:
		c.SetQuickACK(arg&1 != 0)
	case 4:
		c.SetRecvBuffer(1 << (10 + arg))
	case 5:
		_ = c.SetMaxSegment(88 + uint16(arg)*90)
	case 6:
		c.SetUserTimeout(time.Duration(arg)*time.Second, n.now)
	case 7:
		kind := ICMPKind(arg % 6)
		c.ICMP(kind, uint32(arg)*100, c.snd.una, n.now)
		n.aborted = n.aborted || kind != ICMPFragmentationNeeded // It may end an attempt to connect, or be told instead of a timeout.
	case 8:
		c.SetRetries(int(arg) + 1)
	case 9:
		if arg == 15 {
			n.aborted = true
			c.Abort(n.now)
		}
	case 10:
		if arg == 15 {
			n.aborted = true // what was not read is reset
			c.Close(n.now)
		}
	}
	n.pull(i)
}
