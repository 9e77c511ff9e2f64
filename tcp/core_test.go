package tcp

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestConfigErrors(t *testing.T) {
	pool, err := frame.NewPool(make([]byte, 8*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		headroom uint32
		mss      uint16
		cfg      Config
	}{
		{"tiny MTU", 128, 40, Config{}},
		{"segments larger than 18 frames", 128, 18*1920 + 1, Config{}},
		{"tiny MSS", 128, 1460, Config{MSS: 10}},
		{"huge receive buffer", 128, 1460, Config{RecvBuffer: 1<<30 + 1}},
		{"huge send buffer", 128, 1460, Config{SendBuffer: 1<<30 + 1}},
		{"endless retries", 128, 1460, Config{Retries: 256}},
		{"ACKs delayed for too long", 128, 1460, Config{DelayedACK: 500 * time.Millisecond}},
		{"unknown congestion control", 128, 1460, Config{Congestion: "vegas"}},
	} {
		if _, err := NewCore(pool, c.headroom, c.mss, 1<<20, testSecret, c.cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: error %v, want ErrConfig", c.name, err)
		}
	}
	k := newHarnessCore(t, 8, Config{})
	if _, err := k.NewConfig(Config{MSS: 1}); !errors.Is(err, ErrConfig) {
		t.Errorf("NewConfig: error %v", err)
	}
	cfg, err := k.NewConfig(Config{MSS: 9000})
	if err != nil || cfg.MSS != deviceMSS || cfg.Retries != 15 || cfg.DelayedACK != 40*time.Millisecond {
		t.Errorf("NewConfig gives %+v, %v", cfg, err)
	}
}

func TestWindowScaleFitsBuffer(t *testing.T) {
	for _, c := range []struct {
		buffer uint32
		want   uint8
	}{{1, 0}, {65535, 0}, {65536, 1}, {1 << 20, 5}, {1 << 30, 14}} {
		cfg := Config{RecvBuffer: c.buffer}
		if got := cfg.scale(); got != c.want {
			t.Errorf("a buffer of %d bytes has scale %d, want %d", c.buffer, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err     error
		errno   syscall.Errno
		timeout bool
	}{
		{ErrRefused, syscall.ECONNREFUSED, false},
		{ErrReset, syscall.ECONNRESET, false},
		{ErrTimeout, syscall.ETIMEDOUT, true},
		{ErrHostUnreachable, syscall.EHOSTUNREACH, false},
		{ErrNetUnreachable, syscall.ENETUNREACH, false},
		{ErrAborted, syscall.ECONNABORTED, false},
	} {
		var ne net.Error
		if !errors.Is(c.err, c.errno) || !errors.As(c.err, &ne) || ne.Timeout() != c.timeout {
			t.Errorf("%v: is %v: %v, timeout %v", c.err, c.errno, errors.Is(c.err, c.errno), c.timeout)
		}
	}
}

// TestBudgetIsShared has connections that receive in bulk share the receive budget, and one that only talks not.
func TestBudgetIsShared(t *testing.T) {
	k := newHarnessCore(t, 2048, Config{RecvBuffer: 1 << 20})
	k.rxBudget = 1_000_000
	now := clock.Time(time.Hour)
	var conns [5]Conn
	seqs := [5]Seq{}
	for i := range conns {
		f := flowA
		f.LocalPort += uint16(i)
		k.BeginBatch(now)
		conns[i].Accept(k, &Accepted{Flow: f, IRS: 99, ISS: 999, RcvWnd: 65535, MSS: 1460, HasWScale: true, RcvWScale: 5}, nil, now)
		seqs[i] = 100
	}
	receive := func(i, n int) OutSegment {
		c := &conns[i]
		for range n {
			o := OutSegment{Seq: seqs[i], Ack: 1000, Flags: FlagACK, Window: 1000, Options: Options{WScale: -1}}
			b := make([]byte, MinHeaderLen+1000)
			o.Marshal(b, c.flow.RemotePort, c.flow.LocalPort)
			inject(c, b)
			seqs[i] += 1000
		}
		k.BeginBatch(now)
		c.Process(now)
		consume(c)
		var o OutSegment
		for c.Output(now, &o) {
		}
		return o
	}
	bulk := func() (o OutSegment) {
		for range 3 {
			for i := range 4 {
				o = receive(i, 20)
			}
			receive(4, 1)
			now = now.Add(epochTime / 2)
		}
		return o
	}
	bulk()
	// The window that was promised is used up before the share shows.
	var o OutSegment
	for range 20 {
		o = bulk()
	}
	if got := uint32(o.Window) << 5; got > 250_000 || got < 200_000 {
		t.Errorf("one of four bulk receivers is offered %d bytes of a budget of 1,000,000", got)
	}
	for i := range conns {
		conns[i].Release()
	}
	if err := checkPool(k); err != nil {
		t.Error(err)
	}
}

// TestPoolExhausted has a write be cut short by an empty pool, and the application be told once there are frames again.
func TestPoolExhausted(t *testing.T) {
	s := established(t, scriptOptions{frames: 64})
	var hoard []frame.Index
	for s.k.Pool.Free() > 6 {
		hoard = append(hoard, s.k.Pool.Alloc())
	}
	n := s.c.Write(make([]byte, 100_000))
	if n == 0 || n > 3*1460 || s.k.Stats.WriteStarved == 0 {
		t.Errorf("Write took %d bytes while 6 frames were left", n)
	}
	s.takeEvents()
	s.events = 0
	for _, f := range hoard {
		s.k.Pool.Release(f)
	}
	s.drain(3)
	s.advance(2 * poolRetry)
	s.wantEvents(EventWritable)
}

// TestPathMTU has segments that were too large for the path be divided and sent again, without a loss being assumed.
func TestPathMTU(t *testing.T) {
	s := established(t, scriptOptions{})
	s.write(5 * 1460)
	s.wantData(1, 1+5*1460, 1460, 1)
	window := s.c.Info().CWnd
	s.c.ICMP(ICMPFragmentationNeeded, 1000, s.iss.Add(5*1460+1), s.now)
	s.wantNothing()
	if s.k.Stats.ICMPIgnored != 1 {
		t.Error("an error about what was never sent is believed")
	}
	s.c.ICMP(ICMPFragmentationNeeded, 1000, s.iss.Add(1), s.now)
	var at uint32 = 1
	for at < 1+5*1460 {
		o, ok := s.pull()
		if !ok {
			s.inject(seg{flags: fA, seq: 1, ack: at})
			continue
		}
		if got := s.relative(&o); got.seq != at || got.len > 960 {
			t.Fatalf("got %v, want at most 960 bytes from %d", got, at)
		}
		at += o.Len
	}
	if i := s.c.Info(); i.SendMSS != 960 || i.CWnd < window || s.k.Stats.FastRecoveries+s.k.Stats.Timeouts != 0 {
		t.Errorf("%+v", i)
	}
}

// TestICMPErrors has errors end a connection that is being opened, or be what is told in the end, but never end an established one.
func TestICMPErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		kind ICMPKind
		ends bool
		err  error
	}{
		{"port", ICMPPortUnreachable, true, ErrRefused},
		{"neighbour", ICMPNoNeighbour, true, ErrHostUnreachable},
		{"host", ICMPHostUnreachable, false, ErrHostUnreachable},
		{"network", ICMPNetUnreachable, false, ErrNetUnreachable},
		{"parameter problem", ICMPParameterProblem, false, ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := connect(t, scriptOptions{iss: 7})
			s.c.ICMP(c.kind, 0, s.iss, s.now)
			if ended := s.c.State() == StateClosed; ended != c.ends {
				t.Fatalf("ended: %v, want %v", ended, c.ends)
			}
			for s.c.Deadline() != clock.Never {
				s.expire()
				s.drain(1)
			}
			if !errors.Is(s.c.Err(), c.err) {
				t.Errorf("error %v, want %v", s.c.Err(), c.err)
			}
			e := established(t, scriptOptions{})
			e.write(100)
			e.drain(1)
			e.c.ICMP(c.kind, 0, e.iss.Add(1), e.now)
			e.wantState(StateEstablished)
		})
	}
}

// TestTinySegmentsAreBounded has a peer send one byte in each segment to an application that does not read: the memory that it
// occupies stays within twice the buffer.
func TestTinySegmentsAreBounded(t *testing.T) {
	const buffer = 32 << 10
	s := established(t, scriptOptions{cfg: Config{RecvBuffer: buffer}})
	for at := uint32(1); at < 70_000; at += 300 {
		s.inject(seg{flags: fA, seq: at, ack: 1, len: 300})
		s.drain(2)
	}
	if got := s.k.held; got > 2*65535+4096 { // the window that was offered first is above the buffer
		t.Errorf("%d bytes of memory are held, the buffer has %d", got, buffer)
	}
	s = established(t, scriptOptions{cfg: Config{RecvBuffer: buffer}})
	for at := uint32(2); at < 60_000; at += 2 {
		s.inject(seg{flags: fA, seq: at, ack: 1, len: 1})
		s.drain(2)
	}
	if got := s.k.held; got > 2*buffer+4096 {
		t.Errorf("%d bytes of memory are held out of order, the buffer has %d", got, buffer)
	}
	if s.k.Stats.DropOutOfOrderFull == 0 {
		t.Error("nothing was counted as dropped")
	}
}

// TestZeroConn has a Conn that was never begun, or was released, be harmless.
func TestZeroConn(t *testing.T) {
	var c Conn
	c.Release()
	if c.State() != StateClosed || c.Recv() != frame.None || c.TakeEvents() != 0 || c.Err() != nil || c.Info() != (Info{}) {
		t.Error("the zero Conn is not closed and empty")
	}
	c.Abort(1)
	c.Close(1)
	c.CloseWrite(1)
	if c.Write([]byte("x")) != 0 || c.Wants(1) {
		t.Error("the zero Conn takes or sends something")
	}
}
