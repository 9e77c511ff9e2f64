package vm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a QEMU that runs.
type process struct {
	report *os.File // this end of the report's connection
	cmd    *exec.Cmd
	said   bytes.Buffer
	ended  chan struct{}
	once   sync.Once
}

// startQEMU starts QEMU, which ends with this process however that ends. The kernel ends it, in truth, when the thread ends that
// started it, so that thread waits for it too. It is the thread as well that is in the namespace of the wire.
func startQEMU(cfg *Config, q *qemu, args []string, initrd, console *os.File) (*process, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(ends[0], true); err != nil { // so that reads wait in the poller
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &process{report: os.NewFile(uintptr(ends[0]), "report"), ended: make(chan struct{})}
	theirs := os.NewFile(uintptr(ends[1]), "report")
	defer theirs.Close()
	p.cmd = exec.Command(q.program, args...)
	p.cmd.Env = append(os.Environ(), q.env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.ExtraFiles = []*os.File{theirs, initrd, console} // become reportFD, initrdFD and consoleFD
	p.cmd.WaitDelay = time.Second
	// A group of its own: Ctrl-C is for this process, which then ends QEMU.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	onThread(func() {
		err := p.start(cfg)
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // killed, as a rule
			close(p.ended)
		}
	})
	if err := <-started; err != nil {
		p.report.Close()
		return nil, err
	}
	return p, nil
}

func (p *process) start(cfg *Config) error {
	if cfg.Wire == "tap" {
		if err := makeWire(cfg.Queues); err != nil {
			return err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("vm: start QEMU: %w", err)
	}
	return nil
}

func (p *process) kill() { _ = p.cmd.Process.Kill() } // it may have ended by itself

// end ends QEMU, waits for that, and returns what it said, but for its complaints about a wire with one end before the other is
// there.
func (p *process) end() string {
	p.once.Do(func() {
		select {
		case <-p.ended:
		case <-time.After(100 * time.Millisecond): // one that ends by itself has something to say
			p.kill()
			<-p.ended
		}
		p.report.Close()
	})
	var lines []string
	for line := range strings.Lines(p.said.String()) {
		if !strings.Contains(line, "hub 0 is not connected") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "; ")
}
