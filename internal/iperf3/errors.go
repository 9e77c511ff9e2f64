package iperf3

import (
	"errors"
	"fmt"
	"syscall"
)

// Errors in iperf3's words, which its users search for.
var (
	ErrBusy          = errors.New("the server is busy running a test. try again later")
	ErrServerTerm    = errors.New("the server has terminated")
	ErrClientTerm    = errors.New("the client has terminated")
	ErrControlClosed = errors.New("control socket has closed unexpectedly")
	ErrClientGone    = errors.New("the client has unexpectedly closed the connection")
	ErrMessage       = errors.New("received an unknown control message")
	ErrStreamClosed  = errors.New("stream socket has closed unexpectedly")
	ErrStreamID      = errors.New("stream has an invalid id")
	ErrMalformed     = errors.New("a control message is not what it should be")
	ErrTooLong       = errors.New("a control message is longer than is accepted")
	ErrTimeout       = errors.New("the peer does not go on with the test")
)

// Codes are the numbers that follow SERVER_ERROR, of those errors that this server sends or a client can do something about.
const (
	codeNumStreams    = 6
	codeBlockSize     = 7
	codeUnimplemented = 13
	codeRecvParams    = 114
	codeSetMSS        = 123
	codeSetBuf        = 124
	codeSetCongestion = 134
	codeSetPacing     = 140
	codeAuth          = 142
	codeTotalRate     = 27
	codeStreamAccept  = 204
	codeStreamWrite   = 205
	codeStreamRead    = 206
	codeStreamClose   = 207
)

var codeTexts = map[int32]string{
	codeNumStreams:    "number of parallel streams too large",
	codeBlockSize:     "block size too large",
	codeUnimplemented: "an option that is not implemented",
	codeRecvParams:    "unable to receive parameters from client",
	codeSetMSS:        "unable to set TCP/SCTP MSS",
	codeSetBuf:        "unable to set socket buffer size",
	codeSetCongestion: "unable to set TCP_CONGESTION: Supplied congestion control algorithm not supported on this host",
	codeSetPacing:     "unable to set socket pacing",
	codeAuth:          "test authorization failed",
	codeTotalRate:     "total required bandwidth is larger than server limit",
	codeStreamAccept:  "unable to accept stream connection",
	codeStreamWrite:   "unable to write to stream socket",
	codeStreamRead:    "unable to read from stream socket",
	codeStreamClose:   "stream socket has closed unexpectedly",
}

// RemoteError is what a server says about a test that it cannot do, or that failed at its end.
type RemoteError struct {
	Code  int32 // iperf3's number
	Errno syscall.Errno
}

// Error says what iperf3 calls the error.
func (e *RemoteError) Error() string {
	text, ok := codeTexts[e.Code]
	if !ok {
		text = fmt.Sprintf("iperf3's error %d", e.Code)
	}
	if e.Errno != 0 {
		text += ": " + e.Errno.Error()
	}
	return "the server reports: " + text
}

// refusal is an error of the server that it tells the client of.
type refusal struct {
	code int32
	why  string
}

func (r *refusal) Error() string { return codeTexts[r.code] + ": " + r.why }

// streamError is the end of a stream before that of the test.
type streamError struct {
	sender bool // this end sends
	err    error
}

func (e *streamError) code() int32 {
	switch {
	case errors.Is(e.err, ErrStreamClosed):
		return codeStreamClose
	case e.sender:
		return codeStreamWrite
	}
	return codeStreamRead
}

func (e *streamError) Error() string {
	if errors.Is(e.err, ErrStreamClosed) {
		return e.err.Error()
	}
	return codeTexts[e.code()] + ": " + e.err.Error()
}

func (e *streamError) Unwrap() error { return e.err }
