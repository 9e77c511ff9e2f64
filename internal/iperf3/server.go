package iperf3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// ServerConfig says what a server does.
type ServerConfig struct {
	Stack    *stack.Stack
	TCP      tcp.Config // what the stack was made with
	Port     uint16     // default 5201
	OneOff   bool       // end after one test
	Limit    int64      // bits/s that a client may ask for in sum; default 0: no bound
	Output   Output
	Warn     func(error) // is told of tests that failed; nil: nobody is
	Ready    func()      // is called when the server listens; may be nil
	Finished func(*Document)
	Timeouts Timeouts
}

// Server takes tests one after the other.
type Server struct {
	cfg     ServerConfig
	arrived chan *arrival // control connections that nobody has refused

	mu       sync.Mutex
	busy     bool
	test     *test // that waits for streams; nil: none does
	cookie   Cookie
	nameless map[*arrival]clock.Time // connections without a whole cookie, and since when
}

// maxNameless bounds the connections that have not sent a cookie.
const maxNameless = 256

// Serve serves tests until the context ends, which is no error, or after one test with OneOff. It returns the error of that test.
func Serve(ctx context.Context, cfg ServerConfig) error {
	cfg.Timeouts.setDefaults()
	if cfg.Port == 0 {
		cfg.Port = DefaultPort
	}
	s := &Server{cfg: cfg, arrived: make(chan *arrival, 1), nameless: make(map[*arrival]clock.Time)}
	listen := stack.ListenConfig{Stack: cfg.Stack, TCP: &cfg.TCP}
	l, err := listen.Handle(net.JoinHostPort("", strconv.Itoa(int(cfg.Port))), arrivals{s})
	if err != nil {
		return fmt.Errorf("iperf3: error - unable to start listener for connections: %w", err)
	}
	defer l.Close()
	defer s.dropNameless(clock.Never)
	defer s.dropArrived()
	if cfg.Ready != nil {
		cfg.Ready()
	}
	for n := 1; ; n++ {
		a, err := s.next(ctx, n)
		if err != nil || a == nil {
			return err
		}
		err = s.serve(ctx, a)
		if ctx.Err() != nil {
			return nil
		}
		if cfg.OneOff {
			return err
		}
		if err != nil && cfg.Warn != nil {
			cfg.Warn(err)
		}
	}
}

// next waits for the next client; nil: the context has ended.
func (s *Server) next(ctx context.Context, n int) (*arrival, error) {
	if !s.cfg.Output.JSON {
		fmt.Fprintf(s.cfg.Output.W, "%s\nServer listening on %d (test #%d)\n%s\n", rule, s.cfg.Port, n, rule)
	}
	sweep := time.NewTicker(time.Second)
	defer sweep.Stop()
	for {
		select {
		case a := <-s.arrived:
			return a, nil
		case <-ctx.Done():
			return nil, nil
		case <-s.cfg.Stack.Gone():
			return nil, s.cfg.Stack.Err()
		case <-sweep.C:
			s.dropNameless(clock.Now().Add(-s.cfg.Timeouts.Reply))
		}
	}
}

// serve does one test.
func (s *Server) serve(ctx context.Context, a *arrival) error {
	x := &served{server: s}
	x.timeouts = s.cfg.Timeouts
	x.ctl = &control{conn: a.control}
	x.report = newReport(s.cfg.Output, &x.params, false)
	var err error
	defer func() { x.close(err) }()
	err = x.serve(ctx, a)
	s.mu.Lock()
	s.busy = s.cfg.OneOff // the next client may come; it waits until all of this is written
	s.mu.Unlock()
	switch r, lost := (*refusal)(nil), (*streamError)(nil); { // the client is told, if it is still there
	case ctx.Err() != nil:
		err = ErrServerTerm
		_ = x.ctl.send(time.Second, ServerTerminate)
	case errors.As(err, &r):
		_ = x.ctl.write(time.Second, appendRefusal(nil, r.code))
	case errors.As(err, &lost):
		_ = x.ctl.write(time.Second, appendRefusal(nil, lost.code()))
	}
	x.report.write(err)
	if s.cfg.Finished != nil {
		s.cfg.Finished(&x.report.doc)
	}
	if err != nil {
		err = fmt.Errorf("iperf3: error - %w", err)
	}
	return err
}

// expect makes connections with a cookie streams of a test.
func (s *Server) expect(t *test, c Cookie) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.test, s.cookie = t, c
}

// dropNameless resets connections that have been without a cookie since before a moment.
func (s *Server) dropNameless(since clock.Time) {
	s.mu.Lock()
	var old []*arrival
	for a, at := range s.nameless {
		if at.Before(since) {
			old = append(old, a)
		}
	}
	s.mu.Unlock()
	for _, a := range old {
		_ = a.shard.Do(func(*stack.Shard) { // fails if the stack is over, and with it the connection
			if a.conn != nil && !a.named {
				a.conn.Abort()
			}
		})
	}
}

// dropArrived ends a control connection that nobody has taken up.
func (s *Server) dropArrived() {
	s.mu.Lock()
	s.busy = true
	s.mu.Unlock()
	select {
	case a := <-s.arrived:
		a.control.Close()
	default:
	}
}

// served is a test at the server.
type served struct {
	session
	server *Server
	params Params
}

func (x *served) serve(ctx context.Context, a *arrival) error {
	reply := x.timeouts.Reply
	host, port := a.remote.Addr().String(), int(a.remote.Port())
	if err := x.ctl.send(reply, ParamExchange); err != nil {
		return err
	}
	switch err := x.ctl.readMessage(reply, maxParams, &x.params); {
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrTooLong):
		return &refusal{codeRecvParams, err.Error()}
	case err != nil:
		return x.ended(event{err: err})
	}
	if r := x.check(); r != nil {
		return r
	}
	x.report = newReport(x.server.cfg.Output, &x.params, false)
	start := &x.report.doc.Start
	start.AcceptedConnection, start.Cookie = &HostPort{host, port}, a.cookie.String()
	x.report.text.line("Accepted connection from %s, port %d", host, port)
	if err := x.acceptStreams(ctx, a.cookie); err != nil {
		return err
	}
	if err := x.ctl.send(reply, TestStart); err != nil {
		return err
	}
	if err := x.begin(); err != nil {
		return err
	}
	if err := x.ctl.send(reply, TestRunning); err != nil {
		return err
	}
	if err := x.measure(ctx); err != nil {
		return err
	}
	return x.exchange(ctx)
}

// check says why the test cannot be done.
func (x *served) check() *refusal {
	p := &x.params
	if r := p.check(); r != nil {
		return r
	}
	if limit := x.server.cfg.Limit; limit > 0 {
		up, down := p.roles()
		if rate := int64(p.Bandwidth); rate == 0 || rate > limit/int64(up+down) {
			return &refusal{codeTotalRate, fmt.Sprintf("the limit is %d bits/s", limit)}
		}
	}
	return nil
}

// acceptStreams waits for the client's streams.
func (x *served) acceptStreams(ctx context.Context, cookie Cookie) error {
	x.test = newTest(x.server.cfg.Stack, x.params, false)
	x.server.expect(x.test, cookie)
	defer x.server.expect(nil, Cookie{})
	if err := x.ctl.send(x.timeouts.Reply, CreateStreams); err != nil {
		return err
	}
	timeout := time.NewTimer(x.timeouts.Reply)
	defer timeout.Stop()
	for {
		ready, err := x.test.opening()
		if err != nil || ready == x.test.want {
			return err
		}
		select {
		case <-x.test.opens:
		case e := <-x.ctl.wait():
			x.ctl.took()
			return x.ended(e)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout.C:
			return &refusal{codeStreamAccept, fmt.Sprintf("%d of %d came", ready, x.test.want)}
		}
	}
}

// ended says what it means that the client ends a test before it is over.
func (x *served) ended(e event) error {
	switch {
	case e.err != nil && errors.Is(closedEarly(e.err), ErrControlClosed):
		return ErrClientGone
	case e.err != nil:
		return e.err
	case e.state == ClientTerminate:
		return ErrClientTerm
	}
	return fmt.Errorf("%w: %v", ErrMessage, e.state)
}

// measure runs the test until the client ends it.
func (x *served) measure(ctx context.Context) error {
	e, err := x.run(ctx)
	failed := x.test.finish()
	if err == nil && e.state == TestEnd {
		return x.test.stop(x.test.limited)
	}
	if last := x.interval(false); last == nil {
		x.meter.finish(x.meter.from)
		if sum, sumErr := x.meter.summary(nil, x.congestion()); sumErr == nil {
			x.report.end(sum)
		}
	}
	switch {
	case err != nil:
		return x.ended(event{err: err})
	case e.state != 0:
		return x.ended(e)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return failed
}

// exchange tells the client what was received, and is told what it has sent.
func (x *served) exchange(ctx context.Context) error {
	reply := x.timeouts.Reply
	if err := x.ctl.send(reply, ExchangeResults); err != nil {
		return err
	}
	var peer Results
	if err := x.ctl.readMessage(reply, maxResults, &peer); err != nil {
		return fmt.Errorf("unable to receive results: %w", err)
	}
	samples, at, err := x.drain(&peer)
	if err != nil {
		return err
	}
	if iv, ok := x.meter.add(samples, at, false, x.report.out.interval()); ok {
		x.report.interval(iv)
	}
	x.meter.finish(at)
	sum, err := x.meter.summary(&peer, x.congestion())
	if err != nil {
		return err
	}
	x.report.end(sum)
	mine := x.meter.results(x.congestion())
	if err := x.addOutput(mine); err != nil {
		return err
	}
	if err := x.ctl.sendMessage(reply, mine); err != nil {
		return fmt.Errorf("unable to send results: %w", err)
	}
	if err := x.ctl.send(reply, DisplayResults); err != nil {
		return err
	}
	s, err := x.ctl.state(ctx, reply)
	if err != nil || s != Done {
		return x.ended(event{state: s, err: err})
	}
	return nil
}

// drain takes the last look at the streams. Of a test that ends after so many bytes, what the client has sent is awaited as long as it
// keeps coming; the test has ended then when the last byte came.
func (x *served) drain(peer *Results) ([]sample, clock.Time, error) {
	patience, most := clock.Now().Add(x.timeouts.Quiet), clock.Now().Add(x.timeouts.Reply)
	before := uint64(0)
	for {
		samples, at, err := x.test.samples()
		if err != nil || !x.test.limited {
			return samples, at, err
		}
		missing, bytes, last := x.test.missing(samples, peer)
		if missing == 0 && last != 0 {
			at = max(last, x.meter.from)
		}
		if missing == 0 || at.After(patience) || at.After(most) {
			return samples, at, x.test.stop(false)
		}
		if bytes != before {
			before, patience = bytes, at.Add(x.timeouts.Quiet)
		}
		time.Sleep(time.Millisecond)
	}
}

func (x *served) congestion() string {
	return congestionName(x.params.Congestion, x.server.cfg.TCP.Congestion)
}

// addOutput adds what this server has printed to its results, if the client wants it.
func (x *served) addOutput(r *Results) (err error) {
	switch {
	case !bool(x.params.GetServerOutput):
	case x.report.out.JSON:
		r.ServerOutput, err = x.report.json()
	default:
		r.ServerText = x.report.kept.String()
	}
	return err
}
