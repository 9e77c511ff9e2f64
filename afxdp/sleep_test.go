package afxdp

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newSleeper makes a sleeper on a pipe; writing to the returned descriptor makes the "socket" readable.
func newSleeper(t *testing.T) (*sleeper, int) {
	t.Helper()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	s := &sleeper{}
	if err := s.openEvent(place{}, pipe[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.closeEvent()
		unix.Close(pipe[0])
		unix.Close(pipe[1])
	})
	return s, pipe[1]
}

func TestSleepEnds(t *testing.T) {
	s, w := newSleeper(t)
	start := time.Now()
	if packet, woken, err := s.sleep(5 * time.Millisecond); packet || woken || err != nil || time.Since(start) < 5*time.Millisecond {
		t.Errorf("by time: %v %v %v after %v", packet, woken, err, time.Since(start))
	}
	s.Wake()
	s.Wake()
	if packet, woken, err := s.sleep(time.Minute); packet || !woken || err != nil {
		t.Errorf("by a wake-up before: %v %v %v", packet, woken, err)
	}
	if _, woken, _ := s.sleep(time.Millisecond); woken {
		t.Error("two wake-ups ended two sleeps")
	}
	if _, err := unix.Write(w, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if packet, woken, err := s.sleep(time.Minute); !packet || woken || err != nil {
		t.Errorf("by a packet: %v %v %v", packet, woken, err)
	}
}

// TestSleepEndsByWatched has a sleep end, as if woken, when what is watched besides is readable, and not when it is watched no more.
func TestSleepEndsByWatched(t *testing.T) {
	s, _ := newSleeper(t)
	other, w := newSleeper(t)
	s.Watch(int(other.fds[1].Fd))
	if _, err := unix.Write(w, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if packet, woken, err := s.sleep(time.Minute); packet || !woken || err != nil {
		t.Errorf("watched: %v %v %v", packet, woken, err)
	}
	s.Watch(-1)
	if packet, woken, err := s.sleep(time.Millisecond); packet || woken || err != nil {
		t.Errorf("no longer: %v %v %v", packet, woken, err)
	}
}

// TestNoWakeLost has a value that is set before each Wake: a sleep that ends by time although the value is set has lost it.
func TestNoWakeLost(t *testing.T) {
	s, _ := newSleeper(t)
	const rounds = 20000
	turn := make(chan struct{}, 1)
	var done sync.WaitGroup
	done.Go(func() {
		for range rounds {
			<-turn
			s.Wake()
		}
	})
	for i := range rounds {
		turn <- struct{}{}
		for {
			early, woken, err := s.sleep(5 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if woken {
				break
			}
			if !early { // early: a signal of the Go runtime ended the sleep
				t.Fatalf("round %d: not woken", i)
			}
		}
	}
	done.Wait()
}

func TestWakeAfterClose(t *testing.T) {
	s, _ := newSleeper(t)
	s.state.Store(asleep)
	if err := s.closeEvent(); err != nil {
		t.Fatal(err)
	}
	s.Wake()
	if err := s.closeEvent(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
