package iperf3

import (
	"context"
	"errors"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Timeouts bound how long a peer may take. Zero fields mean the defaults.
type Timeouts struct {
	Reply time.Duration // for the next step of the protocol; default 10 s
	Idle  time.Duration // without a byte of data while a test runs that ends after bytes; default 120 s, as iperf3's --rcv-timeout
	Over  time.Duration // by how much a server lets a test outlast its time; default 30 s
	Quiet time.Duration // how long what is still missing at the end may not come; default 200 ms
}

func (t *Timeouts) setDefaults() {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&t.Reply, 10 * time.Second}, {&t.Idle, 120 * time.Second}, {&t.Over, 30 * time.Second}, {&t.Quiet, 200 * time.Millisecond}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
}

// session is what client and server have of a test in common.
type session struct {
	timeouts Timeouts
	ctl      *control
	test     *test
	meter    *meter
	report   *report
}

// begin starts a test whose streams are all there.
func (x *session) begin() error {
	samples, _, err := x.test.samples()
	if err != nil {
		return err
	}
	x.report.begin(x.test, samples)
	if err := x.test.begin(); err != nil {
		return err
	}
	x.meter = newMeter(x.test)
	return nil
}

// errNotYet is no reason to end.
var errNotYet = errors.New("go on")

// run reports intervals until the peer says something, a stream fails, the context ends, or at a client the time or the bytes of the
// test are over. The event has state 0 in the last two cases.
func (x *session) run(ctx context.Context) (event, error) {
	p := &x.test.params
	omit := time.Duration(p.Omit) * time.Second
	if omit > 0 {
		e, err := x.phase(ctx, omit, true)
		if !errors.Is(err, errNotYet) {
			return e, err
		}
		if err := x.test.restart(); err != nil {
			return event{}, err
		}
		x.meter.reset()
	}
	var length time.Duration
	if x.test.client && !x.test.limited {
		length = time.Duration(p.Time) * time.Second
	}
	e, err := x.phase(ctx, length, false)
	if errors.Is(err, errNotYet) {
		err = nil
	}
	return e, err
}

// phase reports intervals for a time; 0: without end. It returns errNotYet if the time passed.
func (x *session) phase(ctx context.Context, length time.Duration, omitted bool) (event, error) {
	w := x.newWatch(length)
	tick := x.report.out.interval()
	next := w.begin.Add(tick)
	reached := x.test.limit.reached
	if !x.test.client {
		reached = nil // a server goes on until the client has seen it
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at := w.until
		if tick > 0 {
			at = min(at, next)
		}
		timer.Reset(max(at.Sub(clock.Now()), 0))
		select {
		case e := <-x.ctl.wait():
			x.ctl.took()
			return e, e.err
		case <-reached:
			return event{}, errNotYet
		case <-x.test.failed:
			return x.streamFailed()
		case <-ctx.Done():
			return event{}, nil
		case <-timer.C:
		}
		now := clock.Now()
		if length > 0 && !now.Before(w.end) {
			return event{}, errNotYet
		}
		if tick > 0 && !now.Before(next) {
			if err := x.interval(omitted); err != nil {
				return event{}, err
			}
			for !now.Before(next) {
				next = next.Add(tick)
			}
		}
		if err := w.look(now); err != nil {
			return event{}, err
		}
	}
}

// settle waits, when the last byte of a test was written, until the peer has it, so that it is not told of the end before. What does not
// get on for a while is not waited for.
func (x *session) settle() error {
	if !x.test.limited {
		return nil
	}
	patience, before := clock.Now().Add(x.timeouts.Quiet), -1
	for {
		samples, at, err := x.test.samples()
		if err != nil {
			return err
		}
		left := 0
		for _, s := range samples {
			left += s.unacked
		}
		if left == 0 || at.After(patience) {
			return nil
		}
		if left != before {
			before, patience = left, at.Add(x.timeouts.Quiet)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// streamFailed finds out why a stream has ended: mostly because its owner has gone, which the control connection tells.
func (x *session) streamFailed() (event, error) {
	select {
	case e := <-x.ctl.wait():
		x.ctl.took()
		return e, e.err
	case <-time.After(500 * time.Millisecond):
		return event{}, nil // measure asks the test
	}
}

// interval reports the present interval.
func (x *session) interval(omitted bool) error {
	iv, ok, err := x.meter.interval(omitted, x.report.out.interval())
	if err == nil && ok {
		x.report.interval(iv)
	}
	return err
}

// watch ends a phase, and a test that does not go on.
type watch struct {
	session           *session
	begin, end, until clock.Time
	bytes             uint64
}

func (x *session) newWatch(length time.Duration) *watch {
	now := x.test.start
	w := &watch{session: x, begin: now, end: clock.Never, until: now.Add(x.timeouts.Idle)}
	switch {
	case length > 0:
		w.end, w.until = now.Add(length), now.Add(length)
	case !x.test.limited:
		w.until = now.Add(time.Duration(x.test.params.Time)*time.Second + x.timeouts.Over)
	}
	return w
}

// look says if the test has come to a standstill.
func (w *watch) look(now clock.Time) error {
	if now.Before(w.until) || !w.end.After(now) {
		return nil
	}
	if !w.session.test.limited {
		return ErrTimeout
	}
	samples, _, err := w.session.test.samples()
	if err != nil {
		return err
	}
	total := uint64(0)
	for _, s := range samples {
		total += s.bytes
	}
	if total == w.bytes {
		return ErrTimeout
	}
	w.bytes, w.until = total, now.Add(w.session.timeouts.Idle)
	return nil
}

// close ends everything of the session. The streams of a test that failed are reset.
func (x *session) close(err error) {
	x.ctl.conn.Close()
	if x.test != nil {
		x.test.close(err != nil)
	}
}
