package pkt

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// never is later than every time of a script.
const never = time.Duration(math.MaxInt64)

// anyLimit is how long an expected segment with * for its time may take.
const anyLimit = 24 * time.Hour

// runner plays one script.
type runner struct {
	script  *Script
	set     *settings
	host    *host
	sockets map[int64]*socket
	blocked *blocked      // the call that has not returned
	last    time.Duration // when the event before happened, for relative times
	wire    wire
	trace   []traced
}

// traced is one thing that happened: a segment, or else a text.
type traced struct {
	at      time.Duration
	text    string
	segment []byte // as on the wire
	ecn     uint8
	out     bool
}

// RunFile reads and plays the script in a file.
func RunFile(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sc, err := Parse(filepath.Base(path), string(src))
	if err != nil {
		return err
	}
	return sc.Run()
}

// Run plays the script against a TCP core of its own. The error is an *Error.
func (sc *Script) Run() error {
	set, err := newSettings(sc)
	if err != nil {
		return err
	}
	active := slices.ContainsFunc(sc.events, func(e event) bool { return e.call != nil && e.call.connects() })
	h, err := newHost(set, active)
	if err != nil {
		return &Error{File: sc.Name, Line: 1, Text: err.Error()}
	}
	r := &runner{script: sc, set: set, host: h, sockets: map[int64]*socket{}}
	r.wire.irs = tcp.Seq(set.irs)
	h.onSent = func(s *sent) { r.trace = append(r.trace, traced{at: s.at, segment: s.bytes, ecn: s.ecn, out: true}) }
	h.Opening = func(tcp.Flow) { r.wire.known = false }
	line := 1
	for i := range sc.events {
		line = sc.events[i].line
		if err = r.event(&sc.events[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = r.finish()
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{File: sc.Name, Line: line, Text: err.Error()}
		}
		e.Trace = r.dump()
		return e
	}
	return nil
}

// finish checks what holds after the last event: no call still blocks, everything that was sent was expected, no frame is lost.
func (r *runner) finish() error {
	if b := r.blocked; b != nil {
		if err := r.advance(b.until + r.set.tolerance); err != nil {
			return err
		}
		if r.blocked != nil {
			return r.errorAt(b.line, "%s has not returned at %v", b.call.text, seconds(b.until))
		}
	}
	if q := r.host.sent; len(q) != 0 {
		return fmt.Errorf("the script is over, but what was sent at %v was not expected: %v",
			seconds(q[0].at), r.wire.outgoing(q[0].bytes, q[0].ecn))
	}
	return r.host.Close()
}

func (r *runner) errorAt(line int, format string, args ...any) error {
	return &Error{File: r.script.Name, Line: line, Text: fmt.Sprintf(format, args...)}
}

// event waits until an event is due and does it, or expects it.
func (r *runner) event(e *event) error {
	from, to := e.when.from, e.when.to
	base := time.Duration(0)
	if e.when.relative {
		base = r.last
	}
	from, to = base+from, base+to
	if e.out != nil {
		return r.expect(e, from, to)
	}
	if !e.when.relative && from < r.last {
		return fmt.Errorf("the event's time %v is before that of the event before, %v", seconds(from), seconds(r.last))
	}
	if err := r.advance(from); err != nil {
		return err
	}
	r.last = from
	switch {
	case e.in != nil:
		b := r.wire.incoming(e.in, r.host)
		r.trace = append(r.trace, traced{at: r.host.now, segment: b, ecn: uint8(e.in.ecn)})
		if err := r.host.input(b, uint8(e.in.ecn)); err != nil {
			return err
		}
	case e.icmp != nil:
		r.trace = append(r.trace, traced{at: r.host.now, text: "< " + e.icmp.text})
		r.host.icmp(e.icmp, r.wire.iss.Add(e.icmp.quoted))
	case e.check != nil:
		return r.check(e)
	case e.call != nil:
		return r.call(e.call, e.line, base+e.call.end)
	}
	return r.retry()
}

// advance lets time pass until to, with the timers that are due meanwhile.
func (r *runner) advance(to time.Duration) error {
	for r.nextTimer() <= to {
		if err := r.step(); err != nil {
			return err
		}
	}
	r.host.now = max(r.host.now, to)
	return nil
}

// nextTimer returns when the next timer of the stack or of the blocked call is due.
func (r *runner) nextTimer() time.Duration {
	d := r.host.deadline()
	if r.blocked != nil {
		d = min(d, r.blocked.wake)
	}
	return d
}

// step goes to the next timer and runs it.
func (r *runner) step() error {
	before := r.nextTimer()
	r.host.now = max(r.host.now, before)
	r.host.expire()
	if err := r.retry(); err != nil {
		return err
	}
	if r.nextTimer() <= before {
		return fmt.Errorf("a timer that was due at %v is still due after it was run", seconds(before))
	}
	return nil
}

// expect waits for the next segment of the stack and compares it.
func (r *runner) expect(e *event, from, to time.Duration) error {
	latest := to + r.set.tolerance
	if e.when.any {
		latest = r.host.now + anyLimit
	}
	for len(r.host.sent) == 0 && r.nextTimer() <= latest {
		if err := r.step(); err != nil {
			return err
		}
	}
	if len(r.host.sent) == 0 {
		r.host.now = max(r.host.now, latest)
		return fmt.Errorf("nothing was sent until %v; expected: > %v", seconds(r.host.now), e.out)
	}
	got := r.host.sent[0]
	r.host.sent = r.host.sent[1:]
	if err := r.wire.compare(e.out, &got, r.host, r.set); err != nil {
		return err
	}
	if !e.when.any && (got.at < from-r.set.tolerance || got.at > latest) {
		want := seconds(from).String()
		if to != from {
			want += "~" + seconds(to).String()
		}
		return fmt.Errorf("the segment was sent at %v, expected at %s: %v", seconds(got.at), want, e.out)
	}
	r.last = got.at
	if e.when.exact {
		r.last = from
	}
	return nil
}

// check evaluates the assertions of a %{ }% block about the connection that was last opened.
func (r *runner) check(e *event) error {
	c := r.lastConn()
	if c == nil {
		return fmt.Errorf("there is no connection to ask")
	}
	info := c.TCPInfo(r.host.clock())
	env := func(name string) (int64, bool) {
		if v, ok := infoField(info, name); ok {
			return v, true
		}
		v, ok := constants[name]
		return v, ok
	}
	for i := range e.check {
		if err := e.check[i].check(env); err != nil {
			return r.errorAt(e.check[i].line, "%v\n%+v", err, c.Info())
		}
	}
	return nil
}

// dump returns everything that happened, in the words of scripts.
func (r *runner) dump() string {
	var b strings.Builder
	for _, t := range r.trace {
		text := t.text
		switch {
		case t.segment != nil && t.out:
			text = "> " + r.wire.outgoing(t.segment, t.ecn).String()
		case t.segment != nil:
			text = "< " + r.wire.injected(t.segment, t.ecn).String()
		}
		fmt.Fprintf(&b, "  %-9v %s\n", seconds(t.at), text)
	}
	return b.String()
}

// seconds is a time of the script as scripts have it.
type seconds time.Duration

func (s seconds) String() string { return fmt.Sprintf("%.6f", time.Duration(s).Seconds()) }
