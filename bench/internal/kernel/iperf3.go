package kernel

import (
	"bytes"
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// IPerf3 is a running server of iperf3, on the processor that this process is bound to.
type IPerf3 struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// StartIPerf3 starts it, and gives it time to listen.
func StartIPerf3() (*IPerf3, error) {
	p := &IPerf3{cmd: exec.Command("iperf3", "-s", "-i", "0")}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("kernel: start iperf3: %w", err)
	}
	time.Sleep(200 * time.Millisecond) // it says nothing, and a connection would be a client to it
	return p, nil
}

// PID is its process id.
func (p *IPerf3) PID() int { return p.cmd.Process.Pid }

// Close ends it.
func (p *IPerf3) Close() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
