package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// deviceWait is how long the init waits for a device to appear. Emulation on a busy machine is slow.
const deviceWait = 30 * time.Second

// IsInit reports whether this process is the guest's first one.
func IsInit() bool { return os.Getpid() == 1 && os.Args[0] == InitPath }

// Main is the life of the guest's first process. It does not return.
func Main() {
	report := &reporter{out: os.Stderr} // the console, until the port is there
	if err := work(report); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		report.record(KindFailed, []byte(err.Error()))
	}
	// QEMU ends when the guest restarts, if the host has not ended it before.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

func work(report *reporter) error {
	if err := mountAll(); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	report.out = port
	text, err := os.ReadFile(JobPath)
	if err != nil {
		return err
	}
	var job Job
	if err := json.Unmarshal(text, &job); err != nil {
		return fmt.Errorf("%s: %w", JobPath, err)
	}
	if err := prepare(&job); err != nil {
		return err
	}
	report.record(KindBooted, encode(Booted{Kernel: kernelRelease(), Uptime: uptime()}))
	for i := range job.Steps {
		report.record(KindStep, []byte(strconv.Itoa(i)))
		ended := job.Steps[i].run(report)
		if err := takeBack(job.Queues); err != nil {
			return fmt.Errorf("after step %d: %w", i, err)
		}
		report.record(KindEnded, encode(ended))
	}
	report.record(KindDone, nil)
	return nil
}

// prepare sets up what programs expect beside the devices.
func prepare(job *Job) error {
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	for _, l := range []struct {
		what  int
		value uint64
	}{{unix.RLIMIT_MEMLOCK, unix.RLIM_INFINITY}, {unix.RLIMIT_NOFILE, 65536}} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %d: %w", l.what, err)
		}
	}
	return setUpCards(job.Queues)
}

// port is the virtio port. A write returns when the host has taken the bytes.
type port int

func (p port) Write(b []byte) (int, error) {
	for n := 0; n < len(b); {
		k, err := unix.Write(int(p), b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		n += k
	}
	return len(b), nil
}

// openPort finds the port by its name. The file is not Go's own, which would wait for it in the poller.
func openPort() (port, error) {
	var path string
	err := await("the virtio port "+PortName, func() bool {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		i := slices.IndexFunc(names, func(name string) bool { return readTrimmed(name) == PortName })
		if i >= 0 {
			path = "/dev/" + filepath.Base(filepath.Dir(names[i]))
		}
		return i >= 0
	})
	if err != nil {
		return -1, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return port(fd), nil
}

// await waits until there is what f looks for.
func await(what string, f func() bool) error {
	for end := time.Now().Add(deviceWait); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s did not appear in %v", what, deviceWait)
		}
	}
	return nil
}

func readTrimmed(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

func kernelRelease() string { return readTrimmed("/proc/sys/kernel/osrelease") }

func uptime() float64 {
	first, _, _ := strings.Cut(readTrimmed("/proc/uptime"), " ")
	seconds, _ := strconv.ParseFloat(first, 64)
	return seconds
}
