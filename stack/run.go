package stack

import (
	"runtime"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// maxSleep bounds a sleep of a shard, so that a lost wake-up costs time and not the connection.
const maxSleep = time.Second

// loop drives a shard until the stack is closed. It spins for a bounded time after there was something to do, because the next
// packet often follows at once and a sleep costs two context switches, then sleeps until a packet, a command or a timer.
//
// Only a shard that has a CPU of its own is locked to its thread. Between goroutines on one thread a switch is a matter of a fraction of a
// microsecond, and what a turn has woken runs right after it, all before the shard takes its next batch: their answers then leave in one.
// With a locked thread each such switch is one of threads.
func (s *Shard) loop() {
	defer close(s.done)
	if cpu := s.cfg.cpu(s.id); cpu >= 0 {
		runtime.LockOSThread()
		s.affinityErr = setAffinity(cpu)
	}
	idleSince := clock.Now()
	for !s.stopping {
		now := clock.Now()
		worked := s.Step(now)
		if s.woke {
			s.woke = false
			runtime.Gosched()
		}
		if worked {
			idleSince = now
			continue
		}
		if now.Sub(idleSince) < s.cfg.SpinTime {
			continue
		}
		s.sleep(now)
		idleSince = clock.Now()
	}
	s.shutdown(clock.Now())
}

// sleep waits for the device, a command or the next timer.
func (s *Shard) sleep(now clock.Time) {
	wait := maxSleep
	if d := s.Deadline(); d != clock.Never {
		wait = min(wait, max(d.Sub(now), 0))
	}
	if wait == 0 {
		return
	}
	// Who leaves something for the shard after this store sees it and wakes the device; what was left before is seen here.
	s.sleeping.Store(true)
	if s.mailbox.Empty() && !s.passed.Load() {
		s.stats.Sleeps++
		if err := s.dev.Wait(wait); err != nil {
			s.stats.Rx.WaitErrors++
			time.Sleep(time.Millisecond)
		}
	}
	s.sleeping.Store(false)
}

// wake ends the sleep of the shard, so that it sees what the caller has just left for it. Any goroutine may call it.
func (s *Shard) wake() {
	if s.sleeping.Load() {
		s.dev.Wake()
	}
}
