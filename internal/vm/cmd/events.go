package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/xdpstack/xdpstack/internal/vm"
)

// event is a line of what `go test -json` prints.
type event struct {
	Time    time.Time
	Action  string
	Package string
	Test    string  `json:",omitempty"`
	Output  string  `json:",omitempty"`
	Elapsed float64 `json:",omitempty"` // seconds
}

// report writes what happens as test events.
type report struct {
	out    io.Writer
	failed bool
}

func (r *report) event(e event) {
	e.Time = time.Now()
	_ = json.NewEncoder(r.out).Encode(e) // a reader that has gone leaves nothing to do
}

// test reports a package with one test, which ended in this way: pass, skip or fail.
func (r *report) test(pkg, name, action, output string, elapsed time.Duration) {
	r.failed = r.failed || action == "fail"
	r.event(event{Action: "start", Package: pkg})
	r.event(event{Action: "run", Package: pkg, Test: name})
	if output != "" {
		r.event(event{Action: "output", Package: pkg, Test: name, Output: output + "\n"})
	}
	r.event(event{Action: action, Package: pkg, Test: name, Elapsed: elapsed.Seconds()})
	r.event(event{Action: action, Package: pkg, Elapsed: elapsed.Seconds()})
}

// converter makes events of a test binary's output, by Go's own means.
type converter struct {
	cmd   *exec.Cmd
	input io.WriteCloser
}

func (r *report) convert(pkg string) (*converter, error) {
	cmd := exec.Command(vm.GoCommand(), "tool", "test2json", "-t", "-p", pkg)
	cmd.Stdout, cmd.Stderr = r.out, os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	return &converter{cmd: cmd, input: input}, nil
}

func (c *converter) Write(b []byte) (int, error) { return c.input.Write(b) }

// mark begins the lines that a test binary writes for its reader (-test.v=test2json).
const mark = 0x16

// end ends the package. What is wrong with it beside its tests, if anything, is said and makes it fail.
func (c *converter) end(wrong string) error {
	if wrong != "" {
		fmt.Fprintf(c.input, "\n%s\n%cFAIL\n", wrong, mark)
	}
	c.input.Close()
	return c.cmd.Wait()
}
