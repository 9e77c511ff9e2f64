package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/load"
)

// The programs.
const (
	Wrk    = "wrk"
	AB     = "ab"
	IPerf3 = "iperf3"
)

// Find says that a program is missing, if so.
func Find(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed", name)
	}
	return nil
}

// Known tells whether there is such a program.
func Known(name string) bool { return name == Wrk || name == AB || name == IPerf3 }

// ErrResult means that a program has ended without the figures that were expected.
var ErrResult = errors.New("program: no result")

// Run has a program do the work for the time of warm-up and window, in whole seconds. It calls ready and mark as load.Run does, but both
// marks are around all of it.
func Run(ctx context.Context, name string, cfg load.Config, ready func(), mark func(start bool)) (load.Result, error) {
	seconds := max(int((cfg.Warmup+cfg.Window).Round(time.Second)/time.Second), 1)
	args, read, err := commandLine(name, cfg, seconds)
	if err != nil {
		return load.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	ready()
	mark(true)
	start := time.Now()
	err = cmd.Run()
	took := time.Since(start)
	mark(false)
	if err != nil {
		return load.Result{}, fmt.Errorf("program: %s: %w: %s%s", name, err, out.String(), errs.String())
	}
	r, err := read(out.Bytes())
	if err != nil {
		return r, fmt.Errorf("%w: %s says %s%s", err, name, out.String(), errs.String())
	}
	r.Seconds = took.Seconds()
	r.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return r, nil
}

// commandLine returns a program's arguments for a kind of work, and what reads its output.
func commandLine(name string, cfg load.Config, seconds int) ([]string, func([]byte) (load.Result, error), error) {
	addr := netip.AddrFrom4(cfg.Addr).String()
	url, conns, length := "http://"+addr+"/", strconv.Itoa(cfg.Conns), strconv.Itoa(seconds)
	switch {
	case name == Wrk && cfg.Work == load.HTTP:
		return []string{"-t1", "-c" + conns, "-d" + length + "s", url}, readWrk, nil
	case name == Wrk && cfg.Work == load.Connect:
		return []string{"-t1", "-c" + conns, "-d" + length + "s", "-H", "Connection: close", url}, readWrk, nil
	case name == AB && cfg.Work == load.Connect:
		return []string{"-q", "-t", length, "-n", "2000000", "-c", conns, url}, readAB, nil
	case name == IPerf3 && cfg.Work == load.Receive:
		return []string{"-J", "-c", addr, "-t", length, "-C", cfg.Congestion}, readIPerf3, nil
	case name == IPerf3 && cfg.Work == load.Send:
		return []string{"-J", "-R", "-c", addr, "-t", length, "-C", cfg.Congestion}, readIPerf3, nil
	}
	return nil, nil, fmt.Errorf("program: %s does not do %q", name, cfg.Work)
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkErrors   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	abRequests  = regexp.MustCompile(`(?m)^Complete requests:\s+(\d+)`)
	abFailed    = regexp.MustCompile(`(?m)^Failed requests:\s+(\d+)`)
)

func readWrk(out []byte) (load.Result, error) {
	return counted(out, wrkRequests, wrkErrors, wrkStatus)
}

func readAB(out []byte) (load.Result, error) { return counted(out, abRequests, abFailed) }

// counted takes the work done from one expression and the failures from others, which need not be there.
func counted(out []byte, done *regexp.Regexp, failed ...*regexp.Regexp) (r load.Result, err error) {
	m := done.FindSubmatch(out)
	if m == nil {
		return r, ErrResult
	}
	if r.Count, err = strconv.ParseFloat(string(m[1]), 64); err != nil || r.Count == 0 {
		return r, ErrResult
	}
	for _, f := range failed {
		if m := f.FindSubmatch(out); m != nil {
			for _, digits := range m[1:] {
				n, _ := strconv.ParseFloat(string(digits), 64) // digits only
				r.Errors += n
			}
		}
	}
	return r, nil
}

func readIPerf3(out []byte) (r load.Result, err error) {
	var doc struct {
		Error string
		End   struct {
			Received struct{ Bytes float64 } `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return r, fmt.Errorf("%w: %w", ErrResult, err)
	}
	if r.Count = doc.End.Received.Bytes; r.Count == 0 || doc.Error != "" {
		return r, ErrResult
	}
	return r, nil
}
