package load

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/service"
)

// Shards with goroutines of their own share a run, while snapshots of it are taken.
func TestTwoShards(t *testing.T) {
	client, server := newPair(t, 2)
	h, err := service.NewHTTP(service.HTTPConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := server.Handle(":80", h); err != nil {
		t.Fatal(err)
	}
	if err := server.HandlePacket(":5007", service.EchoPackets{}); err != nil {
		t.Fatal(err)
	}
	phases := constant(2000, 300*time.Millisecond)
	for name, cfg := range map[string]Config{
		"open":        {Targets: targets(80), Phases: phases, Connections: 8, WarmUp: 100 * time.Millisecond},
		"connections": {Targets: targets(80), Phases: phases, Mode: Connections, WarmUp: 100 * time.Millisecond},
		"closed":      {Targets: targets(80), Count: 1001, Connections: 7},
		"UDP":         {Targets: targets(5007), Protocol: UDP, Phases: phases, Connections: 6, WarmUp: 100 * time.Millisecond},
		"one for two": {Targets: targets(80), Phases: constant(200, 300*time.Millisecond), Connections: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Start(client, cfg)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for range 10 {
					r.Snapshot()
					time.Sleep(20 * time.Millisecond)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := r.Wait(ctx); err != nil || ctx.Err() != nil {
				t.Fatalf("%v, %v", err, ctx.Err())
			}
			s := r.Snapshot()
			want := cfg.Count
			if want == 0 {
				want = uint64(cfg.Phases[0].From * (length(cfg.Phases) - cfg.WarmUp).Seconds())
			}
			if s.Done+s.Failed != want || s.Started != want || s.Total.TotalCount() != int64(s.Done) || s.State != Finished {
				t.Errorf("%d started, %d done, want %d, %v", s.Started, s.Done, want, s.ErrorsByName())
			}
		})
	}
}

// Who stops a run gets what was done; who closes the stack under it gets an error.
func TestStop(t *testing.T) {
	client, server := newPair(t, 1)
	if _, err := server.Handle(":7", service.Echo{}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Protocol: Echo, Targets: targets(7), Phases: constant(1000, time.Hour)}
	r, err := Start(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for r.Snapshot().Done == 0 && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	if err := r.Wait(ctx); err != nil {
		t.Error(err)
	}
	if s := r.Snapshot(); s.Done == 0 || s.Done != s.Started || s.Elapsed > time.Minute {
		t.Errorf("%d done of %d in %v", s.Done, s.Started, s.Elapsed)
	}
	if r, err = Start(client, cfg); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { client.Close() })
	if err := r.Wait(t.Context()); err == nil || !errors.Is(r.Snapshot().Err, err) {
		t.Errorf("the stack was closed under it: %v", err)
	}
	if _, err := Start(client, cfg); err == nil {
		t.Error("a run on a closed stack begins")
	}
}
