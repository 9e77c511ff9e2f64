package iperf3

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/stack"
)

func (p pair) address() string { return fmt.Sprintf("%v:%d", serverAddr.Addr(), DefaultPort) }

// dial opens a connection to the server of a pair.
func (p pair) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := p.client.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// peer is a client that does as it is told.
type peer struct {
	t      *testing.T
	pair   pair
	cookie Cookie
	ctl    net.Conn
	data   []net.Conn
}

func (p pair) peer(t *testing.T) *peer {
	h := &peer{t: t, pair: p, cookie: NewCookie(), ctl: p.dial(t)}
	h.send(h.cookie[:])
	return h
}

func (h *peer) send(b []byte) {
	h.t.Helper()
	if _, err := h.ctl.Write(b); err != nil {
		h.t.Fatal(err)
	}
}

func (h *peer) sendMessage(v any) {
	h.t.Helper()
	b, err := appendMessage(nil, v)
	if err != nil {
		h.t.Fatal(err)
	}
	h.send(b)
}

func (h *peer) want(states ...State) {
	h.t.Helper()
	for _, s := range states {
		var b [1]byte
		if _, err := io.ReadFull(h.ctl, b[:]); err != nil || State(b[0]) != s {
			h.t.Fatalf("%v, %v, want %v", State(b[0]), err, s)
		}
	}
}

// wantError wants SERVER_ERROR with a code.
func (h *peer) wantError(code int32) {
	h.t.Helper()
	h.want(ServerError)
	var b [8]byte
	if _, err := io.ReadFull(h.ctl, b[:]); err != nil || int32(binary.BigEndian.Uint32(b[:])) != code {
		h.t.Errorf("the error's code is %d, %v, want %d", int32(binary.BigEndian.Uint32(b[:])), err, code)
	}
}

// stream opens a stream.
func (h *peer) stream() {
	h.t.Helper()
	c := h.pair.dial(h.t)
	if _, err := c.Write(h.cookie[:]); err != nil {
		h.t.Fatal(err)
	}
	h.data = append(h.data, c)
}

// start goes as far as a test that runs.
func (h *peer) start(p Params) {
	h.t.Helper()
	p.Defaults()
	h.want(ParamExchange)
	h.sendMessage(&p)
	h.want(CreateStreams)
	up, down := p.roles()
	for range up + down {
		h.stream()
	}
	h.want(TestStart, TestRunning)
}

// die resets every connection.
func (h *peer) die() {
	for _, c := range append(h.data, h.ctl) {
		c.(*stack.TCPConn).SetLinger(0)
		c.Close()
	}
}

// A client may do anything in any state: its test fails with an error that says so, and the next one is served.
func TestServerWithHostileClients(t *testing.T) {
	some := newConcurrent()
	defer some.all.Wait()
	results := func(r *Results) []byte {
		b, err := appendMessage(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		do   func(h *peer)
		want error // what the server reports; nil: nothing
		text string
	}{
		"dies after the cookie":   {do: func(h *peer) { h.want(ParamExchange); h.die() }, text: "reset"},
		"closes after the cookie": {do: func(h *peer) { h.want(ParamExchange); h.ctl.Close() }, want: ErrClientGone},
		"silent after the cookie": {do: func(h *peer) { h.want(ParamExchange) }, want: ErrTimeout},
		"half of the parameters":  {do: func(h *peer) { h.send([]byte{0, 0, 0, 9, '{'}); h.ctl.Close() }, want: ErrClientGone},
		"too long parameters":     {do: func(h *peer) { h.send([]byte{0x7f, 0, 0, 0}); h.want(ParamExchange); h.wantError(codeRecvParams) }, text: "longer than is accepted"},
		"parameters that are none": {do: func(h *peer) {
			h.send([]byte("\x00\x00\x00\x04null"))
			h.want(ParamExchange)
			h.wantError(codeUnimplemented)
		}, text: "only TCP"},
		"parameters of other kinds": {do: func(h *peer) {
			h.send([]byte("\x00\x00\x00\x0e{\"parallel\":[]}"))
			h.want(ParamExchange)
			h.wantError(codeRecvParams)
		}, text: "unable to receive parameters"},
		"UDP": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{UDP: true, Parallel: 1, Len: 1})
			h.wantError(codeUnimplemented)
		}, text: "only TCP"},
		"too many streams": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{TCP: true, Parallel: 1e6, Len: 1})
			h.wantError(codeNumStreams)
		}, text: "streams"},
		"no streams": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{TCP: true, Parallel: -1, Len: 1})
			h.wantError(codeNumStreams)
		}, text: "streams"},
		"a huge block": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{TCP: true, Parallel: 1, Len: 1 << 40})
			h.wantError(codeBlockSize)
		}, text: "block"},
		"unknown congestion": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{TCP: true, Parallel: 1, Len: 1, Congestion: "vegas"})
			h.wantError(codeSetCongestion)
		}, text: "TCP_CONGESTION"},
		"no stream comes": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{TCP: true, Parallel: 2, Len: 1})
			h.want(CreateStreams)
			h.stream()
			h.wantError(codeStreamAccept)
		}, text: "1 of 2 came"},
		"dies among its streams": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{TCP: true, Parallel: 2, Len: 1})
			h.want(CreateStreams)
			h.stream()
			h.die()
		}, text: "reset"},
		"ends among its streams": {do: func(h *peer) {
			h.want(ParamExchange)
			h.sendMessage(&Params{TCP: true, Parallel: 2, Len: 1})
			h.want(CreateStreams)
			h.send([]byte{byte(ClientTerminate)})
		}, want: ErrClientTerm},
		"dies in the test":   {do: func(h *peer) { h.start(Params{Bidirectional: true}); time.Sleep(20 * time.Millisecond); h.die() }, text: "reset"},
		"closes in the test": {do: func(h *peer) { h.start(Params{}); h.ctl.Close() }, want: ErrClientGone},
		"ends in the test":   {do: func(h *peer) { h.start(Params{Reverse: true}); h.send([]byte{byte(ClientTerminate)}) }, want: ErrClientTerm},
		"unknown state":      {do: func(h *peer) { h.start(Params{}); h.send([]byte{99}) }, want: ErrMessage},
		"a stream dies": {do: func(h *peer) {
			h.start(Params{Parallel: 2})
			h.data[1].(*stack.TCPConn).SetLinger(0)
			h.data[1].Close()
			h.wantError(codeStreamRead)
		}, text: "reset"},
		"a stream ends":  {do: func(h *peer) { h.start(Params{Parallel: 2}); h.data[1].Close(); h.wantError(codeStreamClose) }, want: ErrStreamClosed},
		"no data, bytes": {do: func(h *peer) { h.start(Params{Num: 1000}) }, want: ErrTimeout},
		"no end":         {do: func(h *peer) { p := Params{Time: 1}; h.start(p) }, want: ErrTimeout},
		"no results":     {do: func(h *peer) { h.start(Params{}); h.send([]byte{byte(TestEnd)}); h.want(ExchangeResults) }, want: ErrTimeout},
		"dies with results": {do: func(h *peer) {
			h.start(Params{})
			h.send([]byte{byte(TestEnd)})
			h.want(ExchangeResults)
			h.send([]byte{0, 0, 0, 9, '{'})
			h.ctl.Close()
		}, text: "closed"},
		"too long results": {do: func(h *peer) { h.start(Params{}); h.send([]byte{byte(TestEnd), 0xff, 0xff, 0xff, 0xff}) }, want: ErrTooLong},
		"results of other streams": {do: func(h *peer) {
			h.start(Params{})
			h.send(append([]byte{byte(TestEnd)}, results(&Results{Streams: []StreamResult{{ID: 7}}})...))
		}, want: ErrStreamID},
		"results that lie": {do: func(h *peer) {
			h.start(Params{Num: 5})
			h.send(append([]byte{byte(TestEnd)}, results(&Results{Streams: []StreamResult{{ID: 1, Bytes: 1 << 60}}})...))
			h.want(ExchangeResults)
			h.readResults()
			h.want(DisplayResults)
			h.send([]byte{byte(Done)})
		}},
		"results below nothing": {do: func(h *peer) {
			h.start(Params{})
			h.send(append([]byte{byte(TestEnd)}, results(&Results{CPUTotal: -1e300, Streams: []StreamResult{{ID: 1, Bytes: -5, Retransmits: -7, Start: 1e308, End: -1e308}}})...))
			h.want(ExchangeResults)
			h.readResults()
			h.want(DisplayResults)
			h.send([]byte{byte(Done)})
		}},
		"is not done": {do: func(h *peer) {
			h.start(Params{})
			h.send(append([]byte{byte(TestEnd)}, results(&Results{Streams: []StreamResult{{ID: 1}}})...))
			h.want(ExchangeResults)
			h.readResults()
			h.want(DisplayResults)
		}, want: ErrTimeout},
	} {
		some.run(t, name, func(t *testing.T) {
			p := newPair(t)
			s := serve(t, p.server, func(c *ServerConfig) { c.Timeouts = quick })
			h := p.peer(t)
			c.do(h)
			if c.want != nil || c.text != "" {
				err := receive(t, "error", s.warns)
				if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("the server says %v, want %v %q", err, c.want, c.text)
				}
			}
			receive(t, "document", s.docs)
			var out buffer
			doc, err := Run(context.Background(), p.clientConfig(&out, Params{Num: 1000}))
			if err != nil {
				t.Fatalf("the next test: %v", err)
			}
			checkEnds(t, doc, receive(t, "document", s.docs), false)
			h.die()
			waitUntil(t, "all connections are over", func() bool { return connections(t, p.server) == 0 })
		})
	}
}

func (h *peer) readResults() {
	h.t.Helper()
	var r Results
	if err := readMessage(h.ctl, maxResults, &r); err != nil {
		h.t.Fatal(err)
	}
}

func connections(t *testing.T, st *stack.Stack) (n int) {
	t.Helper()
	reports, err := st.Report()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		n += r.Connections
	}
	return n
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// Connections that send no cookie, or part of one, are bounded in number and time, and keep nobody from being served.
func TestConnectionsWithoutCookie(t *testing.T) {
	p := newPair(t)
	s := serve(t, p.server, func(c *ServerConfig) { c.Timeouts = quick })
	for i := range maxNameless + 10 {
		c, err := p.client.Dial("tcp", p.address())
		if err != nil && i < maxNameless {
			t.Fatal(err)
		}
		if err != nil {
			continue // reset already
		}
		defer c.Close()
		if i%2 == 0 {
			if _, err := c.Write([]byte("half a cookie")); err != nil && i < maxNameless {
				t.Fatal(err)
			}
		}
	}
	waitUntil(t, "they are gone", func() bool { return connections(t, p.server) == 0 })
	var out buffer
	if _, err := Run(context.Background(), p.clientConfig(&out, Params{Num: 1000})); err != nil {
		t.Error(err)
	}
	receive(t, "document", s.docs)
}

// While a test runs others are refused, and so are streams with another cookie, or too many.
func TestBusy(t *testing.T) {
	p := newPair(t)
	serve(t, p.server, nil)
	h := p.peer(t)
	h.start(Params{})
	refused := p.peer(t)
	refused.want(AccessDenied)
	late := &peer{t: t, pair: p, cookie: h.cookie, ctl: p.dial(t)}
	late.send(late.cookie[:])
	late.want(AccessDenied)
	var out buffer
	if _, err := Run(context.Background(), p.clientConfig(&out, Params{Num: 1000})); !errors.Is(err, ErrBusy) {
		t.Errorf("the client says %v, want %v", err, ErrBusy)
	}
}

// A server may do anything: the client ends with an error that says what.
func TestClientWithHostileServers(t *testing.T) {
	some := newConcurrent()
	defer some.all.Wait()
	toStreams := func(c net.Conn, l net.Listener, n int) []net.Conn {
		c.Write([]byte{byte(ParamExchange)})
		var p Params
		_ = readMessage(c, maxParams, &p)
		c.Write([]byte{byte(CreateStreams)})
		var streams []net.Conn
		for range n {
			if s, err := l.Accept(); err == nil {
				streams = append(streams, s)
			}
		}
		return streams
	}
	toEnd := func(c net.Conn, l net.Listener) {
		toStreams(c, l, 1)
		c.Write([]byte{byte(TestStart), byte(TestRunning)})
		readState(c)
		c.Write([]byte{byte(ExchangeResults)})
		var r Results
		_ = readMessage(c, maxResults, &r)
	}
	denied, failed := AccessDenied, ServerError
	for name, c := range map[string]struct {
		do     func(c net.Conn, l net.Listener)
		params Params
		want   error
		text   string
	}{
		"closes":          {do: func(net.Conn, net.Listener) {}, want: ErrControlClosed},
		"busy":            {do: func(c net.Conn, _ net.Listener) { c.Write([]byte{byte(denied)}) }, want: ErrBusy},
		"unknown state":   {do: func(c net.Conn, _ net.Listener) { c.Write([]byte{77}) }, want: ErrMessage},
		"wrong order":     {do: func(c net.Conn, _ net.Listener) { c.Write([]byte{byte(TestRunning)}) }, want: ErrMessage},
		"fails":           {do: func(c net.Conn, _ net.Listener) { c.Write([]byte{byte(failed), 0, 0, 0, 134, 0, 0, 0, 2}) }, text: "TCP_CONGESTION"},
		"half a failure":  {do: func(c net.Conn, _ net.Listener) { c.Write([]byte{byte(failed), 0}) }, want: ErrControlClosed},
		"unknown failure": {do: func(c net.Conn, _ net.Listener) { c.Write([]byte{byte(failed), 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff}) }, text: "error 16909060"},
		"silent":          {do: func(c net.Conn, _ net.Listener) { io.Copy(io.Discard, c) }, want: ErrTimeout},
		"terminates": {do: func(c net.Conn, l net.Listener) {
			toStreams(c, l, 1)
			c.Write([]byte{byte(TestStart), byte(TestRunning), byte(ServerTerminate)})
			io.Copy(io.Discard, c)
		}, want: ErrServerTerm},
		"no streams":        {do: func(c net.Conn, l net.Listener) { l.Close(); toStreams(c, l, 0); io.Copy(io.Discard, c) }, text: "unable to connect stream"},
		"dies with streams": {do: func(c net.Conn, l net.Listener) { toStreams(c, l, 1) }, want: ErrControlClosed},
		"dies in the test": {do: func(c net.Conn, l net.Listener) {
			toStreams(c, l, 1)
			c.Write([]byte{byte(TestStart), byte(TestRunning)})
		}, want: ErrControlClosed},
		"a stream dies": {do: func(c net.Conn, l net.Listener) {
			s := toStreams(c, l, 1)
			c.Write([]byte{byte(TestStart), byte(TestRunning)})
			s[0].(*stack.TCPConn).SetLinger(0)
			s[0].Close()
			io.Copy(io.Discard, c)
		}, text: "reset"},
		"sends nothing": {do: func(c net.Conn, l net.Listener) {
			toStreams(c, l, 1)
			c.Write([]byte{byte(TestStart), byte(TestRunning)})
			io.Copy(io.Discard, c)
		}, params: Params{Num: 1000, Reverse: true}, want: ErrTimeout},
		"no end": {do: func(c net.Conn, l net.Listener) {
			toStreams(c, l, 1)
			c.Write([]byte{byte(TestStart), byte(TestRunning)})
			io.Copy(io.Discard, c)
		}, want: ErrTimeout},
		"too long results":    {do: func(c net.Conn, l net.Listener) { toEnd(c, l); c.Write([]byte{0x10, 0, 0, 0}) }, want: ErrTooLong},
		"malformed results":   {do: func(c net.Conn, l net.Listener) { toEnd(c, l); c.Write([]byte("\x00\x00\x00\x01[")) }, text: "JSON"},
		"half of the results": {do: func(c net.Conn, l net.Listener) { toEnd(c, l); c.Write([]byte("\x00\x00\x00\x99{")) }, want: ErrControlClosed},
		"others' results": {do: func(c net.Conn, l net.Listener) {
			toEnd(c, l)
			c.Write([]byte("\x00\x00\x00\x02{}"))
			c.Write([]byte{byte(DisplayResults)})
			io.Copy(io.Discard, c)
		}, want: ErrStreamID},
	} {
		some.run(t, name, func(t *testing.T) {
			p := newPair(t)
			l, err := p.server.Listen("tcp", fmt.Sprintf(":%d", DefaultPort))
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				ctl, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.ReadFull(ctl, make([]byte, CookieSize))
				c.do(ctl, l)
				ctl.Close()
				l.Close()
			}()
			var out buffer
			if c.params.Num == 0 {
				c.params.Time = 1
			}
			cfg := p.clientConfig(&out, c.params)
			cfg.Timeouts, cfg.Connect = quick, time.Second
			doc, err := Run(context.Background(), cfg)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("the client says %v, want %v %q", err, c.want, c.text)
			}
			if doc.Error == "" {
				t.Error("the document has no error")
			}
			waitUntil(t, "all connections are over", func() bool { return connections(t, p.client) == 0 })
		})
	}
}

func readState(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 1)) }

// Nothing is left behind by tests, good or bad.
func TestNoGoroutineStays(t *testing.T) {
	p := newPair(t)
	s := serve(t, p.server, func(c *ServerConfig) { c.Timeouts = quick })
	var out buffer
	run := func() {
		if _, err := Run(context.Background(), p.clientConfig(&out, Params{Num: 1000})); err != nil {
			t.Fatal(err)
		}
		receive(t, "document", s.docs)
		h := p.peer(t)
		h.start(Params{Reverse: true})
		h.die()
		receive(t, "document", s.docs)
	}
	run()
	before := runtime.NumGoroutine()
	for range 5 {
		run()
	}
	waitUntil(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}
