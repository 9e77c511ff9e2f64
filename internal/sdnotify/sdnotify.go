// Package sdnotify tells the service manager how a process is, as sd_notify(3) describes: one datagram with lines of NAME=VALUE to the
// socket that $NOTIFY_SOCKET names. Without that variable nothing is sent.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What a service manager is told.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Manager is the service manager. A nil one is told nothing.
type Manager struct {
	conn     *net.UnixConn
	watchdog time.Duration
}

// Find opens the socket, which is kept: a process may lose the right to open it later. It returns nil if there is no service manager.
func Find() (*Manager, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' { // vsock, for virtual machines: nothing that a service of one has
		return nil, fmt.Errorf("NOTIFY_SOCKET=%s is neither a path nor an abstract name", name)
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("the service manager's socket: %w", err)
	}
	return &Manager{conn: c, watchdog: watchdog(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"), os.Getpid())}, nil
}

// watchdog returns how long the process may be silent, 0: forever (sd_watchdog_enabled(3)).
func watchdog(usec, of string, pid int) time.Duration {
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) || of != "" && of != strconv.Itoa(pid) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// Watchdog returns how long the process may go without saying Alive before the manager kills it; 0: as long as it likes.
func (m *Manager) Watchdog() time.Duration {
	if m == nil {
		return 0
	}
	return m.watchdog
}

// Tell sends lines in one datagram.
func (m *Manager) Tell(lines ...string) error {
	if m == nil {
		return nil
	}
	if _, err := m.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("the service manager's socket: %w", err)
	}
	return nil
}

// Close closes the socket.
func (m *Manager) Close() error {
	if m == nil {
		return nil
	}
	return m.conn.Close()
}

// Reloading are the lines that say that the configuration is being read again. Ready ends that.
func Reloading() []string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail with that clock
	return []string{"RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)}
}

// Status is the line that systemctl status shows.
func Status(format string, args ...any) string {
	return "STATUS=" + strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
}
