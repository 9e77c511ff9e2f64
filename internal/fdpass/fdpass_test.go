package fdpass

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/fdpass/fdtest"
)

// pair makes two connected sockets that do not wait for ever.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	a, b = fdtest.Pair(t)
	for _, c := range []*net.UnixConn{a, b} {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return a, b
}

// memfds makes files that hold their number.
func memfds(t testing.TB, n int) []*os.File {
	t.Helper()
	var files []*os.File
	for i := range n {
		fd, err := unix.MemfdCreate("fdpass", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "memfd")
		if _, err := f.Write([]byte{byte(i), byte(i >> 8)}); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	t.Cleanup(func() { CloseAll(files) })
	return files
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestSendReceive(t *testing.T) {
	a, b := pair(t)
	for _, c := range []struct{ body, files int }{{0, 0}, {1, 0}, {0, 1}, {100, 3}, {1 << 20, 250}, {7, 251}, {7, 600}} {
		files := memfds(t, c.files)
		body := bytes.Repeat([]byte("body"), c.body)[:c.body]
		sent := make(chan error, 1)
		go func() { sent <- Send(a, body, files) }()
		got, received, err := Receive(b, Limits{Body: 1 << 20, Files: 600})
		if err := errors.Join(err, <-sent); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if !bytes.Equal(got, body) || len(received) != c.files {
			t.Fatalf("%+v: %d bytes and %d files came", c, len(got), len(received))
		}
		for i, f := range received {
			var n [2]byte
			if _, err := f.ReadAt(n[:], 0); err != nil || int(binary.LittleEndian.Uint16(n[:])) != i {
				t.Fatalf("%+v: file %d holds %v, %v", c, i, n, err)
			}
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Fatalf("%+v: file %d would be left to other programs: %#x, %v", c, i, flags, err)
			}
		}
		CloseAll(received)
		CloseAll(files)
	}
}

// TestBadMessages has a peer that does not keep to the format. Each is refused, and no file of its stays open.
func TestBadMessages(t *testing.T) {
	header := func(body, files uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, body), files)
	}
	files := memfds(t, 10)
	rights := func(n int) []byte {
		var fds []int
		for _, f := range files[:n] {
			fds = append(fds, int(f.Fd()))
		}
		return unix.UnixRights(fds...)
	}
	type part struct{ data, control []byte }
	for _, c := range []struct {
		name  string
		parts []part
		want  error
	}{
		{"nothing", nil, io.EOF},
		{"half a header", []part{{header(0, 0)[:5], nil}}, io.ErrUnexpectedEOF},
		{"too many bytes", []part{{header(101, 0), nil}}, ErrTooLarge},
		{"more than memory has", []part{{header(1<<32-1, 0), nil}}, ErrTooLarge},
		{"too many files", []part{{header(0, 9), nil}}, ErrTooLarge},
		{"half a body", []part{{header(10, 0), nil}, {[]byte("hello"), nil}}, io.ErrUnexpectedEOF},
		{"files, half a body", []part{{header(10, 2), nil}, {[]byte{0}, rights(2)}, {[]byte("hello"), nil}}, io.ErrUnexpectedEOF},
		{"no files", []part{{header(0, 2), nil}, {[]byte{0}, nil}}, ErrFiles},
		{"the end in place of files", []part{{header(0, 2), nil}}, io.ErrUnexpectedEOF},
		{"fewer files", []part{{header(0, 3), nil}, {[]byte{0}, rights(2)}}, ErrFiles},
		{"more files", []part{{header(0, 3), nil}, {[]byte{0}, rights(8)}}, ErrFiles},
		{"files with the header", []part{{header(0, 8), rights(8)}, {[]byte{0}, nil}}, ErrFiles},
	} {
		a, b := pair(t)
		before := openFiles(t)
		for _, p := range c.parts {
			if _, _, err := a.WriteMsgUnix(p.data, p.control, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		body, received, err := Receive(b, Limits{Body: 100, Files: 8})
		if !errors.Is(err, c.want) || body != nil || received != nil {
			t.Errorf("%s: %q, %v, %v", c.name, body, received, err)
		}
		a.Close()
		b.Close()
		if after := openFiles(t); after != before-2 {
			t.Errorf("%s: %d files are open, %d before", c.name, after, before-2)
		}
	}
}

// TestFilesWithBody attaches files where none belong: the kernel closes them, and the message is as good as without.
func TestFilesWithBody(t *testing.T) {
	a, b := pair(t)
	f := memfds(t, 1)[0]
	before := openFiles(t)
	for _, part := range [][]byte{{0, 0, 0, 4, 0, 0, 0, 0}, []byte("body")} {
		if _, _, err := a.WriteMsgUnix(part, unix.UnixRights(int(f.Fd())), nil); err != nil {
			t.Fatal(err)
		}
	}
	body, files, err := Receive(b, Limits{Body: 100, Files: 8})
	if err != nil || string(body) != "body" || len(files) != 0 {
		t.Errorf("%q, %v, %v", body, files, err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}

// FuzzReceive takes any bytes, in two parts, a file with the second.
func FuzzReceive(f *testing.F) {
	file := memfds(f, 1)[0]
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 1}, []byte("\x00body"))
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 0}, []byte("body"))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 2}, []byte{0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if len(first)+len(second) > 4096 {
			return
		}
		a, b := pair(t)
		before := openFiles(t)
		_, _ = a.Write(first)
		if len(second) > 0 {
			_, _, _ = a.WriteMsgUnix(second, unix.UnixRights(int(file.Fd())), nil)
		}
		_ = a.CloseWrite()
		body, files, err := Receive(b, Limits{Body: 256, Files: 4})
		if err != nil && (body != nil || files != nil) || len(body) > 256 || len(files) > 4 {
			t.Errorf("%d bytes, %d files, %v", len(body), len(files), err)
		}
		CloseAll(files)
		if after := openFiles(t); after != before {
			t.Errorf("%d files are open, %d before", after, before)
		}
	})
}
