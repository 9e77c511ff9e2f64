package iperf3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// ClientConfig says what a client does.
type ClientConfig struct {
	Stack    *stack.Stack
	TCP      tcp.Config // what the stack was made with
	Server   netip.AddrPort
	Params   Params
	Output   Output
	Connect  time.Duration // how long connecting may take, at most; default 10 s
	Timeouts Timeouts
}

// Defaults fills in what a client asks for if it is not told otherwise.
func (p *Params) Defaults() {
	p.TCP, p.ClientVersion = true, protocolVersion
	if p.Parallel == 0 {
		p.Parallel = 1
	}
	if p.Len == 0 {
		p.Len = DefaultBlock
	}
	if p.Time == 0 && p.Num == 0 && p.Blocks == 0 {
		p.Time = DefaultTime
	}
	if a, err := tcp.ParseCongestion(p.Congestion); err == nil && a == tcp.NewReno {
		p.Congestion = "reno" // as Linux calls it: the server may run on its kernel
	}
	if p.PacingTimer == 0 {
		p.PacingTimer = 1000
	}
}

// Run does one test as the client, reports it to cfg.Output, and returns its document, also of a test that failed. A context that is
// cancelled ends the test early: what was done until then is exchanged and reported.
func Run(ctx context.Context, cfg ClientConfig) (*Document, error) {
	cfg.Timeouts.setDefaults()
	cfg.Params.Defaults()
	if cfg.Connect == 0 {
		cfg.Connect = 10 * time.Second
	}
	c := &client{cfg: &cfg, cookie: NewCookie()}
	c.report = newReport(cfg.Output, &cfg.Params, true)
	c.timeouts = cfg.Timeouts
	err := c.run(ctx)
	c.report.write(err)
	if err != nil {
		err = fmt.Errorf("iperf3: error - %w", err)
	}
	return &c.report.doc, err
}

// client is a test at the client.
type client struct {
	session
	cfg    *ClientConfig
	cookie Cookie
	peer   *Results
}

func (c *client) run(ctx context.Context) (err error) {
	if r := c.cfg.Params.check(); r != nil {
		return r
	}
	text, p := &c.report.text, &c.cfg.Params
	host := c.cfg.Server.Addr().String()
	start := &c.report.doc.Start
	start.ConnectingTo = &HostPort{host, int(c.cfg.Server.Port())}
	text.line("Connecting to host %s, port %d", host, c.cfg.Server.Port())
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("unable to connect to server: %w", err)
	}
	c.ctl = &control{conn: conn}
	defer func() { c.close(err) }()
	start.Cookie = c.cookie.String()
	if err := c.ctl.write(c.timeouts.Reply, c.cookie[:]); err != nil {
		return fmt.Errorf("unable to send cookie to server: %w", err)
	}
	if p.Reverse {
		text.line("Reverse mode, remote host %s is sending", host)
	}
	return c.follow(ctx)
}

func (c *client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Connect)
	defer cancel()
	return c.cfg.Stack.DialContext(ctx, "tcp", c.cfg.Server.String())
}

// follow does what the server asks for, in the one order that there is.
func (c *client) follow(ctx context.Context) error {
	for _, step := range []struct {
		state State
		do    func(context.Context) error
	}{
		{ParamExchange, c.sendParams},
		{CreateStreams, c.createStreams},
		{TestStart, func(context.Context) error { return nil }},
		{TestRunning, c.measure},
		{ExchangeResults, c.exchange},
		{DisplayResults, c.display},
	} {
		s, err := c.ctl.state(ctx, c.timeouts.Reply)
		if err == nil {
			err = c.answer(event{state: s}, step.state)
		}
		if err == nil {
			err = step.do(ctx)
		}
		if err != nil {
			return err
		}
		if step.state == TestRunning {
			ctx = context.WithoutCancel(ctx) // the rest is short, and bounded
		}
	}
	return nil
}

// answer checks that the server says what it should.
func (c *client) answer(e event, want State) error {
	switch {
	case e.err != nil:
		return closedEarly(e.err)
	case e.state == want:
		return nil
	case e.state == AccessDenied:
		return ErrBusy
	case e.state == ServerTerminate:
		return ErrServerTerm
	case e.state == ServerError:
		var remote error
		err := c.ctl.within(c.timeouts.Reply, func() error { remote = readRemoteError(c.ctl.conn); return nil })
		return errors.Join(err, remote)
	}
	return fmt.Errorf("%w: %v, and not %v", ErrMessage, e.state, want)
}

func (c *client) sendParams(context.Context) error {
	return c.ctl.sendMessage(c.timeouts.Reply, &c.cfg.Params)
}

// createStreams connects the streams one after the other, so that the server numbers them the same.
func (c *client) createStreams(ctx context.Context) error {
	c.test = newTest(c.cfg.Stack, c.cfg.Params, true)
	d := stack.Dialer{Stack: c.cfg.Stack}
	if p := &c.cfg.Params; p.MSS > 0 || p.Window > 0 {
		own := c.cfg.TCP
		own.MSS, own.RecvBuffer, own.SendBuffer = uint16(p.MSS), uint32(p.Window), uint32(p.Window)
		d.TCP = &own
	}
	timeout := time.NewTimer(c.cfg.Connect)
	defer timeout.Stop()
	for ready := 0; ready < c.test.want; {
		s := &stream{cookie: c.cookie[:]}
		c.test.join(s)
		if err := d.Connect(c.cfg.Server, s); err != nil {
			return fmt.Errorf("unable to connect stream: %w", err)
		}
		for before := ready; ready == before; {
			select {
			case <-c.test.opens:
			case e := <-c.ctl.wait():
				if now, _ := c.test.opening(); now == c.test.want && e.state == TestStart {
					c.ctl.again(e) // the server knew before this goroutine that all are open
					return nil
				}
				c.ctl.took()
				return c.answer(e, 0)
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-timeout.C:
				return fmt.Errorf("unable to connect stream: %w", ErrTimeout)
			}
			var err error
			if ready, err = c.test.opening(); err != nil {
				return fmt.Errorf("unable to connect stream: %w", err)
			}
		}
	}
	return nil
}

// measure runs the test and ends it.
func (c *client) measure(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	e, err := c.session.run(ctx)
	failed := c.test.finish()
	for _, last := range []func() error{
		func() error { return c.test.stop(c.test.limited) },
		func() error { return c.interval(false) },
		c.settle,
		func() error { return c.test.stop(false) },
	} {
		if lastErr := last(); err == nil {
			err = lastErr
		}
	}
	c.meter.finish(c.meter.from)
	if err == nil && e.state != 0 {
		err = c.answer(e, 0)
	}
	if err == nil {
		err = failed
	}
	if err == nil {
		err = c.ctl.send(c.timeouts.Reply, TestEnd)
	}
	if err != nil {
		if sum, sumErr := c.meter.summary(nil, c.congestion()); sumErr == nil {
			c.report.end(sum)
		}
		return closedEarly(err)
	}
	return nil
}

func (c *client) exchange(context.Context) error {
	if err := c.ctl.sendMessage(c.timeouts.Reply, c.meter.results(c.congestion())); err != nil {
		return fmt.Errorf("unable to send results: %w", err)
	}
	c.peer = new(Results)
	if err := c.ctl.readMessage(c.timeouts.Reply, maxResults, c.peer); err != nil {
		return fmt.Errorf("unable to receive results: %w", err)
	}
	return nil
}

func (c *client) display(context.Context) error {
	sum, err := c.meter.summary(c.peer, c.congestion())
	if err != nil {
		return err
	}
	r := c.report
	r.end(sum)
	if c.cfg.Params.GetServerOutput {
		r.doc.ServerText, r.doc.ServerOutput = c.peer.ServerText, c.peer.ServerOutput
		switch {
		case r.doc.ServerText != "":
			r.text.line("\nServer output:\n%s", printable(r.doc.ServerText))
		case len(r.doc.ServerOutput) > 0:
			r.text.line("\nServer JSON output:\n%s\n", printable(string(r.doc.ServerOutput)))
		}
	}
	r.text.line("")
	r.text.line("iperf Done.")
	return c.ctl.send(c.timeouts.Reply, Done)
}

// congestion is the name of the congestion control in use.
func (c *client) congestion() string {
	return congestionName(c.cfg.Params.Congestion, c.cfg.TCP.Congestion)
}

// congestionName is the first of the names that is given, as Linux calls it.
func congestionName(names ...string) string {
	for _, n := range names {
		if a, err := tcp.ParseCongestion(n); err == nil && n != "" {
			if a == tcp.NewReno {
				return "reno"
			}
			return a.String()
		}
	}
	return tcp.Cubic.String()
}
