package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	visitors = 24               // clients that connect, ask a few times, and end
	streams  = 4                // and such that send without a pause
	patience = 60 * time.Second // a client's, for one answer: retransmissions back off
	lifetime = 2 * time.Second  // of a stream's connection
)

// load is clients of the server's echo.
type load struct {
	dial        func(ctx context.Context) (net.Conn, error)
	connections atomic.Uint64
	bytes       atomic.Uint64
	slowest     atomic.Int64 // ns
	cancel      context.CancelFunc
	all         sync.WaitGroup
	mu          sync.Mutex
	err         error // the first
}

func (w *world) startLoad(ctx context.Context) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{dial: w.dial, cancel: cancel}
	for i := range visitors + streams {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		work := l.visit
		if i >= visitors {
			work = l.stream
		}
		l.all.Go(func() {
			for ctx.Err() == nil {
				if err := l.one(ctx, random, work); err != nil {
					l.fail(err)
					return
				}
				l.connections.Add(1)
			}
		})
	}
	return l
}

// one is one connection.
func (l *load) one(ctx context.Context, random *rand.Rand, work func(net.Conn, *rand.Rand) error) error {
	began := time.Now()
	dialing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	c, err := l.dial(dialing)
	if err != nil {
		return fmt.Errorf("connect, after %v: %w", time.Since(began).Round(time.Millisecond), err)
	}
	l.waited(time.Since(began))
	defer c.Close()
	if err := work(c, random); err != nil {
		return fmt.Errorf("%v, after %v: %w", c.LocalAddr(), time.Since(began).Round(time.Millisecond), err)
	}
	return nil
}

// visit asks a few times, and sees the server's end after its own.
func (l *load) visit(c net.Conn, random *rand.Rand) error {
	for range 1 + random.IntN(8) {
		if err := l.ask(c, random, 1+random.IntN(4000)); err != nil {
			return err
		}
	}
	return end(c)
}

// stream sends much, as one who reads and writes at the same time.
func (l *load) stream(c net.Conn, random *rand.Rand) error {
	until := time.Now().Add(lifetime)
	for time.Now().Before(until) {
		if err := l.ask(c, random, 256<<10); err != nil {
			return err
		}
	}
	return end(c)
}

// ask sends n bytes and compares what comes back.
func (l *load) ask(c net.Conn, random *rand.Rand, n int) error {
	began := time.Now()
	_ = c.SetDeadline(began.Add(patience))
	sent, got := make([]byte, n), make([]byte, n)
	for i := range sent {
		sent[i] = byte(random.Uint32())
	}
	wrote := make(chan error, 1)
	go func() { _, err := c.Write(sent); wrote <- err }()
	_, err := io.ReadFull(c, got)
	if err != nil {
		_ = c.SetDeadline(time.Now()) // the writer gives up, too
	}
	if err = errors.Join(err, <-wrote); err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return fmt.Errorf("%d bytes came back that differ", n)
	}
	l.bytes.Add(uint64(n))
	l.waited(time.Since(began))
	return nil
}

// end closes in order, and wants that of the server too.
func end(c net.Conn) error {
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	switch n, err := c.Read(make([]byte, 1)); {
	case n != 0:
		return errors.New("more came back than was sent")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("wait for the server's end: %w", err)
	}
	return nil
}

func (l *load) waited(d time.Duration) {
	for {
		longest := l.slowest.Load()
		if int64(d) <= longest || l.slowest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("a client: %w", err)
	}
}

func (l *load) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// stop lets every client end what it is at.
func (l *load) stop() error {
	l.cancel()
	l.all.Wait()
	return l.failed()
}

// PeerVariable is the name of the environment's variable that makes a process a peer that is killed: the server's address.
const PeerVariable = "XDPSTACK_SOAK_PEER"

// Peer is what such a process does: it has many connections on which it sends, and does not read.
func Peer() {
	for range 50 {
		go func() {
			c, err := net.Dial("tcp", os.Getenv(PeerVariable))
			if err != nil {
				return
			}
			for b := make([]byte, 4096); ; {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}()
	}
	time.Sleep(patience)
}
