package rawlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/child"
)

// AnInterface stands for the interface in the command line of a foreign program.
const AnInterface = "INTERFACE"

// RunForeign has a program of somebody else's send through an interface, for a window that begins warmup after its first frame, and
// ends it. How much it sent is for others to count.
func RunForeign(ctx context.Context, cfg *Config, command []string, mark func(string)) (res Result, err error) {
	before, err := sentBy(cfg.Interface)
	if err != nil {
		return res, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return res, fmt.Errorf("start %s: %w", command[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // it may have children
		<-ended
	}()
	mark("ready")
	for now := before; now == before; now, err = sentBy(cfg.Interface) {
		select {
		case <-ctx.Done():
			return res, ctx.Err()
		case e := <-ended:
			ended <- e
			return res, fmt.Errorf("%s ended: %w: %s", command[0], errors.Join(e, err), strings.TrimSpace(out.String()))
		case <-time.After(time.Millisecond):
		}
	}
	pids := family(cmd.Process.Pid)
	if err := keepTogether(pids); err != nil {
		return res, err
	}
	time.Sleep(cfg.Warmup)
	begin, used := time.Now(), processTime(pids)
	mark("start")
	time.Sleep(cfg.Window)
	res = Result{Seconds: time.Since(begin).Seconds(), Process: (processTime(pids) - used).Seconds(), Mode: command[0]}
	mark("stop")
	return res, err
}

// family returns a process and its children.
func family(pid int) []int {
	all := []int{pid}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	for _, word := range strings.Fields(string(b)) {
		if child, err := strconv.Atoi(word); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// keepTogether puts processes on the processors of this one: trafgen takes the first.
func keepTogether(pids []int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.SchedSetaffinity(pid, &set); err != nil {
			return fmt.Errorf("bind process %d: %w", pid, err)
		}
	}
	return nil
}

func processTime(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		d, _ := child.CPU(pid)
		sum += d
	}
	return sum
}

// sentBy returns how many packets an interface has sent.
func sentBy(name string) (uint64, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	return link.Attrs().Statistics.TxPackets, nil
}
