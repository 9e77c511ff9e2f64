package fdpass

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Limits bound what Receive takes.
type Limits struct {
	Body  int // bytes
	Files int
}

const (
	headerLen = 8
	// perChunk is how many files go with one byte: the kernel takes up to 253 (SCM_MAX_FD).
	perChunk = 250
)

// Errors of Receive.
var (
	ErrTooLarge = errors.New("fdpass: the message is larger than expected")
	ErrFiles    = errors.New("fdpass: the message's files are not those that it announces")
)

// Send sends a message. The files stay the caller's, and may be closed when it returns.
func Send(c *net.UnixConn, body []byte, files []*os.File) error {
	if uint64(len(body)) > math.MaxUint32 {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(body))
	}
	var header [headerLen]byte
	binary.BigEndian.PutUint32(header[:], uint32(len(body)))
	binary.BigEndian.PutUint32(header[4:], uint32(len(files)))
	if _, err := c.Write(header[:]); err != nil {
		return fmt.Errorf("fdpass: %w", err)
	}
	for len(files) > 0 {
		n := min(len(files), perChunk)
		fds := make([]int, n)
		for i, f := range files[:n] {
			fds[i] = int(f.Fd())
		}
		if _, _, err := c.WriteMsgUnix([]byte{0}, unix.UnixRights(fds...), nil); err != nil {
			return fmt.Errorf("fdpass: send %d files: %w", n, err)
		}
		files = files[n:]
	}
	if _, err := c.Write(body); err != nil {
		return fmt.Errorf("fdpass: %w", err)
	}
	return nil
}

// Receive receives a message. The files are the caller's, who closes them; after an error there are none.
func Receive(c *net.UnixConn, limits Limits) (body []byte, files []*os.File, err error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return nil, nil, fmt.Errorf("fdpass: %w", err)
	}
	length, count := binary.BigEndian.Uint32(header[:]), binary.BigEndian.Uint32(header[4:])
	if uint64(length) > uint64(limits.Body) || uint64(count) > uint64(limits.Files) {
		return nil, nil, fmt.Errorf("%w: %d bytes and %d files, at most %d and %d", ErrTooLarge, length, count, limits.Body, limits.Files)
	}
	defer func() {
		if err != nil {
			CloseAll(files)
			body, files = nil, nil
		}
	}()
	for left := int(count); left > 0; {
		n := min(left, perChunk)
		got, err := receiveFiles(c, n)
		files = append(files, got...)
		if err != nil {
			return nil, files, err
		}
		left -= n
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, files, fmt.Errorf("fdpass: the message is cut off: %w", err)
	}
	return body, files, nil
}

// CloseAll closes files.
func CloseAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// receiveFiles receives n files, which come with one byte. It may return some with an error.
func receiveFiles(c *net.UnixConn, n int) ([]*os.File, error) {
	var one [1]byte
	space := make([]byte, unix.CmsgSpace(4*n))
	got, oob, flags, _, err := c.ReadMsgUnix(one[:], space)
	if errors.Is(err, io.EOF) || err == nil && got == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("fdpass: receive %d files: %w", n, err)
	}
	files, err := parseFiles(space[:oob])
	switch {
	case err != nil:
		return files, err
	case flags&unix.MSG_CTRUNC != 0: // more than announced, or than this process may have open
		return files, fmt.Errorf("%w: %d of %d were received: is ulimit -n too low?", ErrFiles, len(files), n)
	case len(files) != n:
		return files, fmt.Errorf("%w: %d instead of %d", ErrFiles, len(files), n)
	}
	return files, nil
}

// parseFiles takes the files out of control messages.
func parseFiles(control []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFiles, err)
	}
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET || messages[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, fmt.Errorf("%w: %w", ErrFiles, err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}
