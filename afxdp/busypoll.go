package afxdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// busyPoll has the goroutine that owns a queue run the driver's receive work itself, in place of interrupts and softirqs
// (Documentation/networking/napi.rst, "Busy polling"; SO_PREFER_BUSY_POLL, Linux 5.11).
//
// The kernel takes the options on any socket. Whether they do anything depends on the driver: it must tell with each packet which NAPI it
// came by, and several do not (veth for one). So the queue looks whether the kernel knows the socket's NAPI, and polls only then: each
// poll is a system call, which would be for nothing.
type busyPoll struct {
	on     bool
	active atomic.Bool    // the kernel knows the NAPI
	looks  uint32         // times that the queue was empty while it was not active
	saved  []func() error // what was changed: each changes it back
}

// lookInterval is how many empty receives are between two looks whether the kernel knows the NAPI.
const lookInterval = 1024

// start asks for busy polling on a socket, and has the queue's interrupt deferred while it lasts.
func (p *busyPoll) start(at place, fd int, o *Options) error {
	if o.BusyPoll == 0 {
		return nil
	}
	for _, s := range []struct {
		name          string
		option, value int
	}{
		{"SO_PREFER_BUSY_POLL", unix.SO_PREFER_BUSY_POLL, 1},
		{"SO_BUSY_POLL", unix.SO_BUSY_POLL, max(int(o.BusyPoll/time.Microsecond), 1)},
		{"SO_BUSY_POLL_BUDGET", unix.SO_BUSY_POLL_BUDGET, o.BusyPollBudget},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, s.option, s.value); err != nil {
			return at.fail("set "+s.name, privilege(err), err, "Linux 5.11 and CAP_NET_ADMIN are needed; or do without busy polling")
		}
	}
	p.on = true
	return p.deferInterrupts(at, NAPISettings{uint32(o.DeferHardIRQs), o.GROFlush})
}

// deferInterrupts lets the driver's interrupt wait while the queue is polled: for the queue's NAPI alone where the kernel can, else for
// the interface. Where the driver binds no NAPI to the queue, nobody would poll, and each packet wait for the timer: on veth that makes
// a round of request and response take 105 µs instead of 31 with a timer of 20 µs, and 230 with one of 200 µs.
func (p *busyPoll) deferInterrupts(at place, want NAPISettings) error {
	n, err := QueueNAPI(at.index, at.queue)
	if err != nil || n.ID == 0 {
		return nil
	}
	if n.Settings {
		before := n.NAPISettings
		if n.Set(want) == nil {
			p.saved = append(p.saved, func() error { return n.Set(before) })
			return nil
		}
	}
	// sysfs may be another namespace's, with another interface of the same name.
	dir := filepath.Join("/sys/class/net", at.name)
	if index, err := os.ReadFile(filepath.Join(dir, "ifindex")); err != nil || strings.TrimSpace(string(index)) != strconv.Itoa(at.index) {
		return nil
	}
	for _, s := range []struct{ name, value string }{
		{"napi_defer_hard_irqs", strconv.Itoa(int(want.DeferHardIRQs))},
		{"gro_flush_timeout", strconv.FormatInt(want.GROFlush.Nanoseconds(), 10)},
	} {
		if err := p.write(filepath.Join(dir, s.name), s.value); err != nil {
			return at.fail("set "+s.name, privilege(err), err, "")
		}
	}
	return nil
}

// write changes a file in sysfs. Of two queues the second finds what the first has written, and is not the one that changes it back.
func (p *busyPoll) write(path, value string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	before := strings.TrimSpace(string(b))
	if err != nil || before == value {
		return err
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return err
	}
	p.saved = append(p.saved, func() error { return os.WriteFile(path, []byte(before), 0) })
	return nil
}

// stop changes back what start has changed, the last first. What is gone needs no changing back.
func (p *busyPoll) stop() error {
	var all error
	for i := len(p.saved) - 1; i >= 0; i-- {
		if err := p.saved[i](); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOENT) {
			all = errors.Join(all, fmt.Errorf("afxdp: undo the deferral of interrupts: %w", err))
		}
	}
	p.saved = nil
	return all
}

// poll runs the driver's receive work of a queue that was found empty. It reports false if that would be in vain.
func (p *busyPoll) poll(fd int) bool {
	if !p.active.Load() {
		p.looks++
		if p.looks%lookInterval != 1 {
			return false
		}
		id, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_INCOMING_NAPI_ID)
		if err != nil || id == 0 {
			return false
		}
		p.active.Store(true)
	}
	recvfrom(fd)
	return true
}
