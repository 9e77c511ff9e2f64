package stack

import (
	"runtime"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const (
	// maxSleep bounds a sleep of a shard, so that a lost wake-up costs time and not the connection.
	maxSleep = time.Second
	// stalledSleep is how long a shard sleeps whose connections wait for room in the TX ring or for memory: the device does not say when
	// there is some. downSleep is how long if the device says that it cannot send, while its link is down for example.
	stalledSleep = 50 * time.Microsecond
	downSleep    = 10 * time.Millisecond
	// timerSlack is by how much Linux may delay the end of a sleep, to join it with that of others (PR_SET_TIMERSLACK's default).
	timerSlack = 50 * time.Microsecond
)

// loop drives a shard until the stack is closed. When there is nothing to do it polls for a while, because the next packet often follows
// at once and a sleep costs two context switches, and then sleeps until a packet, a command or a timer.
//
// Only a shard that has a CPU of its own is locked to its thread. Between goroutines on one thread a switch is a matter of a fraction of a
// microsecond, and what a turn has woken runs right after it, all before the shard takes its next batch: their answers then leave in one.
// With a locked thread each such switch is one of threads.
func (s *Shard) loop() {
	defer close(s.done)
	if s.cpu >= 0 {
		runtime.LockOSThread()
		s.affinityErr = setAffinity(s.cpu)
	}
	spin := spinner{limit: s.cfg.SpinTime}
	var idle, slept bool
	var since clock.Time // when the shard became idle
	for !s.stopping {
		now := clock.Now()
		frames, commands := s.arrivals()
		worked := s.Step(now)
		if s.woke {
			s.woke = false
			runtime.Gosched()
		}
		if worked {
			switch {
			case slept:
				spin.slept(now.Sub(since))
				s.countWake(frames, commands)
			case idle:
				spin.found()
				s.stats.SpinHits++
			}
			idle, slept = false, false
			continue
		}
		if !idle {
			idle, since = true, now
		}
		if slept || now.Sub(since) >= spin.length() {
			slept = s.sleep(now) || slept
		}
	}
	s.shutdown(clock.Now())
}

// arrivals returns how many segments and commands have come so far.
func (s *Shard) arrivals() (frames, commands uint64) {
	return s.stats.Rx.Frames + s.stats.TakenOver, s.stats.Commands
}

// countWake says what a sleep has ended for, by what had arrived before the turn that followed it.
func (s *Shard) countWake(frames, commands uint64) {
	switch f, c := s.arrivals(); {
	case f != frames:
		s.stats.WokenByPacket++
	case c != commands:
		s.stats.WokenByCommand++
	default:
		s.stats.WokenByTimer++
	}
}

// sleep waits for the device, a command or the next timer. It reports false if there was no need to.
func (s *Shard) sleep(now clock.Time) bool {
	wait := s.wait(now)
	if wait == 0 {
		if s.runq.n == 0 {
			return false
		}
		s.stats.Stalls++
		if wait = stalledSleep; s.unable {
			wait = downSleep
		}
	}
	// Who leaves something for the shard after this store sees it and wakes the device; what was left before is seen here.
	s.sleeping.Store(true)
	slept := s.mailbox.Empty() && !s.passed.Load()
	if slept {
		s.stats.Sleeps++
		if err := s.dev.Wait(wait); err != nil {
			s.stats.Rx.WaitErrors++
			time.Sleep(time.Millisecond)
		}
	}
	s.sleeping.Store(false)
	return slept
}

// wait returns how long the shard may sleep. What has a schedule is to be on time, and a sleep ends late: the last of the time until an
// OnTurn is due the shard spends polling, unless its user has said that it is not to poll.
func (s *Shard) wait(now clock.Time) time.Duration {
	wait := maxSleep
	if d := s.Deadline(); d != clock.Never {
		wait = min(wait, max(d.Sub(now), 0))
	}
	if s.turn.at != clock.Never && s.cfg.SpinTime > 0 {
		wait = min(wait, max(s.turn.at.Sub(now)-s.cfg.SpinTime-timerSlack, 0))
	}
	return wait
}

// wake ends the sleep of the shard, so that it sees what the caller has just left for it. Any goroutine may call it.
func (s *Shard) wake() {
	if s.sleeping.Load() {
		s.bell.Wake()
	}
}
