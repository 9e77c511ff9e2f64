package stack

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/tcp"
)

// flood sends SYNs and ACKs of strangers until it is stopped.
func (f *flooder) flood() (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-end:
				return
			default:
			}
			for range 30 {
				f.send(tcp.FlagSYN)
				f.send(tcp.FlagACK)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { close(end); <-done }) }
	f.t.Cleanup(stop)
	return stop
}

// complete brings the number of a SYN-ACK back, with data, which is to be echoed.
func (p *rawPeer) complete(s *Stack, port uint16, iss tcp.Seq) {
	p.t.Helper()
	ack := iss.Add(1)
	o := tcp.OutSegment{Seq: 1001, Ack: ack, Flags: tcp.FlagACK | tcp.FlagPSH, Window: 1000}
	p.await(func() { p.segment(s, port, o, "hello") }, func(seg *tcp.Segment, payload []byte) bool {
		if seg.Has(tcp.FlagRST) {
			p.t.Fatal("it is reset")
		}
		return string(payload) == "hello"
	})
}

// TestUpgradeShielded has a stack's interface go to another one twice while strangers flood its port and the shield answers them: no connection
// fails, a cookie that was given before is good after, and the shield is there when the stacks before have closed all that they had.
func TestUpgradeShielded(t *testing.T) {
	for _, mode := range []bpf.ShieldMode{bpf.ShieldAlways, bpf.ShieldAuto} {
		t.Run(mode.String(), func(t *testing.T) {
			cfg := Config{Shield: mode}
			cfg.AFXDP.Transferable = true
			s, l := openShielded(t, netlab.Config{}, cfg)
			listen := func(s *Stack) error { _, err := s.Handle(":7", &slowEcho{}); return err }
			if err := listen(s); err != nil {
				t.Fatal(err)
			}
			load := startTransfers(t, l, addr(s.Address(), 7), 2, 2)
			stop := newFlooder(t, l, 7).flood()
			time.Sleep(200 * time.Millisecond)
			raw := newRawPeer(t, l)
			iss := raw.syn(s, 7)
			first := s
			for range 2 {
				time.Sleep(200 * time.Millisecond)
				s = upgrade(t, l, s, cfg, listen)
			}
			raw.complete(s, 7, iss)
			time.Sleep(200 * time.Millisecond)
			close(load.stop)
			load.done.Wait()
			t.Logf("%d connections, %d MiB", load.connects.Load(), load.bytes.Load()>>20)
			if load.connects.Load() < 20 {
				t.Error("next to no connections")
			}
			if _, err := first.Shutdown(context.Background(), nil); err != nil {
				t.Error(err)
			}
			closeChecked(t, first)
			before, program := shieldCounts(t, s)
			time.Sleep(300 * time.Millisecond)
			stop()
			after, now := shieldCounts(t, s)
			if n := after.Syns - before.Syns; n > 100 || now.Answered.SYNCookie-program.Answered.SYNCookie < 1000 {
				t.Errorf("when the first stack has closed its ports, %d SYNs come through, and the shield has answered %d", n,
					now.Answered.SYNCookie-program.Answered.SYNCookie)
			}
			closeChecked(t, s)
		})
	}
}

// TestMarksAcrossUpgrade looks at the marks of flows that a stack had which another one has replaced: they are there until the flow's own end,
// whatever the new stack opens and closes, and none is left in the end.
func TestMarksAcrossUpgrade(t *testing.T) {
	cfg := Config{Shield: bpf.ShieldAlways}
	cfg.AFXDP.Transferable = true
	s, l := openShielded(t, netlab.Config{}, cfg)
	listen := func(s *Stack) error { _, err := s.Handle(":7", &slowEcho{}); return err }
	if err := listen(s); err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoesBack(t, c, "before")
	marks, _ := s.shield.Marks()
	count := func() (n int) {
		for _, w := range marks {
			for ; w != 0; w >>= 8 {
				n += int(w & 0xff)
			}
		}
		return n
	}
	if n := count(); n != 1 {
		t.Errorf("%d marks of one connection", n)
	}
	young := upgrade(t, l, s, cfg, listen)
	for range 300 {
		if err := greet(l, addr(s.Address(), 7), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	echoesBack(t, c, "after")
	c.Close()
	marks, _ = young.shield.Marks()
	closeChecked(t, s)
	if n := count(); n > 300 {
		t.Errorf("%d marks, and at most 300 connections in TIME-WAIT", n)
	}
	eventually(t, "the end of the connections", func() bool {
		r, err := young.Report()
		return err == nil && r[0].Connections+r[0].HalfOpen == 0
	})
	young.Shard(0).call(func(sh *Shard) { sh.unmark() })
	if n := count(); n != 0 {
		t.Errorf("%d marks of nothing", n)
	}
	closeChecked(t, young)
}

// TestCookieAcrossUpgrade has a cookie of a stack's own come back to the one that has replaced it.
func TestCookieAcrossUpgrade(t *testing.T) {
	cfg := Config{}
	cfg.AFXDP.Transferable = true
	s, l := openOnVeth(t, netlab.Config{}, cfg)
	listen := func(s *Stack) error {
		lc := ListenConfig{Stack: s, Cookies: tcp.CookiesAlways}
		_, err := lc.Handle(":7", &slowEcho{})
		return err
	}
	if err := listen(s); err != nil {
		t.Fatal(err)
	}
	raw := newRawPeer(t, l)
	iss := raw.syn(s, 7)
	young := upgrade(t, l, s, cfg, listen)
	closeChecked(t, s)
	eventually(t, "the end of the stack before", func() bool { return !young.Predecessor() })
	raw.complete(young, 7, iss)
	closeChecked(t, young)
}
