package load

import (
	"errors"
	"io"
	"net"

	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// Reason is why a request failed.
type Reason uint8

// The reasons. What a request was doing when it failed is part of them.
const (
	Refused        Reason = iota // the target answered the SYN with a reset, or a datagram with "port unreachable"
	Reset                        // the target reset the connection
	ConnectTimeout               // no connection within Config.ConnectTimeout
	RequestTimeout               // no complete response within Config.RequestTimeout
	Unreachable                  // a router said so, or there is no route
	NoARP                        // nobody answers for the target's hardware address, or the gateway's
	NoPort                       // no local port is free for the target
	ConnLimit                    // not started: no connection became free within Config.RequestTimeout
	Backlog                      // not started: Config.MaxWaiting were waiting already
	BadResponse                  // what came is not a response, or not the one to this request
	ShortBody                    // the connection ended before the response was complete
	PeerClosed                   // the connection ended before the response began
	Status4xx                    // an HTTP response with such a status
	Status5xx                    //
	TLSFailed                    // the handshake failed
	NoMemory                     // the stack has no room for another connection or packet
	Unfinished                   // still without a response when the run's drain time was over
	numReasons
)

var reasonNames = [numReasons]string{
	"refused", "reset", "connect_timeout", "request_timeout", "unreachable", "no_arp", "no_port", "conn_limit", "backlog", "protocol",
	"short_body", "peer_closed", "status_4xx", "status_5xx", "tls", "no_memory", "unfinished",
}

// String returns the reason's name, as results have it.
func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// ReasonNames returns the names of all reasons.
func ReasonNames() []string { return reasonNames[:] }

// reasons are the errors of the stack, and what they mean.
var reasons = []struct {
	err    error
	reason Reason
}{
	{tcp.ErrRefused, Refused}, {tcp.ErrReset, Reset}, {tcp.ErrHostUnreachable, NoARP}, {tcp.ErrNetUnreachable, Unreachable},
	{tcp.ErrProtocol, Unreachable}, {stack.ErrNoRoute, Unreachable}, {stack.ErrBroadcast, Unreachable}, {stack.ErrOwned, Unreachable},
	{stack.ErrNoPort, NoPort}, {stack.ErrTooManyConns, NoMemory}, {stack.ErrNoFrame, NoMemory}, {net.ErrClosed, Unfinished},
	{io.EOF, PeerClosed},
}

// reasonOf says why a connection, or the attempt at one, ended with an error. late: what it is if a time was over.
func reasonOf(err error, late Reason) Reason {
	if err == nil {
		return PeerClosed
	}
	for i := range reasons {
		if errors.Is(err, reasons[i].err) {
			return reasons[i].reason
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return late
	}
	return BadResponse
}
