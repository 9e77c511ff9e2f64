package iperf3

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// control is one end of a control connection.
type control struct {
	conn    io.ReadWriteCloser
	next    chan event // of the read that is outstanding; nil: none is
	expired atomic.Bool
}

// event is a state that came, or why none does.
type event struct {
	state State
	err   error
}

// wait returns a channel that has the next state when it has come. Until it was received from, the connection must not be read otherwise.
func (c *control) wait() <-chan event {
	if c.next == nil {
		next := make(chan event, 1)
		c.next = next
		go func() {
			var b [1]byte
			_, err := io.ReadFull(c.conn, b[:])
			next <- event{State(b[0]), err}
		}()
	}
	return c.next
}

// took tells that the event of wait was received.
func (c *control) took() { c.next = nil }

// again gives the event of wait back, for the next wait.
func (c *control) again(e event) {
	next := make(chan event, 1)
	next <- e
	c.next = next
}

// within runs f, and closes the connection if it takes longer than d.
func (c *control) within(d time.Duration, f func() error) error {
	t := time.AfterFunc(d, func() {
		c.expired.Store(true)
		c.conn.Close()
	})
	err := f()
	t.Stop()
	if err != nil && c.expired.Load() {
		return ErrTimeout
	}
	return err
}

// state waits for the next state.
func (c *control) state(ctx context.Context, d time.Duration) (State, error) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case e := <-c.wait():
		c.took()
		if e.err != nil {
			return 0, closedEarly(e.err)
		}
		return e.state, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-t.C:
		return 0, ErrTimeout
	}
}

// send sends a state.
func (c *control) send(d time.Duration, s State) error { return c.write(d, []byte{byte(s)}) }

func (c *control) write(d time.Duration, b []byte) error {
	return c.within(d, func() error {
		_, err := c.conn.Write(b)
		return err
	})
}

// sendMessage sends JSON.
func (c *control) sendMessage(d time.Duration, v any) error {
	b, err := appendMessage(nil, v)
	if err != nil {
		return err
	}
	return c.write(d, b)
}

// readMessage reads JSON.
func (c *control) readMessage(d time.Duration, limit int, v any) error {
	return c.within(d, func() error { return readMessage(c.conn, limit, v) })
}
