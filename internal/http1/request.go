package http1

import (
	"bytes"
	"errors"
)

// Bounds on what a client may send.
const (
	MaxHead = 16 << 10 // bytes of request line and header fields together
	MaxBody = 1 << 20  // bytes of a body; the server has no use for it and discards it
)

// Request is one parsed request head. Its slices are parts of the parsed bytes.
type Request struct {
	Method    []byte
	Target    []byte
	BodyLen   int64 // bytes of body that follow the head
	Minor     uint8 // 0 or 1: the version is HTTP/1.Minor
	KeepAlive bool  // the client wants the connection kept
	Continue  bool  // the client waits for "100 Continue" before it sends the body
}

// Error is a request that cannot be served, with the status code that answers it. The connection must be closed after the answer:
// where the next request would start is not known.
type Error struct {
	Status int
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// ErrIncomplete says that the head goes on after the bytes at hand.
var ErrIncomplete = errors.New("http1: incomplete request")

// The errors of Parse, RFC 9112 unless told otherwise.
var (
	errTooLarge  = &Error{431, "request head too large"}               // RFC 6585 section 5
	errLine      = &Error{400, "malformed request line"}               // section 3
	errTarget    = &Error{400, "malformed request target"}             // section 3.2
	errVersion   = &Error{505, "HTTP version not supported"}           // RFC 9110 section 15.6.6
	errField     = &Error{400, "malformed header field"}               // section 5.1, 5.2
	errHost      = &Error{400, "exactly one Host field is required"}   // section 3.2
	errLength    = &Error{400, "malformed or repeated Content-Length"} // section 6.3
	errEncoding  = &Error{501, "transfer codings are not supported"}   // section 6.1
	errSmuggling = &Error{400, "both Content-Length and Transfer-Encoding"}
	errBody      = &Error{413, "request body too large"}
	errExpect    = &Error{417, "unknown expectation"} // RFC 9110 section 10.1.1
)

// Parse reads the request head that b starts with into r and returns its length with the blank line. The error is ErrIncomplete, or
// an *Error.
func Parse(b []byte, r *Request) (int, error) {
	*r = Request{}
	n := 0
	for n+1 < len(b) && b[n] == '\r' && b[n+1] == '\n' { // section 2.2: empty lines before a request are ignored
		n += 2
	}
	line, next, err := cutLine(b, n)
	if err != nil {
		return 0, err
	}
	if err := r.parseLine(line); err != nil {
		return 0, err
	}
	var f fields
	for {
		if line, next, err = cutLine(b, next); err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		if err := r.parseField(line, &f); err != nil {
			return 0, err
		}
	}
	if next > MaxHead {
		return 0, errTooLarge
	}
	return next, r.finish(&f)
}

// fields is what has been seen among the header fields.
type fields struct {
	host                       int
	length, encoding           bool
	closeOption, keepOption    bool
	unknownExpect, hasContinue bool
}

// cutLine returns the line of b from offset on without its CRLF, and the offset of the next.
func cutLine(b []byte, off int) (line []byte, next int, err error) {
	i := bytes.IndexByte(b[off:], '\n')
	if i < 0 {
		if len(b) >= MaxHead {
			return nil, 0, errTooLarge
		}
		return nil, 0, ErrIncomplete
	}
	if i == 0 || b[off+i-1] != '\r' {
		return nil, 0, errField
	}
	return b[off : off+i-1], off + i + 1, nil
}

func (r *Request) parseLine(line []byte) error {
	var ok bool
	var version []byte
	if r.Method, line, ok = bytes.Cut(line, space); !ok || !isToken(r.Method) {
		return errLine
	}
	if r.Target, version, ok = bytes.Cut(line, space); !ok || len(r.Target) == 0 {
		return errLine
	}
	for _, c := range r.Target {
		if c <= ' ' || c >= 0x7f {
			return errTarget
		}
	}
	if len(version) != 8 || string(version[:5]) != "HTTP/" || version[6] != '.' {
		return errLine
	}
	if version[5] != '1' || version[7] < '0' || version[7] > '9' {
		return errVersion
	}
	r.Minor = min(version[7]-'0', 1)
	return nil
}

func (r *Request) parseField(line []byte, f *fields) error {
	name, value, ok := bytes.Cut(line, colon)
	if !ok || !isToken(name) { // a line that starts with a blank (a folded field) has no token either
		return errField
	}
	value = bytes.Trim(value, " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return errField
		}
	}
	switch {
	case equalFold(name, "host"):
		f.host++
	case equalFold(name, "content-length"):
		if f.length {
			return errLength
		}
		f.length = true
		return r.parseLength(value)
	case equalFold(name, "transfer-encoding"):
		f.encoding = true
	case equalFold(name, "connection"):
		f.closeOption = f.closeOption || hasOption(value, "close")
		f.keepOption = f.keepOption || hasOption(value, "keep-alive")
	case equalFold(name, "expect"):
		f.hasContinue = equalFold(value, "100-continue")
		f.unknownExpect = !f.hasContinue
	}
	return nil
}

func (r *Request) parseLength(value []byte) error {
	if len(value) == 0 || len(value) > 18 {
		return errLength
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return errLength
		}
		r.BodyLen = r.BodyLen*10 + int64(c-'0')
	}
	return nil
}

// finish applies the rules that need all fields.
func (r *Request) finish(f *fields) error {
	switch {
	case f.host > 1 || f.host == 0 && r.Minor == 1:
		return errHost
	case f.encoding && f.length:
		return errSmuggling
	case f.encoding:
		return errEncoding
	case r.BodyLen > MaxBody:
		return errBody
	case f.unknownExpect:
		return errExpect
	}
	r.Continue = f.hasContinue && r.BodyLen > 0 && r.Minor == 1
	r.KeepAlive = !f.closeOption && (r.Minor == 1 || f.keepOption)
	return nil
}

var (
	space = []byte{' '}
	colon = []byte{':'}
	comma = []byte{','}
)

// hasOption reports whether a comma-separated list has the option, in whatever case.
func hasOption(list []byte, option string) bool {
	for more := true; more; {
		var item []byte
		if item, list, more = bytes.Cut(list, comma); equalFold(bytes.Trim(item, " \t"), option) {
			return true
		}
	}
	return false
}

// equalFold compares with an ASCII string in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// isToken reports whether b is a token of RFC 9110 section 5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] {
			return false
		}
	}
	return len(b) > 0
}

var tokenByte = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()
