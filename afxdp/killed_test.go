package afxdp

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestMain lets the test binary be the process that TestKilled kills, or the one that adopts an interface, and ends the lab that tests share.
func TestMain(m *testing.M) {
	if os.Getenv("AFXDP_TEST_ADOPT") != "" {
		os.Exit(adoptee())
	}
	if name := os.Getenv("AFXDP_TEST_OPEN"); name != "" {
		i, err := Open(name, Options{Driver: os.Getenv("AFXDP_TEST_DRIVER")}, bpf.Config{})
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("open\n")
		time.Sleep(time.Minute)
		i.Close()
		os.Exit(0)
	}
	code := m.Run()
	if err := dropLab(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		code = max(code, 1)
	}
	os.Exit(code)
}

// TestKilled kills a process that has the interface open: the kernel detaches the program, and the interface can be opened at once.
func TestKilled(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		lab := labFor(t, netlab.Config{Name: "afxdp"})
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "AFXDP_TEST_OPEN="+lab.Stack.Interface, "AFXDP_TEST_DRIVER="+opt.Driver)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := lab.Stack.Do(cmd.Start); err != nil { // a child begins in the namespace of the thread that starts it
			t.Fatal(err)
		}
		said, _ := bufio.NewReader(out).ReadString('\n')
		if strings.TrimSpace(said) != "open" {
			t.Errorf("the process says %q", said)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("the process ended by itself: %v", err)
		}
		for end := time.Now().Add(patience() * time.Second); attachedProgram(t, lab.Stack) != 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // the kernel may detach it just after the process was reaped
		}
		clean(t, lab.Stack)
		i, err := openSide(lab.Stack, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
}
