package iperf3

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// CookieSize is the length of a cookie in bytes, its last one zero.
const CookieSize = 37

// Cookie names a test: each connection that belongs to it begins with it.
type Cookie [CookieSize]byte

// NewCookie makes an unpredictable cookie.
func NewCookie() (c Cookie) {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var b [CookieSize - 1]byte
	rand.Read(b[:]) // never fails
	for i, v := range b {
		c[i] = letters[int(v)%len(letters)]
	}
	return c
}

// String returns the printable part; a peer may send anything.
func (c Cookie) String() string {
	b := make([]byte, 0, CookieSize)
	for _, v := range c {
		if v == 0 {
			break
		}
		if v < ' ' || v > '~' {
			v = '?'
		}
		b = append(b, v)
	}
	return string(b)
}

// The bounds of JSON that a peer may send, in bytes. Results may hold the text that the server has printed.
const (
	maxParams  = 64 << 10
	maxResults = 16 << 20
)

// appendMessage appends a JSON message with its length in front.
func appendMessage(b []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return b, err
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...), nil
}

// readMessage reads a JSON message of at most limit bytes. What it allocates grows with what has come, not with what was announced.
func readMessage(r io.Reader, limit int, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return closedEarly(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(limit) {
		return fmt.Errorf("%w: %d bytes, and %d are the most", ErrTooLong, n, limit)
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(text) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return closedEarly(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// readRemoteError reads the two numbers that follow SERVER_ERROR.
func readRemoteError(r io.Reader) error {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return closedEarly(err)
	}
	return &RemoteError{
		Code:  int32(binary.BigEndian.Uint32(b[:4])),
		Errno: syscall.Errno(binary.BigEndian.Uint32(b[4:]) & 0xffff),
	}
}

// appendRefusal appends SERVER_ERROR with its two numbers.
func appendRefusal(b []byte, code int32) []byte {
	failed := ServerError
	b = append(b, byte(failed))
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return binary.BigEndian.AppendUint32(b, 0)
}

// closedEarly makes the end of a connection in the middle of something an error.
func closedEarly(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrControlClosed
	}
	return err
}
