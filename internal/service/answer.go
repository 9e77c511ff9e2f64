package service

import (
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/http1"
	"github.com/xdpstack/xdpstack/stack"
)

// pieceSize is how much of a file is read at a time, in bytes.
const pieceSize = 64 << 10

// answer is one response.
type answer struct {
	status    int
	kind      string // Content-Type
	location  string // of a redirection
	body      []byte
	file      *os.File // instead of body
	length    int64    // bytes of body or file
	minor     uint8    // of the client's version
	keepAlive bool
	headOnly  bool
	allow     bool // tell which methods there are
}

// appendHead appends the status line and the header fields.
func appendHead(b []byte, date string, a answer) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(a.status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(a.status)...)
	b = append(b, "\r\nServer: xdpstack\r\nDate: "...)
	b = append(b, date...)
	b = append(b, "\r\nContent-Type: "...)
	b = append(b, a.kind...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, a.length, 10)
	if a.location != "" {
		b = append(append(b, "\r\nLocation: "...), a.location...)
	}
	if a.allow {
		b = append(b, "\r\nAllow: GET, HEAD"...)
	}
	switch {
	case !a.keepAlive:
		b = append(b, "\r\nConnection: close"...)
	case a.minor == 0:
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	return append(b, "\r\n\r\n"...)
}

// answer sends the response to a request.
func (h *HTTP) answer(c *stack.Conn, st *httpConn, r *http1.Request) {
	st.body = r.BodyLen
	// Who waits for "100 Continue" may leave the body away: the next request cannot be found.
	st.last = !r.KeepAlive || st.drain || r.Continue
	get := string(r.Method) == "GET"
	if s := h.second.Load(); get && s.page != nil && !st.last && r.Minor == 1 && (s.made || string(r.Target) == "/") {
		if st.out = s.page; h.waiting == nil || !h.later(c, st) { // what load generators ask for: no allocation
			st.out = s.page[c.Write(s.page):]
		}
		return
	}
	a := h.lookup(r)
	a.minor, a.keepAlive, a.headOnly = r.Minor, !st.last, !get
	if !get && string(r.Method) != "HEAD" {
		if a.file != nil {
			a.file.Close()
		}
		a = h.errorAnswer(http.StatusMethodNotAllowed, "only GET and HEAD are served here", r)
		a.keepAlive, a.allow = !st.last, true
	}
	h.load(st, a)
	if h.waiting == nil || !h.later(c, st) {
		h.flush(c, st)
	}
}

// errorAnswer is a response with a line of text.
func (h *HTTP) errorAnswer(status int, reason string, r *http1.Request) answer {
	body := strconv.Itoa(status) + " " + reason + "\n"
	return answer{status: status, kind: textType, body: []byte(body), length: int64(len(body)), minor: r.Minor,
		headOnly: string(r.Method) == "HEAD"}
}

// lookup finds what a request's target names.
func (h *HTTP) lookup(r *http1.Request) answer {
	c := h.content.Load()
	name, ok := http1.Path(r.Target)
	switch {
	case !ok:
		return h.errorAnswer(http.StatusBadRequest, "malformed request target", r)
	case c.made:
		return answer{status: http.StatusOK, kind: textType, length: c.size}
	case c.root != nil:
		return h.open(c.root, name, r)
	case name != "/":
		return h.errorAnswer(http.StatusNotFound, "there is nothing here; try /", r)
	}
	return answer{status: http.StatusOK, kind: pageType, body: page, length: int64(len(page))}
}

// open finds a file, or the index of a directory. os.Root keeps symbolic links from leading out of the directory.
func (h *HTTP) open(root *os.Root, name string, r *http1.Request) answer {
	rel := strings.Trim(name, "/")
	if rel == "" {
		rel = "."
	}
	f, info, err := openFile(root, rel)
	if err == nil && info.IsDir() {
		f.Close()
		if !strings.HasSuffix(name, "/") {
			a := h.errorAnswer(http.StatusMovedPermanently, "this is a directory", r)
			a.location = (&url.URL{Path: name + "/"}).EscapedPath()
			return a
		}
		rel = path.Join(rel, "index.html")
		f, info, err = openFile(root, rel)
	} else if err == nil && strings.HasSuffix(name, "/") {
		f.Close()
		err = fs.ErrNotExist
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return h.errorAnswer(http.StatusForbidden, "not permitted", r)
	case err != nil:
		return h.errorAnswer(http.StatusNotFound, "no such file", r)
	case !info.Mode().IsRegular():
		f.Close()
		return h.errorAnswer(http.StatusForbidden, "not a file", r)
	}
	kind := mime.TypeByExtension(path.Ext(rel))
	if kind == "" {
		kind = "application/octet-stream"
	}
	return answer{status: http.StatusOK, kind: kind, file: f, length: info.Size()}
}

// openFile opens without blocking, as a FIFO would.
func openFile(root *os.Root, rel string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(rel, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// load makes a response the one that is to be sent.
func (h *HTTP) load(st *httpConn, a answer) {
	out := appendHead(make([]byte, 0, 512), h.second.Load().date, a)
	switch {
	case a.headOnly && a.file != nil:
		a.file.Close()
	case a.headOnly:
	case a.body == nil: // a file, or made up
		st.file, st.off, st.left = a.file, 0, a.length
	default:
		out = append(out, a.body...)
	}
	st.out = out
}

// flush sends as much of the response as there is room for, and reports whether it is complete.
func (h *HTTP) flush(c *stack.Conn, st *httpConn) bool {
	if !st.answering() {
		return true
	}
	if st.place > 0 { // it is not time yet
		return false
	}
	st.out = st.out[c.Write(st.out):]
	if len(st.out) > 0 {
		return false
	}
	st.out = nil
	if st.file != nil && !h.sendFile(c, st) || st.left > 0 && !h.sendMade(c, st) {
		return false
	}
	if st.last {
		c.CloseWrite()
	}
	return true
}

// sendFile sends the file's next pieces and reports whether that was all of it.
func (h *HTTP) sendFile(c *stack.Conn, st *httpConn) bool {
	buf := h.pieces.Get().(*[pieceSize]byte)
	defer h.pieces.Put(buf)
	for st.left > 0 {
		p := buf[:min(st.left, pieceSize)]
		n, err := st.file.ReadAt(p, st.off)
		if n < len(p) && (err == nil || errors.Is(err, io.EOF) || n == 0) {
			c.Abort() // the file is shorter than was promised: the client must not take what it has for the whole
			return false
		}
		sent := c.Write(p[:n])
		st.off += int64(sent)
		st.left -= int64(sent)
		if sent < n {
			return false
		}
	}
	st.file.Close()
	st.file = nil
	return true
}
