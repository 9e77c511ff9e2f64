package service

import "github.com/xdpstack/xdpstack/stack"

// Discard receives and throws away (RFC 863).
type Discard struct{}

// Opened does nothing.
func (Discard) Opened(*stack.Conn) {}

// Received does nothing: the bytes are gone when it returns.
func (Discard) Received(*stack.Conn, []byte) {}

// Writable does nothing: there is nothing to write.
func (Discard) Writable(*stack.Conn) {}

// PeerClosed closes this direction too.
func (Discard) PeerClosed(c *stack.Conn) { c.Close() }

// Closed does nothing.
func (Discard) Closed(*stack.Conn, error) {}
