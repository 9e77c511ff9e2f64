package app

import (
	"bytes"
	"fmt"
)

// Body is what every server answers, below whatever head it has.
var Body = []byte("Hello, World!\n")

var statusOK = []byte("HTTP/1.1 200 ")

// Answer collects the response to one request. Our own servers answer with Response, byte for byte; others have heads of their
// own, of which the status and the body are looked at.
type Answer struct {
	held [512]byte
	n    int
}

// Add takes what has come and reports whether the response is complete.
func (a *Answer) Add(p []byte) (bool, error) {
	if a.n == 0 && bytes.Equal(p, Response) {
		return true, nil
	}
	if a.n+len(p) > len(a.held) {
		return false, fmt.Errorf("a response of more than %d bytes: %q", len(a.held), p)
	}
	a.n += copy(a.held[a.n:], p)
	b := a.held[:a.n]
	if n := min(len(b), len(statusOK)); !bytes.Equal(b[:n], statusOK[:n]) {
		return false, fmt.Errorf("wrong response: %q", b)
	}
	i := bytes.Index(b, endOfHead)
	if i < 0 || len(b) < i+len(endOfHead)+len(Body) {
		return false, nil
	}
	if body := b[i+len(endOfHead):]; !bytes.Equal(body, Body) {
		return false, fmt.Errorf("wrong body: %q", body)
	}
	a.n = 0
	return true, nil
}
