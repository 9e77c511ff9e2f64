package proxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim/simtest"
	"github.com/xdpstack/xdpstack/stack"
)

// patience bounds every wait of these tests: they run beside others on small machines.
const patience = 30 * time.Second

// world is a client's stack, which has servers too, and the proxy's, joined in memory.
type world struct {
	client *stack.Stack
	server net.Listener // where the proxy's target is
	proxy  *Proxy
	route  *Route
	stack  *stack.Stack // the proxy's
}

const proxyAddress = "192.0.2.1:80"

// kinds are the kinds of target.
var kinds = []string{"kernel", "unix", "stack"}

// newWorld makes a world in which the target is of a kind, the last of those of the configuration.
func newWorld(t *testing.T, kind string, cfg Config) *world {
	t.Helper()
	w := &world{}
	w.stack, w.client = simtest.Pair(t, "192.0.2.1/24", "192.0.2.2/24")
	var err error
	switch kind {
	case "kernel":
		w.server, err = net.Listen("tcp4", "127.0.0.1:0")
	case "unix":
		w.server, err = net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	case "stack":
		w.server, err = w.client.Listen("tcp", ":81")
	}
	if err != nil {
		t.Fatal(err)
	}
	where := w.server.Addr().String()
	if kind == "stack" {
		where = "stack:" + where
	} else {
		where = "kernel:" + where
	}
	cfg.Targets = append(cfg.Targets, mustTarget(t, where))
	w.proxy = New(w.stack)
	for i, turn := range w.proxy.OnTurns() {
		if err := w.stack.Shard(i).Do(func(s *stack.Shard) { s.SetOnTurn(turn) }); err != nil {
			t.Fatal(err)
		}
	}
	if w.route, err = w.proxy.Route(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := w.stack.Handle(":80", w.route.Handler()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.settled(t)
		w.server.Close()
		w.client.Close()
		w.stack.Close()
		if err := w.proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func mustTarget(t *testing.T, text string) Target {
	t.Helper()
	to, err := ParseTarget(text)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// settled checks that nothing is left of any connection.
func (w *world) settled(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		reports, err := w.stack.Report()
		if err != nil {
			t.Fatal(err)
		}
		stats, err := w.proxy.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if reports[0].Connections == 0 && reports[0].Frames.Held == 0 && stats.Open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left: %d connections, %d frames, %d handed on", reports[0].Connections, reports[0].Frames.Held, stats.Open)
			return
		}
	}
}

// dial connects a client to the proxy.
func (w *world) dial(t *testing.T) *stack.TCPConn {
	t.Helper()
	c, err := w.client.Dial("tcp", proxyAddress)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*stack.TCPConn)
}

// connect connects a client, and returns the server's end too.
func (w *world) connect(t *testing.T) (client *stack.TCPConn, server net.Conn) {
	t.Helper()
	client = w.dial(t)
	server, err := w.server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = server.SetDeadline(time.Now().Add(patience))
	return client, server
}

// halfCloser is what both kinds of connection are.
type halfCloser interface{ CloseWrite() error }

// TestBothWays sends much in both directions at once; each side ends its own when it has sent all.
func TestBothWays(t *testing.T) {
	for _, kind := range kinds {
		for _, header := range []bool{false, true} {
			t.Run(kind+map[bool]string{true: " with header"}[header], func(t *testing.T) {
				w := newWorld(t, kind, Config{Header: header})
				client, server := w.connect(t)
				random := rand.NewChaCha8([32]byte{1})
				up, down := make([]byte, 3<<20), make([]byte, 5<<20)
				random.Read(up)
				random.Read(down)
				want := up
				if header {
					var h [headerLen]byte
					putHeader(&h, netip.MustParseAddrPort(client.LocalAddr().String()), netip.MustParseAddrPort(proxyAddress))
					want = append(h[:], up...)
				}
				var all sync.WaitGroup
				exchange := func(name string, c net.Conn, send, want []byte) {
					all.Go(func() {
						if _, err := c.Write(send); err != nil {
							t.Errorf("%s writes: %v", name, err)
						}
						if err := c.(halfCloser).CloseWrite(); err != nil {
							t.Errorf("%s ends: %v", name, err)
						}
					})
					all.Go(func() {
						got, err := io.ReadAll(c)
						if err != nil || !bytes.Equal(got, want) {
							t.Errorf("%s read %d bytes, want %d, %v", name, len(got), len(want), err)
						}
					})
				}
				exchange("client", client, up, down)
				exchange("server", server, down, want)
				all.Wait()
				client.Close()
				server.Close()
				w.settled(t)
				stats, err := w.proxy.Stats()
				if err != nil || stats.Accepted != 1 || stats.ToTarget < uint64(len(up)) || stats.ToClient != uint64(len(down)) ||
					stats.Broken+stats.Refused != 0 {
					t.Errorf("%+v, %v", stats, err)
				}
			})
		}
	}
}

// TestSlowSides has one side not read while the other sends: what is sent stays bounded, and arrives whole.
func TestSlowSides(t *testing.T) {
	for _, kind := range kinds {
		for _, slow := range []string{"client", "server"} {
			t.Run(kind+", "+slow, func(t *testing.T) {
				w := newWorld(t, kind, Config{})
				client, server := w.connect(t)
				var from, to net.Conn = server, client
				if slow == "server" {
					from, to = client, server
				}
				const size = 24 << 20
				sent := make(chan error, 1)
				go func() {
					_, err := from.Write(make([]byte, size))
					sent <- errors.Join(err, from.Close())
				}()
				select {
				case err := <-sent:
					t.Errorf("%d bytes went to somebody who does not read: %v", size, err)
				case <-time.After(100 * time.Millisecond):
				}
				if n, err := io.Copy(io.Discard, to); n != size || err != nil {
					t.Errorf("%d bytes came, %v", n, err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
				to.Close()
			})
		}
	}
}

// abort closes a connection with a RST.
func abort(c net.Conn) {
	c.(interface{ SetLinger(int) error }).SetLinger(0)
	c.Close()
}

// TestResets passes a reset of one side on to the other.
func TestResets(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind, Config{})
			client, server := w.connect(t)
			abort(client)
			// A Unix socket has no reset; the end is all that can be told.
			if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && (kind != "unix" || !errors.Is(err, io.EOF)) {
				t.Errorf("the server of a client that is reset reads: %v", err)
			}
			server.Close()
			if kind == "unix" {
				return
			}
			client, server = w.connect(t)
			abort(server)
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client of a server that is reset reads: %v", err)
			}
			client.Close()
			w.settled(t)
			if stats, err := w.proxy.Stats(); err != nil || stats.Broken != 1 {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}

// TestRefused resets clients whose target is not there, and serves them when it is.
func TestRefused(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind, Config{})
			w.server.Close()
			for range 3 {
				c, err := w.client.Dial("tcp", proxyAddress)
				if err == nil { // else the reset came before it was told of the connection
					_, err = c.Read(make([]byte, 1))
					c.Close()
				}
				if !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a client of no server reads: %v", err)
				}
			}
			w.settled(t)
			if stats, err := w.proxy.Stats(); err != nil || stats.Refused != 3 || stats.Broken != 0 {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}

// TestIdle resets a connection on which nothing passes, and not one on which something does.
func TestIdle(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind, Config{Idle: time.Second}) // long beside what a busy machine keeps a test waiting
			idle, server := w.connect(t)
			busy, peer := w.connect(t)
			gone := make(chan error, 1)
			go func() { _, err := idle.Read(make([]byte, 1)); gone <- err }()
			for ended := false; !ended; {
				select {
				case err := <-gone:
					ended = true
					if !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("the idle client reads: %v", err)
					}
				case <-time.After(50 * time.Millisecond):
				}
				var b [1]byte
				if _, err := busy.Write(b[:]); err != nil {
					t.Fatalf("the busy client writes: %v", err)
				}
				if _, err := peer.Read(b[:]); err != nil {
					t.Fatalf("its server reads: %v", err)
				}
			}
			for _, c := range []net.Conn{idle, server, busy, peer} {
				c.Close()
			}
			w.settled(t)
			if stats, err := w.proxy.Stats(); err != nil || stats.Idle != 1 {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}

// TestMany has many clients at once, each with a few exchanges.
func TestMany(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind, Config{})
			go func() {
				for {
					c, err := w.server.Accept()
					if err != nil {
						return
					}
					go func() { io.Copy(c, c); c.Close() }()
				}
			}()
			var all sync.WaitGroup
			for i := range 200 {
				all.Go(func() {
					c := w.dial(t)
					defer c.Close()
					b := bytes.Repeat([]byte{byte(i)}, 100+i)
					for range 5 {
						got := make([]byte, len(b))
						if _, err := c.Write(b); err != nil {
							t.Error(err)
							return
						}
						if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, b) {
							t.Errorf("client %d: %v", i, err)
							return
						}
					}
				})
			}
			all.Wait()
			w.settled(t)
		})
	}
}
