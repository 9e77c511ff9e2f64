package http1

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// Framing says where the body of a response ends (RFC 9112 section 6.3).
type Framing uint8

// The framings.
const (
	NoBody     Framing = iota // there is none
	Length                    // after Response.Length bytes
	Chunked                   // after the last chunk
	UntilClose                // with the connection
)

// Response is one parsed response head.
type Response struct {
	Length    int64 // of the body, if Body is Length
	Status    int
	Body      Framing
	Minor     uint8 // 0 or 1: the version is HTTP/1.Minor
	KeepAlive bool  // the server keeps the connection
}

// ErrResponse is wrapped by every error about a response. Where the next one would start is not known then.
var ErrResponse = errors.New("http1: bad response")

// The errors of responses, RFC 9112 unless told otherwise.
var (
	errStatusLine  = fmt.Errorf("%w: malformed status line", ErrResponse)                            // section 4
	errHeadLarge   = fmt.Errorf("%w: head of more than %d bytes", ErrResponse, MaxHead)              // no rule, a bound
	errHeadField   = fmt.Errorf("%w: malformed header field", ErrResponse)                           // section 5
	errBodyLength  = fmt.Errorf("%w: malformed or repeated Content-Length", ErrResponse)             // section 6.3
	errTwoFramings = fmt.Errorf("%w: both Content-Length and Transfer-Encoding", ErrResponse)        // section 6.3
	errCodings     = fmt.Errorf("%w: transfer coding that nobody asked for", ErrResponse)            // section 7.4
	errUpgrade     = fmt.Errorf("%w: status 101 without a request to change protocols", ErrResponse) // RFC 9110 section 15.2.2
	errInterim     = fmt.Errorf("%w: more than %d interim responses to a request", ErrResponse, 16)  // no rule, a bound
	errChunkSize   = fmt.Errorf("%w: malformed chunk size", ErrResponse)                             // section 7.1
	errChunkEnd    = fmt.Errorf("%w: chunk data longer than its size", ErrResponse)                  // section 7.1
	errTrailer     = fmt.Errorf("%w: malformed trailer field or chunk extension", ErrResponse)       // section 7.1.2
	errTrailerLong = fmt.Errorf("%w: chunk extensions or trailer of more than %d bytes", ErrResponse, MaxHead)
)

// ParseResponse reads the response head that b starts with into r and returns its length with the blank line. headRequest: it answers a
// HEAD request. The error is ErrIncomplete, or one that wraps ErrResponse.
func ParseResponse(b []byte, headRequest bool, r *Response) (int, error) {
	*r = Response{}
	end := bytes.Index(b, endOfHead)
	switch {
	case end < 0 && len(b) > MaxHead || end > MaxHead-len(endOfHead):
		return 0, errHeadLarge
	case end < 0:
		return 0, plausible(b)
	}
	head := b[:end+2] // with the CRLF of the last line
	line, head, _ := bytes.Cut(head, crlf)
	if err := r.parseStatus(line); err != nil {
		return 0, err
	}
	var f responseFields
	f.length = -1
	for len(head) > 0 {
		i := bytes.IndexByte(head, '\r') // there is one at the end
		if head[i+1] != '\n' {
			return 0, errHeadField
		}
		if err := r.parseField(head[:i], &f); err != nil {
			return 0, err
		}
		head = head[i+2:]
	}
	return end + len(endOfHead), r.finish(&f, headRequest)
}

// plausible returns ErrIncomplete if b can be the start of a response: there is no need to wait for more of what cannot.
func plausible(b []byte) error {
	if n := min(len(b), len(httpVersion)); !bytes.Equal(b[:n], httpVersion[:n]) {
		return errStatusLine
	}
	return ErrIncomplete
}

// responseFields is what has been seen among the header fields.
type responseFields struct {
	length                  int64 // -1: no Content-Length
	encoded                 bool
	closeOption, keepOption bool
}

func (r *Response) parseStatus(line []byte) error {
	// HTTP/1.1 200 OK; without a reason phrase the blank before it may be missing too, as some servers have it.
	if len(line) < 12 || !bytes.Equal(line[:7], httpVersion) || line[7] < '0' || line[7] > '9' || line[8] != ' ' ||
		len(line) > 12 && line[12] != ' ' {
		return errStatusLine
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return errStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 || r.Status > 599 || !isValue(line[12:]) {
		return errStatusLine
	}
	r.Minor = min(line[7]-'0', 1)
	return nil
}

func (r *Response) parseField(line []byte, f *responseFields) error {
	i := bytes.IndexByte(line, ':')
	if i < 0 || !isToken(line[:i]) || !isValue(line[i+1:]) {
		return errHeadField
	}
	name := line[:i]
	switch len(name) { // of the names that matter, all of different lengths: most fields are none of them
	case len("connection"):
		if equalFold(name, "connection") {
			value := bytes.Trim(line[i+1:], " \t")
			f.closeOption = f.closeOption || hasOption(value, "close")
			f.keepOption = f.keepOption || hasOption(value, "keep-alive")
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			if f.length >= 0 {
				return errBodyLength
			}
			f.length = decimal(bytes.Trim(line[i+1:], " \t"))
			if f.length < 0 {
				return errBodyLength
			}
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			if f.encoded || !equalFold(bytes.Trim(line[i+1:], " \t"), "chunked") {
				return errCodings
			}
			f.encoded = true
		}
	}
	return nil
}

// finish applies the rules that need all fields (section 6.3).
func (r *Response) finish(f *responseFields, headRequest bool) error {
	r.KeepAlive = !f.closeOption && (r.Minor == 1 || f.keepOption)
	switch {
	case r.Status == 101:
		return errUpgrade
	case f.encoded && (f.length >= 0 || r.Minor == 0): // section 6.1: an HTTP/1.0 message with a coding has faulty framing
		return errTwoFramings
	case headRequest || r.Status < 200 || r.Status == 204 || r.Status == 304:
		r.Body = NoBody
	case f.encoded:
		r.Body = Chunked
	case f.length > 0:
		r.Body, r.Length = Length, f.length
	case f.length < 0:
		r.Body, r.KeepAlive = UntilClose, false
	}
	return nil
}

// decimal returns the value of a decimal number, -1 if b is none or too large to be counted down.
func decimal(b []byte) (n int64) {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// isValue reports whether b has no control characters but tabs (RFC 9110 section 5.5).
func isValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

var (
	endOfHead   = []byte("\r\n\r\n")
	crlf        = []byte("\r\n")
	httpVersion = []byte("HTTP/1.")
)

const maxInterim = 16

// maxChunk bounds a chunk's size, in bytes, so that it can be counted down.
const maxChunk = math.MaxInt64 >> 4
