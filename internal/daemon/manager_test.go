package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sdnotify"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// The watchdog is fed while the shards turn, not while one is stuck, and again when it is not.
func TestFeedWatchdog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	dog, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer dog.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "150000")
	d := &Daemon{Log: slog.New(slog.DiscardHandler)}
	if d.manager, err = sdnotify.Find(); err != nil {
		t.Fatal(err)
	}
	defer d.manager.Close()
	a, b, err := sim.Pipe(sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if d.Stack, err = stack.New(stack.Config{Address: netip.MustParsePrefix("192.0.2.1/24")}, a); err != nil {
		t.Fatal(err)
	}
	d.Stack.Start()
	defer d.Stack.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.feedWatchdog(ctx) }()
	fed := func(within time.Duration) bool {
		_ = dog.SetReadDeadline(time.Now().Add(within))
		buf := make([]byte, 100)
		n, err := dog.Read(buf)
		if err == nil && string(buf[:n]) != sdnotify.Alive {
			t.Errorf("%q", buf[:n])
		}
		return err == nil
	}
	for range 2 {
		if !fed(10 * time.Second) {
			t.Fatal("it is not fed")
		}
	}
	release, stuck := make(chan struct{}), make(chan struct{})
	go func() { _ = d.Stack.Shard(0).Do(func(*stack.Shard) { close(stuck); <-release }) }()
	<-stuck
	fed(60 * time.Millisecond) // of the round before
	if fed(200 * time.Millisecond) {
		t.Error("it is fed although a shard is stuck")
	}
	close(release)
	if !fed(10 * time.Second) {
		t.Error("it is not fed again")
	}
	cancel()
	<-done
}
