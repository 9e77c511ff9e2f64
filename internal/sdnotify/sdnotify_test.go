package sdnotify

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager listens as a service manager does.
func manager(t *testing.T, name string) func() string {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() string {
		buf := make([]byte, 4096)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestTell(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@xs-sdnotify-" + strconv.Itoa(time.Now().Nanosecond())} {
		next := manager(t, name)
		m, err := Find()
		if err != nil || m == nil {
			t.Fatal(m, err)
		}
		if err := m.Tell(Ready, Status("serving %s\nand so on", "192.0.2.10/24")); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != "READY=1\nSTATUS=serving 192.0.2.10/24 and so on" {
			t.Errorf("%q", got)
		}
		if err := m.Tell(Reloading()...); err != nil {
			t.Fatal(err)
		}
		usec, ok := strings.CutPrefix(next(), "RELOADING=1\nMONOTONIC_USEC=")
		if n, err := strconv.ParseInt(usec, 10, 64); !ok || err != nil || n <= 0 {
			t.Errorf("the time of a reload is %q", usec)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m, err := Find()
	if m != nil || err != nil || m.Tell(Ready) != nil || m.Watchdog() != 0 || m.Close() != nil {
		t.Errorf("%v, %v", m, err)
	}
	for _, name := range []string{"vsock:2:1234", filepath.Join(t.TempDir(), "nobody")} {
		t.Setenv("NOTIFY_SOCKET", name)
		if _, err := Find(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWatchdog(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"30000000", "", 30 * time.Second}, {"2000000", "42", 2 * time.Second}, {"2000000", "43", 0}, {"0", "", 0}, {"-1", "", 0},
		{"soon", "", 0}, {"99999999999999999", "", 0},
	} {
		if got := watchdog(tt.usec, tt.pid, 42); got != tt.want {
			t.Errorf("%q of %q is %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}
