package soak

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/internal/impair"
)

// kind is a kind of fault. It is over when happen returns.
type kind struct {
	name   string
	happen func(ctx context.Context, w *world, random *mrand.Rand) error
}

var kinds = []kind{
	{"link down", linkDown},
	{"peer killed", peerKilled},
	{"loss", lossBurst},
	{"control abuse", abuse},
	{"reload", reload},
	{"bad reload", badReload},
	{"upgrade", upgrade},
	{"scrape", scrape},
}

// linkDown takes the link away for a time in which the clients' kernel does not give up ARP.
func linkDown(_ context.Context, w *world, random *mrand.Rand) error {
	if err := w.lab.Stack.SetDown(); err != nil {
		return err
	}
	time.Sleep(100*time.Millisecond + time.Duration(random.Int64N(int64(900*time.Millisecond))))
	return w.lab.Stack.SetUp()
}

// peerKilled kills a process with many connections.
func peerKilled(_ context.Context, w *world, random *mrand.Rand) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := w.lab.Kernel.Command(context.Background(), self)
	cmd.Env = append(os.Environ(), PeerVariable+"="+w.server)
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(200*time.Millisecond + time.Duration(random.Int64N(int64(time.Second))))
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // it was killed
	return nil
}

// lossBurst loses, repeats and reorders packets in both directions for a while.
func lossBurst(_ context.Context, w *world, random *mrand.Rand) error {
	bad := impair.Config{Loss: 0.02 + 0.2*random.Float64(), Duplicate: 0.02, Reorder: 0.05}
	w.hop.Impair(bad, bad, random.Uint64())
	time.Sleep(300*time.Millisecond + time.Duration(random.Int64N(int64(1200*time.Millisecond))))
	w.hop.Impair(impair.Config{}, impair.Config{}, random.Uint64())
	return nil
}

// abuse does what no client of the control socket does.
func abuse(_ context.Context, w *world, random *mrand.Rand) error {
	var all sync.WaitGroup
	for i := range 100 {
		c, err := net.Dial("unix", w.socket)
		if err != nil {
			return fmt.Errorf("the control socket is gone: %w", err)
		}
		garbage := make([]byte, 1+random.IntN(20_000))
		rand.Read(garbage)
		all.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Second))
			switch i % 4 {
			case 0:
				_, _ = c.Write(garbage)
			case 1:
				_, _ = io.WriteString(c, "POST /upgrade HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
				_, _ = c.Write(garbage)
			case 2:
				_, _ = io.WriteString(c, "GET /stats HTTP/1.1\r\nHost: x\r\n") // and nothing more
				time.Sleep(100 * time.Millisecond)
			default:
				_, _ = io.WriteString(c, "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
			}
		})
	}
	all.Wait()
	return nil
}

// reload changes what can be changed.
func reload(ctx context.Context, w *world, _ *mrand.Rand) error {
	w.reloads++
	if err := w.configure(w.reloads%2 == 1); err != nil {
		return err
	}
	return w.command(ctx, "reload")
}

// badReload has a configuration that must be refused, while the running one stays.
func badReload(ctx context.Context, w *world, _ *mrand.Rand) error {
	if err := os.WriteFile(w.config, []byte("interface = 7\n[nonsense]\n"), 0o644); err != nil {
		return err
	}
	if err := w.command(ctx, "reload"); err == nil {
		return fmt.Errorf("a bad configuration was taken")
	}
	return w.configure(w.reloads%2 == 1)
}

// upgrade has another process take over.
func upgrade(ctx context.Context, w *world, _ *mrand.Rand) error { return w.command(ctx, "upgrade") }

// scrape asks for everything.
func scrape(ctx context.Context, w *world, _ *mrand.Rand) error {
	for _, words := range [][]string{{"stats", "--json"}, {"ss", "--json"}, {"ss", "-a", "-t", "-i"}} {
		if err := w.command(ctx, words...); err != nil {
			return err
		}
	}
	return nil
}

// command runs a command of the server's.
func (w *world) command(ctx context.Context, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.binary, append(words, "--socket", w.socket)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("xdpstack %v: %w: %.1000s", words, err, out)
	}
	return nil
}
