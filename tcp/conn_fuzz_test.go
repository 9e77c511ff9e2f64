package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// fuzzInput hands out the bytes that steer a fuzzed connection.
type fuzzInput struct{ b []byte }

func (f *fuzzInput) byte() byte {
	if len(f.b) == 0 {
		return 0
	}
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

// number returns a number that is often near 0 and sometimes anywhere.
func (f *fuzzInput) number() uint32 {
	switch v := f.byte(); v >> 6 {
	case 0:
		return uint32(v)
	case 1:
		return -uint32(v & 63)
	case 2:
		return uint32(v&63)<<8 | uint32(f.byte())
	default:
		return uint32(v&63)<<26 | uint32(f.byte())<<18 | uint32(f.byte())<<9
	}
}

// FuzzConn has a connection take hostile segments, calls of the application and expiries in any order. Nothing may panic, its
// parts must agree after each step, and no frame may be lost.
func FuzzConn(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{3, 0x12, 0, 1, 10, 200, 7, 0, 10, 0, 1, 0, 0, 0, 5, 4, 9, 6})
	f.Add([]byte{1, 10, 200, 200, 7, 0, 0x10, 5, 0, 0, 8, 0x31, 0, 64, 7, 5, 5, 5, 2, 7, 6, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, headroom := range fuzzHeadrooms {
			fuzzConn(t, data, headroom)
		}
	})
}

func fuzzConn(t *testing.T, data []byte, headroom uint32) {
	in := &fuzzInput{data}
	v := in.byte()
	k := newFuzzCore(t, 0, headroom, Config{
		NoSACK: v&1 != 0, NoTimestamps: v&2 != 0, RecvBuffer: 1 << (10 + v>>5), SendBuffer: 1 << (10 + v>>5), NoDelay: v&16 != 0,
		ECN: ECNMode(v >> 6 & 1), MTUProbing: MTUProbing(v >> 5 & 1), NotSentLowat: uint32(v>>7) * 3000,
	})
	c := new(Conn)
	now := clock.Time(time.Hour)
	k.BeginBatch(now)
	if v&4 != 0 {
		if k.Config.FastOpen = FastOpenMode(v >> 3 & 1); v&16 != 0 {
			k.keepCookie(flowA, []byte("cookie"), 1000, now)
		}
		c.Connect(k, flowA, nil, now)
	} else {
		a := Accepted{Flow: flowA, IRS: 1<<32 - 100, ISS: 1<<32 - 200, RcvWnd: 1000, MSS: 1460, SndWScale: 3, RcvWScale: 2,
			FastOpen: v&24 == 24, SndWnd: 5000, HasWScale: v&8 != 0, HasTS: v&2 == 0, SACKPermitted: v&1 == 0, ECN: v&64 != 0}
		c.Accept(k, &a, nil, now)
	}
	for steps := 0; len(in.b) > 0 && steps < 1000; steps++ {
		fuzzStep(t, c, in, &now)
		if err := checkInvariants(c); err != nil {
			t.Fatal(err)
		}
	}
	c.Release()
	if err := checkPool(k); err != nil {
		t.Fatal(err)
	}
}

func fuzzStep(t *testing.T, c *Conn, in *fuzzInput, now *clock.Time) {
	k := c.core
	switch op := in.byte(); op % 12 {
	case 0, 1, 2, 3:
		fuzzPeer(c, in, *now)
		if op&64 == 0 {
			c.Process(*now)
		}
	case 4:
		*now = now.Add(time.Duration(in.byte()) * time.Millisecond)
		k.BeginBatch(*now)
	case 5:
		if d := c.Deadline(); d != clock.Never {
			*now = max(*now, d)
			k.BeginBatch(*now)
			c.Expire(*now)
			if c.Deadline() <= *now {
				t.Fatal("a timer is still due after Expire")
			}
		}
	case 6:
		for f := c.Recv(); f != frame.None; f = c.Recv() {
			n := k.Pool.Meta(f).Len
			k.Pool.Release(f)
			c.Consumed(n)
		}
	case 7:
		c.Write(make([]byte, in.number()&0x3fff))
	case 8:
		fuzzOutput(t, c, int(in.byte()), *now)
	case 9:
		c.ICMP(ICMPKind(in.byte()%6), in.number(), c.snd.una+Seq(in.number()), *now)
	case 10:
		switch in.byte() % 8 {
		case 5:
			c.SendSYN(*now)
		case 0:
			c.Close(*now)
		case 1:
			c.CloseWrite(*now)
		case 2:
			c.Abort(*now)
		case 3:
			c.SetCork(op&64 != 0)
		case 4:
			fuzzOption(t, c, in, *now)
		case 6:
			c.WriteUrgent(make([]byte, in.byte()))
		case 7:
			c.SetRecvBuffer(in.number())
		}
	default:
		for c.Process(*now) {
		}
		fuzzOutput(t, c, 1000, *now)
		if err := checkLiveness(c); err != nil {
			t.Fatal(err)
		}
	}
}

// fuzzOption sets an option, and asks for everything that TCPInfo tells.
func fuzzOption(t *testing.T, c *Conn, in *fuzzInput, now clock.Time) {
	switch in.byte() % 8 {
	case 0:
		c.SetKeepAlive(time.Second, now)
	case 1:
		c.SetKeepAliveConfig(KeepAlive{Idle: -1, Interval: time.Duration(in.byte()) * time.Millisecond, Count: int(in.byte())}, now)
	case 2:
		c.SetQuickACK(in.byte()&1 != 0)
	case 3:
		_ = c.SetMaxSegment(uint16(in.number()))
	case 4:
		c.SetUserTimeout(time.Duration(in.byte())*time.Millisecond, now)
	case 5:
		c.SetLinger(time.Duration(in.byte()) * time.Millisecond)
	case 6:
		c.SetNoDelay(in.byte()&1 != 0)
	case 7:
		_ = c.SetCongestion([]string{"newreno", "cubic", "dctcp", "bbr"}[in.byte()%4])
		c.SetMaxPacingRate(uint64(in.number()), now)
	}
	i := c.TCPInfo(now)
	if i.BytesAcked > i.BytesSent || i.Sacked+i.Lost > i.Unacked && c.is(flagSACK) || i.Retrans > i.Lost {
		t.Fatalf("TCPInfo: %+v", i)
	}
}

// fuzzOutput pulls at most so many segments. There must be an end to them.
func fuzzOutput(t *testing.T, c *Conn, most int, now clock.Time) {
	var o OutSegment
	for range most {
		if !c.Output(now, &o) {
			return
		}
		if o.Frame == frame.None {
			continue
		}
		p := c.core.Pool
		m := p.Meta(o.Frame)
		first := min(o.Len, m.Len)
		if o.Off < headroom || o.Off+first > uint32(p.ChunkSize()) || o.Len == 0 || o.Len > m.Len && o.More == 0 {
			t.Fatalf("payload of %d bytes at %d, the frame has %d at %d", o.Len, o.Off, m.Len, m.Off)
		}
		copyPayload(make([]byte, o.Len), p, &o)
		if o.Len > uint32(c.cfg.MSS) || o.HeaderLen()-MinHeaderLen+int(o.Len) > int(c.cfg.MSS) {
			t.Fatalf("%d bytes of payload and %d of options, the MSS is %d", o.Len, o.HeaderLen()-MinHeaderLen, c.cfg.MSS)
		}
	}
	if most == 1000 {
		t.Fatal("there is no end to what is sent")
	}
}

// fuzzPeer queues a segment whose numbers are near those that the connection expects.
func fuzzPeer(c *Conn, in *fuzzInput, now clock.Time) {
	var o OutSegment
	o.Clear()
	o.Flags = Flags(in.byte())
	mark := o.Flags & ecnSetup
	if mark != 0 {
		o.Flags = FlagACK
	}
	if c.is(flagECN) {
		o.Flags |= mark
	}
	o.Seq = c.rcv.nxt + Seq(in.number())
	o.Ack = c.snd.una + Seq(in.number())
	o.Window = uint16(in.number())
	kind := in.byte()
	if kind&1 != 0 {
		o.Ack = c.snd.nxt
	}
	if (kind&2 != 0) != c.is(flagTS) {
		o.HasTS, o.TSVal, o.TSEcr = true, c.ts.recent+uint32(kind>>6), c.tsValue(now)
	}
	if o.Flags&FlagSYN != 0 {
		o.MSS, o.SACKPermitted, o.WScale = uint16(in.number()), kind&4 != 0, int8(kind>>4)
	} else if kind&8 != 0 {
		for i := range kind >> 4 & 3 {
			start := c.snd.una + Seq(in.number())
			o.SACK[i] = SACKBlock{start, start + Seq(in.number())}
			o.NumSACK++
		}
	}
	payload := int(in.byte())
	if kind&4 != 0 {
		payload *= 5
	}
	b := make([]byte, o.HeaderLen()+payload)
	o.Marshal(b, flowA.RemotePort, flowA.LocalPort)
	if inject(c, b) && mark == ecnSetup {
		c.core.Pool.Meta(c.in.Back()).Flags |= MetaCE
	}
}
