package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Successor makes the process that a plan is about, ready to be started by Start: with the command line, the environment, the directory,
// the output and the network namespace of the one that is replaced. binary is what to start in place of the plan's; empty: that. Of what
// the caller may not see of another process (which takes CAP_SYS_PTRACE), its own stands for it, as is right in a service manager's unit.
func Successor(p Plan, binary string) (*exec.Cmd, error) {
	if binary == "" {
		binary = p.Binary
	}
	if len(p.Args) == 0 || p.PID <= 0 {
		return nil, errors.New("the process does not say how it was started: is it of another version?")
	}
	cmd := exec.Command(binary, p.Args[1:]...)
	cmd.Args[0] = p.Args[0]
	proc := fmt.Sprintf("/proc/%d/", p.PID)
	environment := append(os.Environ(), p.Environment...)
	if text, err := os.ReadFile(proc + "environ"); err == nil {
		environment = strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
	}
	if _, err := os.Stat(proc + "cwd"); err == nil { // CAP_PERFMON is enough to see the one and not the other
		cmd.Dir = proc + "cwd"
	}
	for _, v := range environment {
		if !strings.HasPrefix(v, "WATCHDOG_PID=") && !strings.HasPrefix(v, TakeOver+"=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, TakeOver+"="+p.Socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the terminal
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if out, err := filesOf(p.PID, 1, 2); err == nil {
		cmd.Stdout, cmd.Stderr = out[0], out[1]
	}
	return cmd, nil
}

// StartSuccessor starts what Successor made in the network namespace of the process that is replaced.
func StartSuccessor(p Plan, cmd *exec.Cmd) error {
	defer func() {
		for _, w := range []io.Writer{cmd.Stdout, cmd.Stderr} {
			if f := w.(*os.File); f != os.Stdout && f != os.Stderr {
				f.Close()
			}
		}
	}()
	if p.Network != 0 && p.Network == networkNamespace("thread-self") { // which it may be told without being allowed to look
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start the new process: %w", err)
		}
		return nil
	}
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.PID))
	if err != nil {
		return fmt.Errorf("the network namespace of process %d: %w", p.PID, err)
	}
	defer namespace.Close()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and nobody else gets one in another namespace
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			started <- fmt.Errorf("enter the network namespace of process %d: %w", p.PID, err)
			return
		}
		started <- cmd.Start()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start the new process: %w", err)
	}
	return nil
}

// networkNamespace returns the number of the network namespace of a process or thread in /proc, 0 if that cannot be known.
func networkNamespace(of string) uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/"+of+"/ns/net", &st) != nil {
		return 0
	}
	return st.Ino
}

// filesOf returns open files of another process.
func filesOf(pid int, numbers ...int) (files []*os.File, err error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for _, n := range numbers {
		got, err := unix.PidfdGetfd(fd, n, 0)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		files = append(files, os.NewFile(uintptr(got), ""))
	}
	return files, nil
}
