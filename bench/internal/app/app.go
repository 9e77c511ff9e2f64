// Package app is the application that every server of the benchmarks runs, whatever the stack below: the protocol's constants and
// the few lines of logic, so that all sides do the same work.
//
//	port  7  echo:    sends back what it gets (RFC 862)
//	port  9  discard: reads and forgets (RFC 863)
//	port 19  source:  writes without end (RFC 864)
//	port 80  http:    answers each request head with the same response, keeps the connection or closes it as asked
package app

import "bytes"

// Ports.
const (
	EchoPort    = 7
	DiscardPort = 9
	SourcePort  = 19
	HTTPPort    = 80
)

// What the kernel's sockets use, whatever the machine's default is.
const (
	CongestionControl      = "cubic" // bulk clients, and servers
	SmallCongestionControl = "reno"  // clients of small requests
)

// Requests, and the response to either.
var (
	KeepAlive = []byte("GET / HTTP/1.1\r\nHost: 10.77.0.2\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	OneShot   = []byte("GET / HTTP/1.1\r\nHost: 10.77.0.2\r\nUser-Agent: bench\r\nAccept: */*\r\nConnection: close\r\n\r\n")
	Response  = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, World!\n")
)

// Ping is what the measurement of latency sends and gets back.
var Ping = bytes.Repeat([]byte("ping"), 16)

// Chunk is what a source writes at a time: 64 full segments, so that no side has to split one at the end.
var Chunk = make([]byte, 64*1448)

var (
	endOfHead  = []byte("\r\n\r\n")
	closeField = []byte("\r\nConnection: close\r\n")
)

// HTTP is the state of one HTTP connection's input: the part of a head that has come so far.
type HTTP struct {
	held  [256]byte
	n     int
	Close bool // the last request asked to close
}

// Reset makes it that of a new connection.
func (h *HTTP) Reset() { h.n, h.Close = 0, false }

// Requests takes input and returns how many request heads it completes. Requests of the benchmarks come whole, which is the path
// that does not copy.
func (h *HTTP) Requests(p []byte) int {
	if h.n > 0 {
		m := copy(h.held[h.n:], p)
		h.n += m
		b := h.held[:h.n]
		i := bytes.Index(b, endOfHead)
		if i < 0 {
			return 0
		}
		h.Close = bytes.Contains(b[:i+2], closeField)
		rest := p[max(0, m-(h.n-i-len(endOfHead))):]
		h.n = 0
		return 1 + h.Requests(rest)
	}
	count := 0
	for len(p) > 0 {
		i := bytes.Index(p, endOfHead)
		if i < 0 {
			h.n = copy(h.held[:], p)
			break
		}
		h.Close = bytes.Contains(p[:i+2], closeField)
		p = p[i+len(endOfHead):]
		count++
	}
	return count
}
