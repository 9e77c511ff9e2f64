package core

import (
	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// Target is a stack over a device in memory, with one listening application.
type Target interface {
	// Deliver gives the stack n frames, each written by next into the memory that the stack receives into; next returns its length.
	Deliver(n int, next func(b []byte) int)
	// Work lets the stack and its application run, and hands the headers and the size of every frame that was sent to take.
	Work(take func(head []byte, size int))
	// Close frees the stack.
	Close()
}

// Work is what the stack has to do.
type Work string

// The kinds of work.
const (
	Receive Work = "receive"
	Send    Work = "send"
	Connect Work = "connect"
)

// Hold is the work of package scale: very many connections from beyond a gateway, which the peer is.
const Hold Work = "hold"

// Works are all kinds.
var Works = []Work{Receive, Send, Connect}

// Port returns the port that the application listens on.
func (w Work) Port() uint16 {
	switch w {
	case Send:
		return app.SourcePort
	case Connect:
		return app.HTTPPort
	}
	return app.DiscardPort
}

// Addresses of the stack's end of the link.
type Addresses struct {
	MAC, PeerMAC   [6]byte
	Addr, PeerAddr [4]byte
}

// Ends returns the addresses that a target for the work has to use.
func (w Work) Ends() Addresses {
	c := peer.DefaultConfig(w.Port())
	return Addresses{MAC: c.StackMAC, PeerMAC: c.MAC, Addr: c.StackAddr, PeerAddr: c.Addr}
}
