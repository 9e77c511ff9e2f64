package http1

import "bytes"

// Reader reads the responses of one connection, one after another, as their bytes come. It keeps nothing of them but a head that has not
// come whole yet. The zero Reader is one of a new connection.
type Reader struct {
	Response Response // the one that is being read, or was read last; its head has come if Begun is true
	Begun    bool     // the head has come

	state   readState
	interim uint8  // interim responses to this request
	extra   uint16 // bytes of chunk extensions and trailer
	left    int64  // bytes of the body, or of a chunk
	partial []byte // of a head
}

type readState uint8

const (
	readHead readState = iota
	readBody
	readToEnd       // until the connection is closed
	readSize        // of a chunk; the first digit has not come
	readDigits      // of a chunk's size
	readExtension   // behind the size
	readSizeEnd     // the LF behind the size
	readChunk       // the data
	readChunkCR     // behind it
	readChunkLF     //
	readTrailer     // the start of a line behind the last chunk
	readTrailerName // the rest of its name
	readTrailerRest // its value
	readTrailerLF   // its end
	readLastLF      // of the blank line at the end
)

// Memo keeps a response head that was read, so that the next that is the same, byte for byte, need not be parsed again: a server's answers
// to the same request differ once a second, by their date. The zero Memo is empty. It may serve any number of Readers, one at a time.
type Memo struct {
	head        []byte
	response    Response
	headRequest bool
}

// maxMemo bounds a head that is kept.
const maxMemo = 1 << 10

// parse is ParseResponse.
func (m *Memo) parse(b []byte, headRequest bool, r *Response) (int, error) {
	if n := len(m.head); n > 0 && len(b) >= n && m.headRequest == headRequest && bytes.Equal(b[:n], m.head) {
		*r = m.response
		return n, nil
	}
	n, err := ParseResponse(b, headRequest, r)
	if err == nil && n <= maxMemo {
		m.head, m.response, m.headRequest = append(m.head[:0], b[:n]...), *r, headRequest
	}
	return n, err
}

// Read takes bytes of the response to a request, up to its end. It returns how many it took, and whether the response is complete; what
// follows is of the next. headRequest: the request is a HEAD. An interim response (RFC 9110 section 15.2) is passed over. After an error
// the Reader must not be used any more.
func (r *Reader) Read(p []byte, headRequest bool, m *Memo) (n int, done bool, err error) {
	for n < len(p) {
		var k int
		switch r.state {
		case readHead:
			k, done, err = r.head(p[n:], headRequest, m)
		case readBody:
			k = int(min(r.left, int64(len(p)-n)))
			r.left -= int64(k)
			done = r.left == 0
		case readToEnd:
			k = len(p) - n
		case readChunk:
			k = int(min(r.left, int64(len(p)-n)))
			if r.left -= int64(k); r.left == 0 {
				r.state = readChunkCR
			}
		default:
			k = 1
			done, err = r.chunkByte(p[n])
		}
		n += k
		if err != nil {
			return n, false, err
		}
		if done {
			r.state, r.interim, r.Begun = readHead, 0, false
			return n, true, nil
		}
	}
	return n, false, nil
}

// End tells that the connection has ended, and reports whether the response is complete with that.
func (r *Reader) End() bool { return r.state == readToEnd }

// Reset makes it the Reader of a new connection.
func (r *Reader) Reset() { *r = Reader{partial: r.partial[:0]} }

// head reads a head, or a part of one.
func (r *Reader) head(p []byte, headRequest bool, m *Memo) (n int, done bool, err error) {
	b, before := p, len(r.partial)
	if before > 0 {
		r.partial = append(r.partial, p[:min(len(p), MaxHead+1)]...)
		b = r.partial
	}
	n, err = m.parse(b, headRequest, &r.Response)
	switch {
	case err == ErrIncomplete: //nolint:errorlint // it is this value
		if before == 0 {
			r.partial = append(r.partial, p...)
		}
		return len(p), false, nil
	case err != nil:
		return 0, false, err
	}
	r.partial = r.partial[:0]
	n -= before
	if r.Response.Status < 200 {
		if r.interim++; r.interim > maxInterim {
			return n, false, errInterim
		}
		return n, false, nil
	}
	r.Begun = true
	switch r.Response.Body {
	case NoBody:
		return n, true, nil
	case Length:
		r.state, r.left = readBody, r.Response.Length
	case Chunked:
		r.state, r.extra = readSize, 0
	default:
		r.state = readToEnd
	}
	return n, false, nil
}

// chunkByte reads a byte of what is around the chunks' data (RFC 9112 section 7.1).
func (r *Reader) chunkByte(c byte) (done bool, err error) {
	switch r.state {
	case readSize, readDigits:
		return false, r.sizeByte(c)
	case readExtension:
		if c == '\r' {
			r.state = readSizeEnd
			return false, nil
		}
		return false, r.extraByte(c)
	case readSizeEnd:
		if c != '\n' {
			return false, errChunkSize
		}
		if r.state = readChunk; r.left == 0 {
			r.state = readTrailer
		}
	case readChunkCR:
		if c != '\r' {
			return false, errChunkEnd
		}
		r.state = readChunkLF
	case readChunkLF:
		if c != '\n' {
			return false, errChunkEnd
		}
		r.state = readSize
	default:
		return r.trailerByte(c)
	}
	return false, nil
}

// sizeByte reads a byte of a chunk's size.
func (r *Reader) sizeByte(c byte) error {
	digit := hexDigit[c]
	switch {
	case digit >= 0:
		if r.state == readSize {
			r.state, r.left = readDigits, 0
		}
		if r.left = r.left<<4 | int64(digit); r.left > maxChunk {
			return errChunkSize
		}
		return nil
	case r.state == readSize:
		return errChunkSize
	case c == '\r':
		r.state = readSizeEnd
		return nil
	case c == ';' || c == ' ' || c == '\t':
		r.state = readExtension
		return r.extraByte(c)
	}
	return errChunkSize
}

// extraByte counts a byte of chunk extensions or of the trailer, which nobody needs.
func (r *Reader) extraByte(c byte) error {
	if c < ' ' && c != '\t' || c == 0x7f {
		return errTrailer
	}
	if r.extra++; r.extra > MaxHead {
		return errTrailerLong
	}
	return nil
}

// trailerByte reads a byte behind the last chunk.
func (r *Reader) trailerByte(c byte) (done bool, err error) {
	switch {
	case r.state == readLastLF && c == '\n':
		return true, nil
	case r.state == readTrailerLF && c == '\n':
		r.state = readTrailer
		return false, nil
	case r.state == readLastLF || r.state == readTrailerLF:
		return false, errTrailer
	case r.state == readTrailer && c == '\r':
		r.state = readLastLF
		return false, nil
	case r.state == readTrailerRest && c == '\r':
		r.state = readTrailerLF
		return false, nil
	case r.state == readTrailerRest:
		return false, r.extraByte(c)
	case r.state == readTrailerName && c == ':':
		r.state = readTrailerRest
		return false, r.extraByte(c)
	case !tokenByte[c]:
		return false, errTrailer
	}
	r.state = readTrailerName
	return false, r.extraByte(c)
}

// hexDigit has the value of each hexadecimal digit, -1 for other bytes.
var hexDigit = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int8(10+i), int8(10+i)
	}
	return t
}()
