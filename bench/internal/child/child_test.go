package child

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain plays the child when the test binary is started again.
func TestMain(m *testing.M) {
	switch os.Getenv("CHILD") {
	case "worker":
		os.Exit(Inside(func(ctx context.Context, emit Emit) (any, error) {
			if err := Pin(0); err != nil {
				return nil, err
			}
			if err := emit("ready", map[string]int{"n": 7}); err != nil {
				return nil, err
			}
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			return "bye", nil
		}))
	case "collecting":
		os.Exit(Inside(func(_ context.Context, emit Emit) (any, error) {
			runtime.GC()
			if err := emit(KindStart, nil); err != nil {
				return nil, err
			}
			for range 3 {
				runtime.GC()
			}
			return nil, nil
		}))
	case "failing":
		os.Exit(Inside(func(context.Context, Emit) (any, error) { return nil, errors.New("no such interface") }))
	case "dying":
		os.Stderr.WriteString("last words\n")
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, what string) *Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD="+what)
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func TestLifeOfAChild(t *testing.T) {
	p := start(t, "worker")
	var ready struct{ N int }
	if err := p.Next(t.Context(), "ready", 5*time.Second, &ready); err != nil || ready.N != 7 {
		t.Fatal(ready, err)
	}
	if cpu, err := p.CPU(); err != nil || cpu <= 0 {
		t.Errorf("CPU time %v, %v", cpu, err)
	}
	if err := p.Next(t.Context(), KindDone, 20*time.Millisecond, nil); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v from a child that is still at work", err)
	}
	if p.GC() != nil {
		t.Error("collections are counted before the child is ready")
	}
	p.Release()
	var bye string
	if err := p.Next(t.Context(), KindDone, 5*time.Second, &bye); err != nil || bye != "bye" {
		t.Error(bye, err)
	}
}

func TestCollectionsAndProfile(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD=collecting")
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	Profiled(cmd, file)
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := p.Next(t.Context(), KindDone, 5*time.Second, nil); err != nil {
		t.Fatal(err)
	}
	if gc := p.GC(); gc == nil || gc.Cycles != 3 || gc.PauseMax <= 0 || gc.PauseMax > 1 || gc.Heap == 0 {
		t.Errorf("%+v, want the three collections after the start", gc)
	}
	if fi, err := os.Stat(file); err != nil || fi.Size() == 0 {
		t.Error("no profile:", err)
	}
}

func TestFailuresReachTheParent(t *testing.T) {
	for what, want := range map[string]string{"failing": "no such interface", "dying": "last words"} {
		err := start(t, what).Next(t.Context(), "ready", 5*time.Second, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
	}
}

func TestStopKillsWhoDoesNotListen(t *testing.T) {
	p, err := Start(exec.Command("sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.Stop()
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestParseStat(t *testing.T) {
	busy, err := parseStat("cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 10 50 1000 5 1 2 7 3 0\ncpu1 0 0 0 5 0 0 0 0 0 0\nintr 5\n")
	if err != nil || len(busy) != 2 || busy[0] != 163*tick || busy[1] != 0 {
		t.Errorf("%v, %v", busy, err)
	}
	if _, err := parseStat("nothing\n"); err == nil {
		t.Error("no error for a file without processors")
	}
	if now, err := Busy(); err != nil || now[0] <= 0 {
		t.Errorf("this machine: %v, %v", now, err)
	}
}
