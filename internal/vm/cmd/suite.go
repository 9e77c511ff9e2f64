package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/vm"
	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// packageTimeout bounds the tests of a package in one guest. They take a tenth of it on an idle machine.
const packageTimeout = 5 * time.Minute

// suitePackage is the first part of the package names in the report.
const suitePackage = "zerocopy"

const suiteUsage = `guest suite runs the selected tests in guests with virtio and igb cards of one and two queues, one after the other,
and prints events as go test -json does. Where no guest can be had, that is reported as one skipped test.

Flags:
`

// suite is what its command line says.
type suite struct {
	nic     string
	queues  int
	run     string
	skip    string
	reports report
}

// runSuite is the subcommand. It runs in the root of the repository.
func runSuite(ctx context.Context, args []string, out, messages io.Writer) (int, error) {
	s := suite{reports: report{out: out}}
	fs := flag.NewFlagSet("guest suite", flag.ContinueOnError)
	fs.SetOutput(messages)
	fs.Usage = func() { fmt.Fprint(messages, suiteUsage); fs.PrintDefaults() }
	fs.StringVar(&s.nic, "nic", "", "only guests with these cards: virtio or igb")
	fs.IntVar(&s.queues, "queues", 0, "only guests with so many queues: 1 or 2")
	fs.StringVar(&s.run, "run", "", "the tests that match this `pattern`, in place of the selected ones")
	fs.StringVar(&s.skip, "skip", "", "run nothing, but report one skipped test with this `reason`")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, nil
	case err != nil:
		return exitUsage, nil
	case fs.NArg() > 0:
		return exitUsage, fmt.Errorf("suite: %q is too much", fs.Args())
	}
	chosen := s.configurations()
	if len(chosen) == 0 {
		return exitUsage, fmt.Errorf("suite: no guest has -nic %q -queues %d", s.nic, s.queues)
	}
	if s.skip != "" {
		s.skipAll(s.skip)
		return 0, nil
	}
	g, err := vm.Prepare(ctx, nil)
	if errors.Is(err, vm.ErrUnavailable) {
		s.skipAll(oneLine(err))
		return 0, nil
	}
	if err != nil {
		return 1, err
	}
	programs, err := s.load(ctx)
	if err != nil {
		return 1, err
	}
	for _, c := range chosen {
		if err := s.boot(ctx, g, c, programs); err != nil {
			return 1, err
		}
	}
	if s.reports.failed {
		return 1, nil
	}
	return 0, nil
}

func (s *suite) configurations() (chosen []configuration) {
	for _, c := range configurations {
		if (s.nic == "" || s.nic == c.nic) && (s.queues == 0 || s.queues == c.queues) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// skipAll reports all as one skipped test. The reason is in its name, because that is what a summary shows of it.
func (s *suite) skipAll(reason string) {
	s.reports.test(suitePackage, "ZERO-COPY NOT TESTED: "+reason, "skip", "", 0)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// load builds the packages' tests, once for all guests.
func (s *suite) load(ctx context.Context) (programs []program, err error) {
	all, err := packages(os.DirFS("."))
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		start := time.Now()
		tests, err := vm.Load(ctx, filepath.FromSlash(p.dir), nil)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil { // the other packages' tests run all the same
			s.reports.test(path.Join(suitePackage, p.dir), "TestBuild", "fail", err.Error(), time.Since(start))
			continue
		}
		programs = append(programs, program{p, tests})
	}
	return programs, nil
}

// program is a package with its tests.
type program struct {
	selected
	tests *vm.Program
}

// step is the program's step in a guest; ok is false if it has nothing to run there. The flag -run, if any, is in place of the selection.
func (p *program) step(c configuration, flag string) (step vm.Step, ok bool) {
	step = p.tests.Step
	run, skip := p.patterns(c)
	if run == "" {
		return step, false
	}
	if flag != "" {
		run = flag
	}
	// Its own timeout, which is a little shorter, names the test that hangs.
	timeout := packageTimeout - 10*time.Second
	step.Args = []string{step.Args[0], "-test.v=test2json", "-test.run=" + run, "-test.skip=" + skip, "-test.timeout=" + timeout.String()}
	step.Timeout = packageTimeout
	return step, true
}

// boot runs all programs in one guest. The error is one of the report itself; what goes wrong in the guest is in the report.
func (s *suite) boot(ctx context.Context, g *vm.Guest, c configuration, programs []program) error {
	name := path.Join(suitePackage, c.name)
	var files []vm.File
	var steps []vm.Step
	var stages []*stage
	for _, p := range programs {
		step, ok := p.step(c, s.run)
		if !ok {
			continue
		}
		files = append(files, p.tests.Files...)
		st := &stage{report: &s.reports, pkg: path.Join(name, p.dir)}
		step.Output, step.Ended = st, st.ended
		steps, stages = append(steps, step), append(stages, st)
	}
	r, err := g.Run(ctx, vm.Config{NIC: c.nic, Queues: c.queues, Options: c.options}, files, steps)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, st := range stages {
		st.abandon()
		if st.err != nil {
			return st.err
		}
	}
	switch {
	case errors.Is(err, vm.ErrUnavailable):
		s.reports.test(name, "TestGuest: "+oneLine(err), "skip", "", 0)
	case err != nil:
		s.reports.test(name, "TestGuest", "fail", err.Error(), r.Total)
	default:
		s.reports.test(name, "TestGuest", "pass", fmt.Sprintf("Linux %s started in %v, all took %v", r.Kernel, r.Boot, r.Total), r.Boot)
	}
	return nil
}

// stage is the report of one package in one guest.
type stage struct {
	report *report
	pkg    string
	events *converter
	done   bool
	err    error
}

func (st *stage) begin() error {
	if st.events == nil && st.err == nil {
		st.events, st.err = st.report.convert(st.pkg)
	}
	return st.err
}

// Write gets the package's output.
func (st *stage) Write(b []byte) (int, error) {
	if err := st.begin(); err != nil {
		return 0, err
	}
	return st.events.Write(b)
}

func (st *stage) ended(e guest.Ended) {
	if st.begin() != nil {
		return
	}
	wrong := ""
	if e.Status != 0 {
		wrong = fmt.Sprintf("exit status %d", e.Status)
		if e.Why != "" {
			wrong += ": " + e.Why
		}
		if e.TimedOut {
			wrong += fmt.Sprintf(": it ran past %v", packageTimeout)
		}
		st.report.failed = true
	}
	st.err, st.done = st.events.end(wrong), true
}

// abandon ends the package that ran when the guest ended, if one did.
func (st *stage) abandon() {
	if st.events != nil && !st.done {
		st.report.failed, st.done = true, true
		st.err = st.events.end("the guest ended while these tests ran")
	}
}
